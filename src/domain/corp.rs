//! A corp and what opens its callbacks.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Invalid, Pair, Secret, Service};

/// A corp id (or suite id): 1 to 64 of `A-Za-z0-9_-`. Its case is kept: WeCom's encrypted corp ids
/// differ by case alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct CorpId(Arc<str>);

impl CorpId {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let ok = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(ok) {
            return Err(Invalid("must be 1 to 64 characters of A-Z a-z 0-9 _ -"));
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CorpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One pair that verifies and opens callbacks of a corp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackCredential {
    pub pair: Pair,
    /// The receive ids that are accepted; empty: the corp id alone. An individual provider's app
    /// has the empty string as its receive id.
    pub receive_ids: Vec<String>,
    pub label: Option<String>,
}

impl From<Pair> for CallbackCredential {
    fn from(pair: Pair) -> Self {
        Self { pair, receive_ids: Vec::new(), label: None }
    }
}

/// Where a corp's declaration comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorpSource {
    /// `CORPS_FILE`: read-only elsewhere.
    File,
    /// The admin API.
    Admin,
    /// Nobody declared it; its bots' registrations made it known.
    Registrations,
}

/// A corp as an operator declared it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corp {
    pub id: CorpId,
    pub source: CorpSource,
    /// Tried in this order. Empty: the pairs of the corp's registrations open its callbacks.
    pub credentials: Vec<CallbackCredential>,
    /// The outbound proxy for this corp's calls to WeCom; secret, because its URL may hold a password.
    pub wecom_proxy: Option<Secret>,
    /// Other services of its app, by name.
    pub services: Vec<Service>,
    pub updated_at: Timestamp,
}

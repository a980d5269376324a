//! A corp and what opens its callbacks.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;

use super::{Fingerprint, Invalid, Secret, Service};

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

/// WeCom's `EncodingAESKey`: 43 characters that are base64 of the 32 key bytes.
///
/// The 43 characters carry 258 bits; WeCom does not clear the two unused ones, and most published
/// keys fail a strict decoder. They are ignored here.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodingAesKey {
    text: Secret,
    key: [u8; 32],
}

impl EncodingAesKey {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const RULE: Invalid = Invalid("must be the 43 characters of EncodingAESKey as WeCom shows it");
        if text.len() != 43 {
            return Err(RULE);
        }
        let config = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone);
        let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
        let bytes = engine.decode(text).map_err(|_| RULE)?;
        let key = bytes.try_into().map_err(|_| RULE)?;
        Ok(Self { text: Secret::new(text), key })
    }

    /// The 43 characters, for the store.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Debug for EncodingAesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One pair that verifies and opens callbacks of a corp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackCredential {
    /// [`CallbackCredential::pair_id`]: names the pair to operators, and tells whether a bot has the same.
    pub id: Fingerprint,
    pub token: Secret,
    pub aes_key: EncodingAesKey,
    /// The receive ids that are accepted; empty: the corp id alone. An individual provider's app
    /// has the empty string as its receive id.
    pub receive_ids: Vec<String>,
    pub label: Option<String>,
}

impl CallbackCredential {
    /// The id of a pair: the same pair has the same id wherever it comes from.
    pub fn pair_id(token: &Secret, aes_key: &EncodingAesKey) -> Fingerprint {
        Fingerprint::of(&[b"callback", token.expose().as_bytes(), aes_key.text().expose().as_bytes()])
    }

    pub fn new(token: Secret, aes_key: EncodingAesKey) -> Self {
        let id = Self::pair_id(&token, &aes_key);
        Self { id, token, aes_key, receive_ids: Vec::new(), label: None }
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

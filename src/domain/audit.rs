//! One line of the record of changes: who did what to what, when and from where. No field holds a secret.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use serde::Serialize;

use super::Invalid;

/// Names an entry. Later ids sort later; those of one process in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AuditId(Arc<str>);

impl AuditId {
    pub fn new(at: Timestamp) -> Self {
        static SEQUENCE: AtomicU32 = AtomicU32::new(0);
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:012x}{sequence:08x}{:08x}", millis(at), rand::random::<u32>()).into())
    }

    /// Not an entry's: greater than every id made before `at`, smaller than all others.
    pub fn floor(at: Timestamp) -> Self {
        Self(format!("{:012x}", millis(at)).into())
    }

    /// An id read back from a store or a query.
    pub fn from_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// Whoever showed `ADMIN_TOKEN`.
    Admin,
    /// Whoever called the bots' routes, with `PUPPET_PASSWORD` where that is set.
    Bot,
    /// Somebody who was not let in.
    Unknown,
}

impl Actor {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Bot => "bot",
            Self::Unknown => "unknown",
        }
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let actors = [Self::Admin, Self::Bot, Self::Unknown];
        actors.into_iter().find(|actor| actor.as_str() == text).ok_or(Invalid("must be admin, bot or unknown"))
    }
}

/// What was done, in a word that never changes its meaning. Not an enum, because a store may hold
/// words of a newer version, and they are shown as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Action(Cow<'static, str>);

impl Action {
    pub const CORP_PUT: Self = Self::known("corp.put");
    pub const CORP_DELETE: Self = Self::known("corp.delete");
    pub const PUPPET_REGISTER: Self = Self::known("puppet.register");
    pub const PUPPET_REGISTER_REFUSED: Self = Self::known("puppet.register.refused");
    pub const PUPPET_DEREGISTER: Self = Self::known("puppet.deregister");
    pub const PUPPET_DEREGISTER_REFUSED: Self = Self::known("puppet.deregister.refused");
    pub const PUPPET_DELETE: Self = Self::known("puppet.delete");
    pub const SERVICE_PUT: Self = Self::known("service.put");
    pub const SERVICE_DELETE: Self = Self::known("service.delete");
    pub const SERVICE_TEST: Self = Self::known("service.test");
    pub const DELIVERY_REDELIVER: Self = Self::known("delivery.redeliver");
    pub const DELIVERY_DELETE: Self = Self::known("delivery.delete");
    pub const TOKEN_RENEW: Self = Self::known("token.renew");
    /// A wrong `ADMIN_TOKEN`.
    pub const ADMIN_REFUSED: Self = Self::known("admin.refused");
    /// A wrong `PUPPET_PASSWORD`.
    pub const PUPPET_REFUSED: Self = Self::known("puppet.refused");

    const fn known(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }

    /// A word read back from a store.
    pub fn from_text(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One change, or one attempt that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub id: AuditId,
    pub at: Timestamp,
    pub actor: Actor,
    /// Where the connection came from: of a caller behind a proxy, the proxy's.
    pub address: Option<IpAddr>,
    pub action: Action,
    /// What it was done to: the id of a corp, bot, event or token; empty where there is none.
    pub subject: String,
    /// What exactly, for people.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_then_as_they_were_made() {
        let at = |millis: i64| Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap();
        let (one, two, later) = (AuditId::new(at(0)), AuditId::new(at(0)), AuditId::new(at(1)));
        assert!(one < two && two < later);
        assert!(AuditId::floor(at(0)) < one && two < AuditId::floor(at(1)) && AuditId::floor(at(1)) < later);
    }

    #[test]
    fn actors_are_read_back() {
        for actor in [Actor::Admin, Actor::Bot, Actor::Unknown] {
            assert_eq!(Actor::parse(actor.as_str()), Ok(actor));
        }
        assert!(Actor::parse("Admin").is_err());
    }
}

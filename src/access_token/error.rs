//! Why there is no token.

use std::borrow::Cow;
use std::sync::Arc;

use crate::wecom::{Class, Errcode, Refusal, WecomError};

/// Cheap to clone: one failure answers everybody who waited for it, and those who come soon after.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// WeCom's own "no", with its errcode: for the caller as it is.
    #[error("WeCom answered errcode {}: {}", .0.errcode, .0.errmsg)]
    Refused(Arc<Refusal>),
    /// Not asked: so many secrets were refused lately that one more could get this address banned.
    #[error("too many refused secrets in the last hour; not asked, because WeCom bans the address of who keeps asking")]
    BudgetSpent,
    /// Nobody answered, or nobody who speaks WeCom's protocol. Later may be better.
    #[error("{0}")]
    Unavailable(Arc<str>),
    /// An operator's renewal of an app whose secret nobody has shown since the start.
    #[error("the app's secret is not known here: it is learned from its next caller, or from a registration")]
    SecretUnknown,
}

impl TokenError {
    /// The errcode for a caller who expects WeCom's.
    pub fn errcode(&self) -> Errcode {
        match self {
            Self::Refused(refusal) => refusal.errcode,
            Self::BudgetSpent => Errcode::RATE_LIMITED,
            Self::Unavailable(_) | Self::SecretUnknown => Errcode::UNREACHABLE,
        }
    }

    /// The text beside the errcode; WeCom's own where it has spoken.
    pub fn errmsg(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.errmsg.clone(),
            other => other.to_string(),
        }
    }

    /// What to do about it, in the words of [`Errcode::advice`].
    pub fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Refused(refusal) => refusal.advice(),
            Self::BudgetSpent => Some(Cow::Borrowed("find who asks with wrong secrets, and mend or stop them")),
            Self::Unavailable(_) | Self::SecretUnknown => None,
        }
    }

    /// The error with its advice, for operators and those who register.
    pub fn explained(&self) -> String {
        match self.advice() {
            Some(advice) => format!("{self} ({advice})"),
            None => self.to_string(),
        }
    }

    /// What WeCom's refusal means; `None` where WeCom has not spoken.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Refused(refusal) => Some(refusal.class()),
            _ => None,
        }
    }

    /// Whether asking again soon may help: then a cached token is better than the error.
    pub(super) fn outlook(&self) -> Outlook {
        match self.class() {
            Some(Class::Transient | Class::RateLimited) => Outlook::Passing,
            Some(_) => Outlook::Lasting,
            None => Outlook::Passing,
        }
    }

    /// The label of metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.class().as_str(),
            Self::BudgetSpent => "budget_spent",
            Self::Unavailable(_) => "unavailable",
            Self::SecretUnknown => "secret_unknown",
        }
    }
}

/// Whether a failure mends itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outlook {
    Passing,
    Lasting,
}

impl From<WecomError> for TokenError {
    fn from(error: WecomError) -> Self {
        match error {
            WecomError::Refused(refusal) => Self::Refused(Arc::new(refusal)),
            other => Self::Unavailable(other.to_string().into()),
        }
    }
}

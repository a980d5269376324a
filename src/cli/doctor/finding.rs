//! What a check found: what was tried, what was seen, what to do.

use futures::future::BoxFuture;
use serde::Serialize;

/// What a finding is about; reported in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    Settings,
    Gateway,
    Store,
    Cache,
    WeCom,
    Callback,
    Secret,
    Account,
    Bot,
    Deliveries,
}

impl Part {
    /// The heading of its findings.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Settings => "Settings",
            Self::Gateway => "The running gateway",
            Self::Store => "Store",
            Self::Cache => "Token cache",
            Self::WeCom => "WeCom",
            Self::Callback => "Callbacks",
            Self::Secret => "Secrets",
            Self::Account => "Accounts",
            Self::Bot => "Bots",
            Self::Deliveries => "Undelivered events",
        }
    }
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// Works, and may not be what was meant.
    Warning,
    /// Does not work.
    Wrong,
    /// Could not be checked here.
    Skipped,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub part: Part,
    /// Which one of several: a setting, a corp, an account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    pub verdict: Verdict,
    pub tried: String,
    pub seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// A check before it has found anything.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    part: Part,
    subject: String,
    tried: String,
}

impl Tried {
    pub(super) fn new(part: Part, subject: impl Into<String>, tried: impl Into<String>) -> Self {
        Self { part, subject: subject.into(), tried: tried.into() }
    }

    /// The same check, with more of what was tried.
    #[must_use]
    pub(super) fn and(mut self, more: impl std::fmt::Display) -> Self {
        self.tried = format!("{} {more}", self.tried);
        self
    }

    pub(super) fn ok(self, seen: impl Into<String>) -> Finding {
        self.found(Verdict::Ok, seen.into(), None)
    }

    pub(super) fn warning(self, seen: impl Into<String>, advice: impl Into<String>) -> Finding {
        self.found(Verdict::Warning, seen.into(), Some(advice.into()))
    }

    pub(super) fn wrong(self, seen: impl Into<String>, advice: impl Into<String>) -> Finding {
        self.found(Verdict::Wrong, seen.into(), Some(advice.into()))
    }

    pub(super) fn skipped(self, why: impl Into<String>) -> Finding {
        self.found(Verdict::Skipped, why.into(), None)
    }

    fn found(self, verdict: Verdict, seen: String, advice: Option<String>) -> Finding {
        let Self { part, subject, tried } = self;
        Finding { part, subject, verdict, tried, seen, advice }
    }
}

/// A check to be made, with what it is about should it not come to an end.
pub(super) struct Check<'s> {
    pub what: Tried,
    pub run: BoxFuture<'s, Vec<Finding>>,
}

impl<'s> Check<'s> {
    pub(super) fn new(what: Tried, run: impl Future<Output = Vec<Finding>> + Send + 's) -> Self {
        Self { what, run: Box::pin(run) }
    }

    /// One that needed no waiting.
    pub(super) fn done(finding: Finding) -> Self {
        let what = Tried::new(finding.part, finding.subject.as_str(), finding.tried.as_str());
        Self::new(what, async move { vec![finding] })
    }
}

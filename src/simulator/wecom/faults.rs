//! Faults by request: the first rule that fits a call decides, everything else is answered by the
//! rules of WeCom.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::Api;

/// What a rule applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Calls of one API.
    Api(Api),
    /// Calls of every API.
    EveryApi,
    /// WeCom's own calls to a callback URL.
    Callback,
}

impl From<Api> for Target {
    fn from(api: Api) -> Self {
        Self::Api(api)
    }
}

impl Target {
    fn fits(self, actual: Self) -> bool {
        self == actual || (self == Self::EveryApi && matches!(actual, Self::Api(_)))
    }
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The API answers HTTP 200 with this `errcode`, without doing anything.
    Errcode(i64),
    /// The API answers with this HTTP status and no JSON.
    Status(u16),
    /// The API answers, or the callback goes out, so many milliseconds late.
    HangMs(u64),
    /// The API cuts the connection without an answer; the callback is lost on its way.
    Drop,
    /// The API answers 200 with a page that is no JSON, as a captive portal does.
    NotJson,
    /// `kf/sync_msg` answers an empty page with `has_more` 1, as the real one may.
    EmptyPage,
    /// The callback goes out with a signature that does not fit.
    WrongSignature,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(api) => f.write_str(api.path()),
            Self::EveryApi => f.write_str("every API"),
            Self::Callback => f.write_str("the callback"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errcode(code) => write!(f, "errcode {code}"),
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::HangMs(delay) => write!(f, "{delay} ms late"),
            Self::Drop => f.write_str("cut or lost"),
            Self::NotJson => f.write_str("a page that is no JSON"),
            Self::EmptyPage => f.write_str("an empty page with has_more"),
            Self::WrongSignature => f.write_str("a wrong signature"),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Next(count) => write!(f, "the next {count}"),
            Self::Every(2) => f.write_str("every second one"),
            Self::Every(nth) => write!(f, "every {nth}th"),
        }
    }
}

impl Fault {
    pub fn hang(delay: Duration) -> Self {
        Self::HangMs(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
    }
}

/// When a rule applies to what it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    Always,
    /// The next so many, then never again.
    Next(u64),
    /// Every n-th: the n-th, the 2n-th and so on.
    Every(u64),
}

/// A rule as a script writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "target": { "api": "get_token" }, "fault": { "errcode": -1 }, "when": { "next": 3 } }))]
pub struct NewRule {
    pub target: Target,
    pub fault: Fault,
    pub when: When,
}

impl std::str::FromStr for NewRule {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

/// One rule and how often it was asked.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Rule {
    pub target: Target,
    pub fault: Fault,
    pub when: When,
    /// How many calls it has seen.
    pub seen: u64,
}

/// All rules, asked in the order they were made.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Rule>);

impl Faults {
    pub fn add(&mut self, target: Target, fault: Fault, when: When) {
        self.0.push(Rule { target, fault, when, seen: 0 });
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn rules(&self) -> Vec<Rule> {
        self.0.clone()
    }

    /// The fault of this call. Every rule that fits counts the call until one applies.
    pub fn next(&mut self, target: Target) -> Option<Fault> {
        let fault = self.0.iter_mut().filter(|rule| rule.target.fits(target)).find_map(|rule| {
            rule.seen += 1;
            let applies = match rule.when {
                When::Always => true,
                When::Next(count) => rule.seen <= count,
                When::Every(nth) => nth > 0 && rule.seen.is_multiple_of(nth),
            };
            applies.then(|| rule.fault.clone())
        });
        self.0.retain(|rule| !matches!(rule.when, When::Next(count) if rule.seen >= count));
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applies_to_the_next_calls_only() {
        let mut faults = Faults::default();
        faults.add(Api::GetToken.into(), Fault::Errcode(-1), When::Next(2));
        assert_eq!(faults.next(Api::SyncMsg.into()), None);
        assert_eq!(faults.next(Api::GetToken.into()), Some(Fault::Errcode(-1)));
        assert_eq!(faults.next(Api::GetToken.into()), Some(Fault::Errcode(-1)));
        assert_eq!(faults.next(Api::GetToken.into()), None);
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn applies_to_every_second_call() {
        let mut faults = Faults::default();
        faults.add(Target::Callback, Fault::Drop, When::Every(2));
        let dropped: Vec<bool> = (0..4).map(|_| faults.next(Target::Callback).is_some()).collect();
        assert_eq!(dropped, [false, true, false, true]);
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let mut faults = Faults::default();
        faults.add(Target::EveryApi, Fault::Status(502), When::Next(1));
        faults.add(Api::SyncMsg.into(), Fault::NotJson, When::Always);
        assert_eq!(faults.next(Api::SyncMsg.into()), Some(Fault::Status(502)));
        assert_eq!(faults.next(Api::SyncMsg.into()), Some(Fault::NotJson));
        assert_eq!(faults.next(Target::Callback), None);
    }
}

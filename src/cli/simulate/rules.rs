//! The rules of `simulate wecom` that a flag can change.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use jiff::Timestamp;

use crate::domain::Clock;
use crate::simulator::wecom::{NewRule, RepeatedToken, Wecom, WecomOptions};

/// How WeCom behaves, where the real one's behaviour is not what is wanted.
#[derive(Debug, ClapArgs)]
pub(super) struct RuleArgs {
    /// Its clock stands still at this time (RFC 3339) and moves only on request: a run can be repeated to
    /// the millisecond
    #[arg(long, value_name = "TIME")]
    clock: Option<Timestamp>,
    /// The only addresses that may use access tokens (else 60020); several are possible [default: every one]
    #[arg(long = "trusted", value_name = "IP")]
    trusted: Vec<IpAddr>,
    /// How long access tokens live
    #[arg(long, value_name = "SECONDS", default_value_t = 7200)]
    token_lifetime: u64,
    /// What gettoken returns while an earlier token is good
    #[arg(long, value_enum, value_name = "KIND", default_value = "same-remaining")]
    repeated_token: RepeatedTokenKind,
    /// What an expired token is answered with: 42001, or 40014 as seen in the wild
    #[arg(long, value_name = "ERRCODE", default_value_t = 42001)]
    expired_errcode: i64,
    /// A fault rule as POST /simulator/faults takes it; several are possible
    #[arg(long = "fault", value_name = "JSON")]
    faults: Vec<NewRule>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RepeatedTokenKind {
    /// The same, with the seconds that remain
    SameRemaining,
    /// The same, with a full lifetime
    SameFull,
    /// A new one
    New,
}

impl RuleArgs {
    pub fn options(&self, seed: u64) -> WecomOptions {
        WecomOptions {
            seed,
            clock: self.clock.map_or_else(Clock::default, Clock::standing_still_at),
            token_lifetime: Duration::from_secs(self.token_lifetime),
            repeated_token: match self.repeated_token {
                RepeatedTokenKind::SameRemaining => RepeatedToken::SameRemaining,
                RepeatedTokenKind::SameFull => RepeatedToken::SameFull,
                RepeatedTokenKind::New => RepeatedToken::New,
            },
            expired_errcode: self.expired_errcode,
            ..WecomOptions::default()
        }
    }

    pub fn trusted(&self) -> &[IpAddr] {
        &self.trusted
    }

    /// The faults there are from the start.
    pub fn break_what_they_say(&self, wecom: &Wecom) {
        for NewRule { target, fault, when } in &self.faults {
            wecom.add_fault(*target, fault.clone(), *when);
        }
    }
}

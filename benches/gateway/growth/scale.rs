//! How much the gateway knows.

use std::fmt;

use wxkf_gateway::domain::grouped;

use crate::events::News;

/// The accounts of [`Scale::Corps`], whatever their number: only one thing grows at a time.
const ACCOUNTS_OF_CORPS: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Of one corp; a bot takes the callbacks of all.
    Accounts(usize),
    /// The same, but the bot deregistered: each account's newest event is held.
    Held(usize),
    /// An account each, at an address of its own.
    Bots(usize),
    /// Declared in a file.
    Corps(usize),
    /// Declared in a file with their corps, each of which has so many.
    Services { corps: usize, each: usize },
}

impl Scale {
    /// Bots are so few because each holds two of the benchmark's open files, of which 1,024 are common.
    pub const ALL: [Self; 10] = [
        Self::Accounts(10),
        Self::Accounts(1_000),
        Self::Accounts(100_000),
        Self::Held(100_000),
        Self::Bots(400),
        Self::Corps(1),
        Self::Corps(100),
        Self::Corps(10_000),
        Self::Services { corps: 1, each: 10 },
        Self::Services { corps: 200, each: 5 },
    ];

    /// What callbacks tell of.
    pub fn news(self) -> News {
        match self {
            Self::Accounts(accounts) | Self::Held(accounts) | Self::Bots(accounts) => News::accounts(accounts),
            Self::Corps(corps) => News::Accounts { accounts: ACCOUNTS_OF_CORPS, corps },
            Self::Services { corps, each } => News::Services { corps, each },
        }
    }

    /// Of what there is more.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Accounts(_) => "accounts",
            Self::Held(_) => "accounts with events held",
            Self::Bots(_) => "bots at addresses of their own",
            Self::Corps(_) => "corps",
            Self::Services { .. } => "services",
        }
    }

    pub fn count(self) -> usize {
        match self {
            Self::Accounts(count) | Self::Held(count) | Self::Bots(count) | Self::Corps(count) => count,
            Self::Services { corps, each } => corps * each,
        }
    }

    /// The least, which the others are compared with.
    pub fn least(self) -> Self {
        match self {
            Self::Accounts(_) | Self::Held(_) | Self::Bots(_) => Self::Accounts(10),
            Self::Corps(_) => Self::Corps(1),
            Self::Services { .. } => Self::Services { corps: 1, each: 10 },
        }
    }
}

/// The row's name.
impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&counted(self.count(), self.kind()))?;
        match self {
            Self::Corps(_) => write!(f, " ({})", counted(ACCOUNTS_OF_CORPS, "accounts")),
            Self::Services { corps, .. } => write!(f, " ({})", counted(*corps, "corps")),
            _ => Ok(()),
        }
    }
}

fn counted(count: usize, kind: &str) -> String {
    let kind = if count == 1 { kind.trim_end_matches('s') } else { kind };
    format!("{} {kind}", grouped(count as u64))
}

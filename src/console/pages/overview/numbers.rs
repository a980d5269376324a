//! How many there are of everything, and the names of what fails.

use std::collections::BTreeMap;

use crate::admin::Desk;
use crate::domain::grouped;
use crate::http::problem::Problem;
use crate::store::{HeldFilter, HeldState, PuppetPages, QueueFilter};

/// What is counted row by row is counted up to here.
const COUNTED: usize = 1_000;

/// A number that may stand for more.
#[derive(Clone, Copy)]
pub(super) struct Count(usize);

impl Count {
    pub fn text(self) -> String {
        let number = grouped(self.0.min(COUNTED) as u64);
        if self.0 > COUNTED { format!("{number}+") } else { number }
    }

    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

pub(super) struct Numbers {
    pub bots: Bots,
    pub held: Count,
    pub expired: Count,
    pub waiting: Count,
    /// Services for which something waits, with why the last attempt failed.
    pub behind: BTreeMap<String, Option<String>>,
    pub tokens: usize,
    pub next_expiry: Option<String>,
    /// Corps of apps whose token cannot be had, with the reason.
    pub without_token: Vec<(String, String)>,
}

#[derive(Default)]
pub(super) struct Bots {
    pub online: usize,
    pub offline: usize,
    /// Names of those to which no connection comes about.
    pub away: Vec<String>,
    /// Names of those whose last attempt failed otherwise, with the reason.
    pub failing: Vec<(String, String)>,
}

impl Numbers {
    pub async fn of(desk: &Desk) -> Result<Self, Problem> {
        let held = async |state| {
            let filter = HeldFilter { state: Some(state), ..HeldFilter::default() };
            desk.store.list_held(&filter, None, COUNTED + 1).await.map(|rows| rows.len())
        };
        let queued = async |state| {
            let filter = QueueFilter { state: Some(state), ..QueueFilter::default() };
            desk.store.list_queued(&filter, None, COUNTED + 1).await
        };
        let waiting = queued(HeldState::Live).await?;
        let mut behind: BTreeMap<String, Option<String>> = BTreeMap::new();
        for row in &waiting {
            let error = behind.entry(row.event.service.to_string()).or_default();
            *error = error.take().or_else(|| row.last_error.clone());
        }
        let expired = held(HeldState::Expired).await? + queued(HeldState::Expired).await?.len();
        let tokens = desk.list_tokens().await;
        let without = tokens.iter().filter_map(|token| Some((token.corp_id.clone(), token.last_error.clone()?)));
        Ok(Self {
            bots: Bots::of(desk).await?,
            held: Count(held(HeldState::Live).await?),
            expired: Count(expired),
            waiting: Count(waiting.len()),
            behind,
            next_expiry: tokens.iter().filter_map(|token| token.expires_at.clone()).min(),
            without_token: without.collect(),
            tokens: tokens.len(),
        })
    }
}

impl Bots {
    async fn of(desk: &Desk) -> Result<Self, Problem> {
        let (mut bots, mut pages) = (Self::default(), PuppetPages::of(desk.store.as_ref(), COUNTED));
        while let Some(page) = pages.next().await? {
            for bot in page {
                let account = bot.account();
                let name = if bot.name.is_empty() { bot.kf_id.to_string() } else { bot.name };
                match (bot.online, bot.away_since) {
                    (false, _) => bots.offline += 1,
                    (true, Some(_)) => bots.away.push(name),
                    (true, None) => {
                        bots.online += 1;
                        let last = desk.dispatcher.last_attempts(&account);
                        bots.failing.extend(last.standing_failure().map(|failed| (name, failed.error.clone())));
                    }
                }
            }
        }
        Ok(bots)
    }
}

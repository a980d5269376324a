//! Renewal ahead of expiry, for tokens in use: no caller then waits for WeCom.
//!
//! A token is in use when somebody took it since it was fetched: a bot asks once in a token's life,
//! so a token that nobody took in its whole life is not renewed again.

use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use tracing::warn;

use super::source::Purpose;
use super::{AccessTokens, life};
use crate::domain::{App, AppKey};

/// The loop looks at least so often, since what falls due can change in between.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// … and not more often: what is due and fails stays due.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Renewals at the same time, so that a thousand apps do not call WeCom at once.
const AT_ONCE: usize = 8;

struct Due {
    at: Timestamp,
    app: App,
    key: AppKey,
    fetched_at: Timestamp,
}

impl AccessTokens {
    /// Gets to know the tokens that outlived the last process, then renews ahead of expiry, until
    /// the gateway stops. One such task a process.
    pub async fn run_renewals(self) {
        // What is cut off here are waits; flights are tasks of their own.
        tokio::select! {
            () = self.keep_renewed() => {}
            () = self.inner.tasks.stopping() => {}
        }
    }

    async fn keep_renewed(&self) {
        while let Err(error) = self.inner.source.cache.load().await {
            warn!(%error, "the saved access tokens cannot be read yet");
            tokio::time::sleep(LONGEST_WAIT).await;
        }
        loop {
            self.renew_due().await;
            tokio::time::sleep(self.until_next().clamp(SHORTEST_WAIT, LONGEST_WAIT)).await;
        }
    }

    /// Renews what is due now.
    pub(super) async fn renew_due(&self) {
        let now = self.inner.source.clock.now();
        let due: Vec<Due> = self.upcoming().into_iter().filter(|due| due.at <= now).collect();
        let renew = async |due: Due| {
            // A failure is remembered and logged where it happened; the next pass tries again.
            let _ = self.fly(&due.app, &due.key, Purpose::Ahead(due.fetched_at)).await;
        };
        futures::stream::iter(due).for_each_concurrent(AT_ONCE, renew).await;
    }

    fn until_next(&self) -> Duration {
        let now = self.inner.source.clock.now();
        let next = self.upcoming().into_iter().map(|due| due.at).min();
        next.and_then(|next| Duration::try_from(next.duration_since(now)).ok()).unwrap_or(LONGEST_WAIT)
    }

    /// The tokens in use that live, and when each is to be renewed. Asks nobody, because it looks at
    /// every token every few seconds: whether another replica was faster, the flight finds out.
    fn upcoming(&self) -> Vec<Due> {
        let (source, now) = (&self.inner.source, self.inner.source.clock.now());
        let mut upcoming = Vec::new();
        for (key, record) in source.ledger.records() {
            let Some(token) = source.cache.known(&key) else { continue };
            let in_use = life::is_live(&token, now) && record.used_since(token.fetched_at);
            if let Some(at) = life::renewal_at(&token).filter(|_| in_use) {
                let failed_until = source.agreement().failure(&key).map_or(at, |last| last.until);
                let at = at.max(failed_until);
                upcoming.push(Due { at, app: record.app.clone(), key, fetched_at: token.fetched_at });
            }
        }
        upcoming
    }
}

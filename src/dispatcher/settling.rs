//! Rows that other replicas hold of accounts whose bots this one delivers to: they are needless, and
//! nobody else knows it yet.
//!
//! The one decision a reader would question: they are looked for a moment later and for many
//! accounts at once. Asking the store at each delivery would cost more than the delivery, and the
//! worst case of being late is one poke too many.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::warn;

use super::Inner;
use crate::domain::{Account, KfEvent, Order};
use crate::store::{Result, Settled};

/// Deliveries are gathered for so long.
const GATHERED_FOR: Duration = Duration::from_secs(1);
/// What replicas' clocks may be apart: a row that looks so little older than what was delivered may be of a newer event.
const CLOCKS_APART: Duration = Duration::from_secs(1);
/// Accounts that the store is asked about at once.
const AT_ONCE: usize = 500;
/// Beyond this many, deliveries go without: their accounts' rows cost a poke each.
const MOST: usize = 50_000;

/// What was delivered lately, the newest of each account.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    latest: Mutex<HashMap<Account, Settled>>,
    any: Notify,
}

impl Deliveries {
    pub(super) fn note(&self, sent: &KfEvent) {
        let settled = Settled { order: surely_older(sent.order), trust: sent.trust };
        let mut latest = self.latest.lock();
        if let Some(known) = latest.get_mut(&sent.account) {
            if (known.trust, known.order) < (settled.trust, settled.order) {
                *known = settled;
            }
        } else if latest.len() < MOST {
            latest.insert(sent.account.clone(), settled);
            self.any.notify_one();
        }
    }

    fn take(&self) -> Vec<(Account, Settled)> {
        self.latest.lock().drain().collect()
    }
}

fn surely_older(order: Order) -> Order {
    Order {
        created: order.created.saturating_sub_unsigned(CLOCKS_APART.as_secs()),
        arrival: order.arrival.saturating_sub_unsigned(CLOCKS_APART.as_millis() as u64),
    }
}

impl Inner {
    /// Runs until the gateway stops.
    pub(super) async fn settle_elsewhere(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.tasks.stopping() => return,
                () = self.deliveries.any.notified() => {}
            }
            if !self.tasks.pause(GATHERED_FOR).await {
                return;
            }
            let delivered = self.deliveries.take();
            if let Err(error) = self.settle_all(&delivered).await {
                warn!(error = %error, "cannot look for delivered events that other replicas hold");
            }
        }
    }

    async fn settle_all(&self, delivered: &[(Account, Settled)]) -> Result<()> {
        for delivered in delivered.chunks(AT_ONCE) {
            let accounts: Vec<Account> = delivered.iter().map(|(account, _)| account.clone()).collect();
            let holding = self.events.holding(&accounts).await?;
            for (account, settled) in delivered.iter().filter(|(account, _)| holding.contains(account)) {
                self.events.settle(account, settled).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_a_second_behind_makes_look_older_is_not_surely_older() {
        let sent = Order { created: 104, arrival: 104_100 };
        let settled = surely_older(sent);
        for newer in [Order { created: 104, arrival: 104_000 }, Order { created: 103, arrival: 103_950 }] {
            assert!(newer > settled, "{newer:?}");
        }
        assert!(Order { created: 102, arrival: 104_000 } < settled);
        assert_eq!(surely_older(Order { created: i64::MIN, arrival: i64::MIN }).created, i64::MIN);
    }
}

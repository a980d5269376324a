//! Held events: claims what is due and puts it into its lane, or gives it up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::SignedDuration;
use tracing::{info, warn};

use super::lane::{Held, Lane, Row, Work};
use super::{HELD_AT_ONCE, Inner};
use crate::domain::{KfEvent, Trust};
use crate::store::{HeldEvent, Result};

/// Expired events are kept for the operator for so long.
const KEEP_EXPIRED: SignedDuration = SignedDuration::from_hours(7 * 24);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Other replicas may die with events that this one has not seen: the time until somebody takes them
/// over is this and their lease.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Between two looks, however much is due.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// After a failure of the store.
const PAUSE: Duration = Duration::from_secs(1);

impl Inner {
    /// Runs until the gateway stops.
    pub(super) async fn work_on_held_events(self: Arc<Self>) {
        let mut known = false;
        loop {
            let wait = match self.turn(&mut known).await {
                Ok(wait) => wait,
                Err(error) => {
                    warn!(error = %error, "cannot work on held events");
                    PAUSE
                }
            };
            tokio::select! {
                () = self.tasks.stopping() => return,
                () = self.due.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Runs until the gateway stops, beside the work: of many rows it takes its time.
    pub(super) async fn sweep_held_events(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.tasks.stopping() => return,
                () = self.sweep() => {}
            }
            if !self.tasks.pause(SWEEP_EVERY).await {
                return;
            }
        }
    }

    /// Claims and hands over everything that is due; says when the next is.
    async fn turn(self: &Arc<Self>, known: &mut bool) -> Result<Duration> {
        // Of a shared store this replica can never know which accounts have rows.
        if !*known && !self.directory.is_shared() {
            for account in self.events.waiting_accounts().await? {
                self.lanes.with(&account, |lane| lane.held = lane.held.take().or(Some(Held::Some)));
            }
            *known = true;
        }
        while !self.tasks.is_stopping() {
            let free = self.free_places().await;
            let due = self.events.claim_due(self.clock.now(), &self.lease(), free).await?;
            let last = due.len() < free;
            // One that cannot be given up keeps no other from its bot.
            let mut outcome = Ok(());
            for held in due {
                outcome = outcome.and(self.take(held).await);
            }
            outcome?;
            if last {
                break;
            }
        }
        // Whatever is stored from here on wakes the worker, until it is known when it looks again.
        self.next_turn.store(i64::MAX, Ordering::Release);
        let now = self.clock.now();
        let latest = now + if self.directory.is_shared() { LOOK_EVERY } else { SWEEP_EVERY };
        let next = self.events.next_due().await?.unwrap_or(latest).clamp(now + SHORTEST_PAUSE, latest);
        self.next_turn.store(next.as_millisecond(), Ordering::Release);
        Ok(Duration::try_from(next.duration_since(now)).unwrap_or_default())
    }

    /// How many held events may be taken on now; waits until it is at least one.
    async fn free_places(&self) -> usize {
        drop(self.permits.acquire().await);
        self.permits.available_permits().clamp(1, HELD_AT_ONCE)
    }

    async fn take(self: &Arc<Self>, held: HeldEvent) -> Result<()> {
        let account = held.event.account.clone();
        let now = self.clock.now();
        if held.expires_at <= now {
            info!(
                corp.id = %account.corp, kf.id = %account.kf, event.id = %held.event.id,
                attempts = held.attempts, error = held.last_error, "gave an event up"
            );
            self.meters.expired(&held.event);
            if self.is_vouched_for(&held.event).await? {
                self.events.expire(&held.event.id, now).await?;
            } else {
                self.events.delete_held(&held.event.id).await?;
            }
            self.lanes.with(&account, Lane::given_up);
            return Ok(());
        }
        let row = Row {
            attempts: held.attempts,
            expires_at: held.expires_at,
            permit: self.permits.clone().try_acquire_owned().ok(),
        };
        self.enqueue(&account, Work::stored(held.event, row));
        Ok(())
    }

    /// Whether somebody stands behind the event: WeCom, the gateway's password, or a bot that has its
    /// account. Others can be made up without end, so that they are not kept for the operator.
    async fn is_vouched_for(&self, event: &KfEvent) -> Result<bool> {
        if event.trust == Trust::Signed {
            return Ok(true);
        }
        let bot = self.directory.puppet(&event.account.kf).await?;
        Ok(bot.is_some_and(|bot| bot.corp_id == event.account.corp))
    }

    async fn sweep(&self) {
        if self.directory.is_shared() {
            self.lanes.forget_rows_before(self.clock.now() - (self.settings.event_ttl + SWEEP_EVERY));
        }
        if let Err(error) = self.events.sweep(self.clock.now() - KEEP_EXPIRED).await {
            warn!(error = %error, "cannot sweep old events");
        }
    }
}

//! From an event to its bot: deliver first, store only what could not be delivered.
//!
//! The answer to WeCom hangs on it, so [`Dispatcher::submit`] says what became of the event. Its
//! work is done by tasks that the shutdown waits for, never in the caller's: WeCom hangs up after
//! 5 s, and an HTTP handler is dropped when its caller does.

mod forward;
mod holding;
mod hosts;
mod lane;
mod meters;
mod presence;
mod retry;
mod runner;
mod settling;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, Notify, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};

use crate::domain::{Account, Clock, EventId, KfEvent, Puppet};
use crate::lifecycle::Tasks;
use crate::live::Live;
use crate::store::{self, Directory, Events};

use lane::Lane;
use meters::Meters;

pub use forward::{Form, Format, Forwarder};
pub use lane::{FailedAttempt, LastAttempts};
pub use meters::METRICS;
pub use retry::RetryPolicy;

/// Held events that are on their way at the same time.
const HELD_AT_ONCE: usize = 512;

/// A redelivered event lives at least so long, however short `EVENT_TTL` is: it may have to wait for
/// the minute since the last poke without a token.
const REDELIVERY_LIFE: Duration = runner::WITHOUT_TOKEN_EVERY.saturating_mul(2);

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// Its bot, or a newer event's, answered 2xx.
    Delivered,
    /// It is durable and will be retried.
    Stored,
    /// Neither worked: the caller must send it again.
    Unavailable,
}

/// How the dispatcher behaves; the defaults are the settings' defaults.
#[derive(Debug, Clone)]
pub struct DispatcherSettings {
    /// `DISPATCH_TIMEOUT`: one attempt.
    pub attempt_limit: Duration,
    /// `EVENT_TTL`.
    pub event_ttl: Duration,
    /// `REGISTRATION_GRACE`.
    pub registration_grace: Duration,
    pub retry: RetryPolicy,
    /// Who holds the leases of this replica.
    pub replica: String,
}

/// The dispatcher's handle; clones share it.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: DispatcherSettings,
    directory: Arc<Directory>,
    events: Arc<dyn Events>,
    forwarder: Forwarder,
    clock: Clock,
    tasks: Tasks,
    lanes: lane::Lanes,
    meters: Meters,
    /// Wakes the worker: something is due earlier than `next_turn`.
    due: Notify,
    /// When the worker looks again by itself, in milliseconds since 1970.
    next_turn: AtomicI64,
    probers: AtomicU64,
    hosts: hosts::Hosts,
    permits: Arc<Semaphore>,
    deliveries: settling::Deliveries,
    /// Held while an event is counted and stored that nobody vouches for and no bot takes.
    unvouched: Mutex<()>,
}

impl Dispatcher {
    pub fn new(
        settings: DispatcherSettings,
        directory: Arc<Directory>,
        events: Arc<dyn Events>,
        forwarder: Forwarder,
        clock: Clock,
        tasks: Tasks,
        live: Live,
    ) -> Self {
        let inner = Inner {
            settings,
            directory,
            events,
            forwarder,
            clock,
            tasks,
            lanes: lane::Lanes::new(live.clone()),
            meters: Meters::new(live),
            due: Notify::new(),
            next_turn: AtomicI64::new(i64::MAX),
            probers: AtomicU64::new(0),
            hosts: hosts::Hosts::new(),
            permits: Arc::new(Semaphore::new(HELD_AT_ONCE)),
            deliveries: settling::Deliveries::default(),
            unvouched: Mutex::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts the work on held events and the probing of bots that were away before the start.
    pub fn start(&self) {
        let inner = &self.inner;
        inner.tasks.spawn(inner.clone().work_on_held_events());
        inner.tasks.spawn(inner.clone().sweep_held_events());
        inner.tasks.spawn(inner.clone().probe_known_absentees());
        if inner.directory.is_shared() {
            inner.tasks.spawn(inner.clone().settle_elsewhere());
        }
    }

    /// Brings the event to its bot, or stores it. Answers by the deadline; goes on after it, and when
    /// the caller is gone.
    pub async fn submit(&self, event: Arc<KfEvent>, deadline: Instant) -> Receipt {
        let (waiter, receipt) = oneshot::channel();
        let account = event.account.clone();
        debug!(corp.id = %account.corp, kf.id = %account.kf, event.id = %event.id, "an event for a bot");
        if self.inner.lanes.with(&account, |lane| lane.offer(event, waiter)) == lane::Next::Run {
            self.inner.clone().start_lane(account);
        }
        match timeout_at(deadline, receipt).await {
            Ok(Ok(receipt)) => receipt,
            Ok(Err(_)) | Err(_) => Receipt::Unavailable,
        }
    }

    /// A bot (re)registered: it is not away, and its events go when its grace is over.
    pub async fn registered(&self, puppet: &Puppet) -> store::Result<()> {
        self.inner.lanes.with(&puppet.account(), Lane::registered);
        let at = self.inner.grace_end(puppet).unwrap_or_else(|| self.inner.clock.now());
        self.inner.wake(&puppet.account(), at).await
    }

    /// The operator's wish: the event goes now, live or expired. False when it is gone.
    pub async fn redeliver(&self, id: &EventId) -> store::Result<bool> {
        let Some(held) = self.inner.events.held(id).await? else { return Ok(false) };
        let now = self.inner.clock.now();
        let life = self.inner.settings.event_ttl.max(REDELIVERY_LIFE);
        let found = self.inner.events.revive(id, now, now + life).await?;
        let account = &held.event.account;
        info!(corp.id = %account.corp, kf.id = %account.kf, event.id = %id, found, "an operator redelivers an event");
        self.inner.lanes.with(account, |lane| {
            lane.note(|trouble| trouble.not_before = None);
            lane.wakes += 1;
        });
        self.inner.due_at(now);
        Ok(found)
    }

    /// Deletes the held event. False when it is gone.
    pub async fn forget(&self, id: &EventId) -> store::Result<bool> {
        let Some(held) = self.inner.events.held(id).await? else { return Ok(false) };
        let found = self.inner.events.delete_held(id).await?;
        let account = &held.event.account;
        info!(corp.id = %account.corp, kf.id = %account.kf, event.id = %id, found, "an operator deletes an event");
        self.inner.lanes.with(account, Lane::given_up);
        Ok(found)
    }

    /// The last attempts that this replica made on the account's bot.
    pub fn last_attempts(&self, account: &Account) -> LastAttempts {
        self.inner.lanes.peek(account, |lane| lane.last.clone()).unwrap_or_default()
    }
}

impl Inner {
    /// Until when nothing may be sent to the bot, if it registered just now.
    fn grace_end(&self, puppet: &Puppet) -> Option<Timestamp> {
        let end = puppet.registered_at? + self.settings.registration_grace;
        (end > self.clock.now()).then_some(end)
    }

    /// Makes the account's events due at `at`.
    async fn wake(&self, account: &Account, at: Timestamp) -> store::Result<()> {
        self.events.wake(account, at).await?;
        self.due_at(at);
        Ok(())
    }

    /// Something is due then: the worker is woken if it would look later.
    fn due_at(&self, at: Timestamp) {
        if at.as_millisecond() < self.next_turn.load(Ordering::Acquire) {
            self.due.notify_one();
        }
    }
}

//! Runs a lane: takes what waits, decides, attempts, and stores what could not be delivered.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::forward::{Attempted, Form};
use super::lane::{Held, Lane, LastAttempt, Next, Row, Work};
use super::{Inner, Receipt};
use crate::domain::{Account, KfEvent, Puppet, Trust};
use crate::store::{HeldEvent, HeldState, Lease, Postponed, Settled, StoreError};

/// After so long without an answer an event is stored, and its callers are answered.
const PATIENCE: Duration = Duration::from_secs(1);
/// What all steps of the store may take for one event.
const STORE_LIMIT: Duration = Duration::from_secs(2);
/// From an event's turn to the end of an attempt that is made because the store failed.
const RESCUE_LIMIT: Duration = Duration::from_millis(4_200);
/// A new event shortens the wait of its account to this.
const SHORTENED_WAIT: Duration = Duration::from_secs(5);
/// A bot is sent a poke without token at most once in this time: each costs it a penalised call.
const WITHOUT_TOKEN_EVERY: Duration = Duration::from_secs(60);
/// WeCom's sync tokens live ten minutes; what is older goes without.
const TOKEN_LIFE: Duration = Duration::from_secs(9 * 60 + 45);
/// Accounts without a bot for which unsigned events are held, a corp.
const UNKNOWN_ACCOUNTS_HELD: u64 = 1_000;
/// How much longer than an attempt its lease lasts.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// Why an event is stored instead of sent; the texts stand in the log and the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    NoBot,
    Away,
    Grace(Timestamp),
    BackingOff,
    /// An attempt on it is under way.
    Slow,
    SentWithoutTokenJustNow,
    Failed(String),
}

impl Reason {
    fn text(&self) -> &str {
        match self {
            Self::NoBot => "no bot is online for this account",
            Self::Away => "the bot is away",
            Self::Grace(_) => "the bot registered just now",
            Self::BackingOff => "waiting after a failed attempt",
            Self::Slow => "the bot has not answered yet",
            Self::SentWithoutTokenJustNow => "a poke without token went less than a minute ago",
            Self::Failed(error) => error,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::NoBot => "no_bot",
            Self::Away => "away",
            Self::Grace(_) => "grace",
            Self::BackingOff => "backing_off",
            Self::Slow => "slow",
            Self::SentWithoutTokenJustNow => "paced",
            Self::Failed(_) => "failed",
        }
    }
}

enum Decision {
    Attempt(Arc<Puppet>),
    /// Store it; look at it again at that time.
    Hold(Reason, Timestamp, Option<Arc<Puppet>>),
    /// The store cannot even say which bot it is for.
    Unavailable,
}

type Attempt = Pin<Box<dyn Future<Output = Attempted> + Send>>;

impl Inner {
    /// Starts the task that runs the lane until nothing waits in it.
    pub(super) fn start_lane(self: Arc<Self>, account: Account) {
        let tasks = self.tasks.clone();
        tasks.spawn(async move {
            let mut run = Run { inner: &self, account: &account, finished: false };
            while let Some(work) = self.lanes.with(&account, Lane::next) {
                self.process(&account, work).await;
            }
            run.finished = true;
        });
    }

    pub(super) fn enqueue(self: &Arc<Self>, account: &Account, work: Work) {
        if self.lanes.with(account, |lane| lane.enqueue(work)) == Next::Run {
            self.clone().start_lane(account.clone());
        }
    }

    async fn process(self: &Arc<Self>, account: &Account, work: Work) {
        let started = Instant::now();
        match self.decide(account, &work, started).await {
            Decision::Attempt(bot) => self.attempt(account, work, bot, self.settings.attempt_limit).await,
            Decision::Unavailable => self.lanes.with(account, |lane| lane.answer(Receipt::Unavailable)),
            Decision::Hold(reason, due, bot) => self.hold(account, work, reason, due, bot, started).await,
        }
    }

    async fn decide(self: &Arc<Self>, account: &Account, work: &Work, started: Instant) -> Decision {
        let now = self.clock.now();
        let expiry = self.expiry(work);
        let bot = match timeout_at(started + STORE_LIMIT, self.directory.bot(account)).await {
            Ok(Ok(Some(bot))) => bot,
            Ok(Ok(None)) => return Decision::Hold(Reason::NoBot, expiry, None),
            Ok(Err(error)) => {
                warn!(corp.id = %account.corp, kf.id = %account.kf, error = %error, "cannot look the bot up");
                return Decision::Unavailable;
            }
            Err(_) => return Decision::Unavailable,
        };
        let (probed, not_before, paced) = self.lanes.with(account, |lane| {
            let paced = lane.sent_without_token.map(|at| at + WITHOUT_TOKEN_EVERY);
            (lane.prober.is_some(), lane.not_before, paced)
        });
        if probed || bot.away_since.is_some() {
            self.probe(bot.clone());
            return Decision::Hold(Reason::Away, expiry, Some(bot));
        }
        if let Some(end) = self.grace_end(&bot) {
            return Decision::Hold(Reason::Grace(end), end, Some(bot));
        }
        if let Some(error) = &work.failed {
            let due = not_before.unwrap_or(now);
            return Decision::Hold(Reason::Failed(error.clone()), due, Some(bot));
        }
        if let Some(until) = not_before.filter(|&until| until > now) {
            let due = if work.row.is_some() { until } else { until.min(now + SHORTENED_WAIT) };
            self.lanes.with(account, |lane| lane.not_before = Some(due));
            return Decision::Hold(Reason::BackingOff, due, Some(bot));
        }
        match paced.filter(|&until| until > now && self.form(work) == Form::WithoutToken) {
            Some(until) => Decision::Hold(Reason::SentWithoutTokenJustNow, until, Some(bot)),
            None => Decision::Attempt(bot),
        }
    }

    /// The first attempt is always made in the normal form; later ones only while the token lives.
    fn form(&self, work: &Work) -> Form {
        let age = self.clock.now().duration_since(work.event.born_at).unsigned_abs();
        let dead = age > TOKEN_LIFE || age > self.settings.event_ttl;
        if work.row.is_some() && dead { Form::WithoutToken } else { Form::Normal }
    }

    fn expiry(&self, work: &Work) -> Timestamp {
        match &work.row {
            Some(row) => row.expires_at,
            None => work.event.born_at + self.settings.event_ttl,
        }
    }

    async fn attempt(self: &Arc<Self>, account: &Account, mut work: Work, bot: Arc<Puppet>, limit: Duration) {
        let began = Instant::now();
        let form = self.form(&work);
        if form == Form::WithoutToken {
            let now = self.clock.now();
            self.lanes.with(account, |lane| lane.sent_without_token = Some(now));
        }
        let (inner, to, event) = (self.clone(), bot.clone(), work.event.clone());
        let mut attempt: Attempt = Box::pin(async move { inner.forwarder.deliver(&to, &event, form, limit).await });
        let (attempted, stored) = match timeout(PATIENCE, &mut attempt).await {
            Ok(attempted) => (attempted, None),
            Err(_) => self.while_it_takes_long(account, attempt, &mut work, began + limit).await,
        };
        self.meters.attempted(&attempted, began.elapsed());
        match attempted {
            Attempted::Delivered => self.delivered(account, &work, stored).await,
            Attempted::NoConnection(error) => {
                info!(corp.id = %account.corp, kf.id = %account.kf, event.id = %work.event.id, error, "the bot is away");
                self.probe(bot);
                self.failed(account, work, stored, error).await;
            }
            Attempted::Failed(error) => {
                warn!(corp.id = %account.corp, kf.id = %account.kf, event.id = %work.event.id, error, "an attempt failed");
                self.failed(account, work, stored, error).await;
            }
        }
    }

    /// The bot takes its time: the newest event is stored and its callers are answered, while the
    /// attempt goes on. What arrives meanwhile is stored at once.
    async fn while_it_takes_long(
        self: &Arc<Self>,
        account: &Account,
        attempt: Attempt,
        work: &mut Work,
        until: Instant,
    ) -> (Attempted, Option<Arc<KfEvent>>) {
        if let Some(row) = &mut work.row {
            row.permit = None;
        }
        let arrivals: Arc<Notify> = self.lanes.with(account, Lane::announce_arrivals);
        // A task of its own, so that a slow store does not keep it from being polled.
        let mut attempt = self.tasks.spawn(attempt);
        let mut stored = None;
        loop {
            if let Some(event) = self.lanes.with(account, Lane::newest_unstored)
                && self.insert(&event, &Reason::Slow, self.clock.now(), 1, Some(until)).await.is_ok()
            {
                self.lanes.with(account, |lane| lane.stored(&event));
                stored = Some(event);
            }
            tokio::select! {
                attempted = &mut attempt => {
                    let broke_off = |_| Attempted::Failed("the attempt broke off".to_owned());
                    return (attempted.unwrap_or_else(broke_off), stored);
                }
                () = arrivals.notified() => {}
            }
        }
    }

    async fn delivered(self: &Arc<Self>, account: &Account, work: &Work, stored: Option<Arc<KfEvent>>) {
        let sent = &work.event;
        debug!(corp.id = %account.corp, kf.id = %account.kf, event.id = %sent.id, "delivered");
        let now = self.clock.now();
        let rows = self.lanes.with(account, |lane| {
            lane.answer(Receipt::Delivered);
            lane.failures = 0;
            lane.not_before = None;
            lane.last = Some(LastAttempt { at: now, error: None });
            lane.held.clone()
        });
        if rows.is_some() || work.row.is_some() {
            let settled = Settled { order: sent.order, trust: sent.trust };
            match timeout(STORE_LIMIT, self.events.settle(account, &settled)).await {
                Ok(Ok(_)) => self.lanes.with(account, |lane| {
                    if !matches!(&lane.held, Some(Held::Newest(newest)) if !sent.settles(newest)) {
                        lane.held = None;
                    }
                }),
                // The rows stay and are delivered once more: harmless.
                Ok(Err(error)) => warn!(event.id = %sent.id, error = %error, "cannot delete a delivered event"),
                Err(_) => warn!(event.id = %sent.id, "the store takes too long to delete a delivered event"),
            }
        }
        // What was stored in the meantime and is newer than what was sent goes at once.
        if let Some(newer) = stored.filter(|stored| !sent.settles(stored)) {
            let row = Row { attempts: 0, expires_at: newer.born_at + self.settings.event_ttl, permit: None };
            let work = Work { event: newer, row: Some(row), failed: None, waiters: Vec::new() };
            self.lanes.with(account, |lane| lane.enqueue(work));
        }
    }

    async fn failed(self: &Arc<Self>, account: &Account, mut work: Work, stored: Option<Arc<KfEvent>>, error: String) {
        let now = self.clock.now();
        let (failures, not_before) = self.lanes.with(account, |lane| {
            lane.failures = lane.failures.saturating_add(1);
            let not_before = now + self.settings.retry.delay(lane.failures);
            lane.not_before = Some(not_before);
            lane.last = Some(LastAttempt { at: now, error: Some(error.clone()) });
            (lane.failures, not_before)
        });
        match (&work.row, stored) {
            (None, None) => {
                work.failed = Some(error);
                self.lanes.with(account, |lane| lane.put_back(work));
            }
            (Some(row), None) => {
                let attempts = row.attempts.saturating_add(1);
                self.postpone(&work.event, not_before.min(row.expires_at), attempts, error).await;
            }
            (_, Some(stored)) => {
                let due = not_before.min(stored.born_at + self.settings.event_ttl);
                self.postpone(&stored, due, failures, error).await;
            }
        }
    }

    async fn hold(
        self: &Arc<Self>,
        account: &Account,
        work: Work,
        reason: Reason,
        due: Timestamp,
        bot: Option<Arc<Puppet>>,
        started: Instant,
    ) {
        if let Some(row) = &work.row {
            self.postpone(&work.event, due.min(row.expires_at), row.attempts, reason.text().to_owned()).await;
            return self.lanes.with(account, |lane| lane.answer(Receipt::Stored));
        }
        if reason == Reason::NoBot && work.event.trust == Trust::Unsigned && !self.may_hold_unsigned(account).await {
            return self.lanes.with(account, |lane| lane.answer(Receipt::Unavailable));
        }
        let attempts = u32::from(work.failed.is_some());
        let Err(error) = self.insert(&work.event, &reason, due, attempts, None).await else {
            return self.lanes.with(account, |lane| lane.stored(&work.event));
        };
        warn!(corp.id = %account.corp, kf.id = %account.kf, event.id = %work.event.id, error, "cannot store an event");
        if let Some(bot) = bot
            && let Some(wait) = self.rescue_after(&reason)
        {
            tokio::time::sleep(wait).await;
            let limit = (started + RESCUE_LIMIT).saturating_duration_since(Instant::now());
            return self.attempt(account, work, bot, limit.min(self.settings.attempt_limit)).await;
        }
        self.lanes.with(account, |lane| lane.answer(Receipt::Unavailable));
    }

    /// Whether an event that the store cannot take is attempted after all, and when: never on a bot
    /// that is away, nor in its grace.
    fn rescue_after(&self, reason: &Reason) -> Option<Duration> {
        match reason {
            Reason::BackingOff => Some(Duration::ZERO),
            Reason::Grace(end) => {
                let wait = Duration::try_from(end.duration_since(self.clock.now())).unwrap_or_default();
                (wait <= STORE_LIMIT).then_some(wait)
            }
            _ => None,
        }
    }

    async fn may_hold_unsigned(&self, account: &Account) -> bool {
        if self.lanes.peek(account, |lane| lane.held.is_some()) == Some(true) {
            return true;
        }
        let counted = timeout(STORE_LIMIT, self.events.count_unknown_unsigned(&account.corp)).await;
        matches!(counted, Ok(Ok(count)) if count < UNKNOWN_ACCOUNTS_HELD)
    }

    /// Makes the event durable. With `attempt_until`, an attempt on it is still under way.
    async fn insert(
        &self,
        event: &Arc<KfEvent>,
        reason: &Reason,
        due: Timestamp,
        attempts: u32,
        attempt_until: Option<Instant>,
    ) -> Result<(), String> {
        let expires_at = event.born_at + self.settings.event_ttl;
        let lease = attempt_until.map(|until| {
            let rest = until.saturating_duration_since(Instant::now());
            Lease { owner: self.settings.replica.clone(), until: self.clock.now() + rest + LEASE_MARGIN }
        });
        let held = HeldEvent {
            event: KfEvent::clone(event),
            state: HeldState::Live,
            expires_at,
            due_at: due.min(expires_at),
            attempts,
            last_error: Some(reason.text().to_owned()),
            lease,
        };
        match timeout(STORE_LIMIT, self.events.hold(&held)).await {
            Ok(Ok(())) => {
                debug!(event.id = %event.id, kf.id = %event.account.kf, reason = reason.label(), "stored");
                metrics::counter!("wxkf_dispatch_held_total", "reason" => reason.label()).increment(1);
                self.due_at(held.due_at);
                Ok(())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the store takes too long".to_owned()),
        }
    }

    async fn postpone(&self, event: &KfEvent, due: Timestamp, attempts: u32, error: String) {
        let postponed = Postponed { due_at: due, attempts, last_error: Some(error) };
        let done = timeout(STORE_LIMIT, self.events.postpone(&event.id, &self.settings.replica, &postponed)).await;
        if let Ok(Err(error @ StoreError::Unavailable(_))) = done {
            // Its lease ends by itself, and it is tried again then.
            warn!(event.id = %event.id, error = %error, "cannot put an event off");
        }
        self.due_at(due);
    }

    pub(super) fn lease(&self) -> Lease {
        let until = self.clock.now() + self.settings.attempt_limit + LEASE_MARGIN;
        Lease { owner: self.settings.replica.clone(), until }
    }
}

/// Frees the lane should its task ever break off in the middle.
struct Run<'a> {
    inner: &'a Inner,
    account: &'a Account,
    finished: bool,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.inner.lanes.with(self.account, Lane::abandon);
        }
    }
}

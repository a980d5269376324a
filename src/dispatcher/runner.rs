//! Runs a lane: takes what waits, decides, attempts. What could not be delivered goes to `holding.rs`.
//!
//! Each callback spawns a run, and its future is copied a few times until it has its place. What is not on the way of
//! an event that its bot takes at once is therefore boxed.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::forward::{Attempted, Form};
use super::holding::{Reason, STORE_LIMIT};
use super::lane::{FailedAttempt, Lane, Next, Row, Work};
use super::{Inner, Receipt};
use crate::domain::{Account, Puppet};
use crate::observe::{Kind, Span};
use crate::store::Settled;

/// After so long without an answer an event is stored, and its callers are answered.
const PATIENCE: Duration = Duration::from_secs(1);
/// A new event shortens the wait of its account to this.
const SHORTENED_WAIT: Duration = Duration::from_secs(5);
/// A bot is sent a poke without token at most once in this time: each costs it a penalised call.
pub(super) const WITHOUT_TOKEN_EVERY: Duration = Duration::from_secs(60);
/// WeCom's sync tokens live ten minutes; what is older goes without.
const TOKEN_LIFE: Duration = Duration::from_secs(9 * 60 + 45);

enum Decision {
    Attempt(Arc<Puppet>),
    /// Store it; look at it again at that time.
    Hold(Reason, Timestamp),
    /// The store cannot even say which bot it is for.
    Unavailable,
}

/// What a decision was made on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// The steps of the store share this time.
    pub store_until: Instant,
    /// [`Lane::wakes`] when the turn began.
    pub wakes: u64,
}

type Attempt = Pin<Box<dyn Future<Output = Attempted> + Send>>;

impl Inner {
    /// Starts the task that runs the lane until nothing waits in it.
    pub(super) fn start_lane(self: Arc<Self>, account: Account) {
        let tasks = self.tasks.clone();
        tasks.spawn(async move {
            let mut run = Run { inner: &self, account: &account, finished: false };
            let next = || self.lanes.with(&account, |lane| Some((lane.next()?, lane.wakes)));
            while let Some((work, wakes)) = next() {
                let trace = work.trace.clone();
                trace.around(pin!(self.process(&account, work, wakes))).await;
            }
            run.finished = true;
        });
    }

    pub(super) fn enqueue(self: &Arc<Self>, account: &Account, work: Work) {
        if self.lanes.with(account, |lane| lane.enqueue(work)) == Next::Run {
            self.clone().start_lane(account.clone());
        }
    }

    async fn process(self: &Arc<Self>, account: &Account, work: Work, wakes: u64) {
        let turn = Turn { store_until: Instant::now() + STORE_LIMIT, wakes };
        match self.decide(account, &work, &turn).await {
            Decision::Attempt(bot) => self.attempt(account, work, bot, self.settings.attempt_limit).await,
            Decision::Unavailable => self.lanes.with(account, |lane| lane.answer(Receipt::Unavailable)),
            Decision::Hold(reason, due) => Box::pin(self.hold(account, work, reason, due, turn)).await,
        }
    }

    async fn decide(self: &Arc<Self>, account: &Account, work: &Work, turn: &Turn) -> Decision {
        let now = self.clock.now();
        let expiry = self.expiry(work);
        let bot = match timeout_at(turn.store_until, self.directory.bot(account)).await {
            Ok(Ok(Some(bot))) => bot,
            Ok(Ok(None)) => return Decision::Hold(Reason::NoBot, expiry),
            Ok(Err(error)) => {
                let event = &work.event.id;
                warn!(corp.id = %account.corp, kf.id = %account.kf, event.id = %event, error = %error, "cannot look the bot up");
                return Decision::Unavailable;
            }
            Err(_) => return Decision::Unavailable,
        };
        let trouble = self.lanes.trouble(account);
        if trouble.is_away(&bot) {
            self.probe(bot);
            return Decision::Hold(Reason::Away, expiry);
        }
        if let Some(end) = self.grace_end(&bot) {
            return Decision::Hold(Reason::Grace(end), end);
        }
        if let Some(error) = &work.failed {
            return Decision::Hold(Reason::Failed(error.clone()), trouble.not_before.unwrap_or(now));
        }
        if let Some(until) = trouble.not_before.filter(|&until| until > now) {
            let due = if work.row.is_some() { until } else { until.min(now + SHORTENED_WAIT) };
            self.lanes.with(account, |lane| lane.note(|trouble| trouble.not_before = Some(due)));
            return Decision::Hold(Reason::BackingOff, due);
        }
        let paced = trouble.sent_without_token.map(|at| at + WITHOUT_TOKEN_EVERY);
        match paced.filter(|&until| until > now && self.form(work) == Form::WithoutToken) {
            Some(until) => Decision::Hold(Reason::SentWithoutTokenJustNow, until),
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

    pub(super) async fn attempt(
        self: &Arc<Self>,
        account: &Account,
        mut work: Work,
        bot: Arc<Puppet>,
        limit: Duration,
    ) {
        let began = Instant::now();
        let form = self.form(&work);
        if form == Form::WithoutToken {
            let now = self.clock.now();
            self.lanes.with(account, |lane| lane.note(|trouble| trouble.sent_without_token = Some(now)));
        }
        let span = attempt_span(&work, &bot);
        let (inner, to, event) = (self.clone(), bot.clone(), work.event.clone());
        let mut attempt: Attempt = Box::pin(async move {
            let attempted = inner.forwarder.deliver(&to, &event, form, limit, &span.trace()).await;
            attempt_over(span, &attempted);
            attempted
        });
        let attempted = match timeout(PATIENCE, &mut attempt).await {
            Ok(attempted) => attempted,
            Err(_) => Box::pin(self.while_it_takes_long(account, attempt, &mut work, began + limit)).await,
        };
        self.meters.attempted(&work.event, &attempted, began.elapsed());
        match attempted {
            Attempted::Delivered => self.delivered(account, &work).await,
            Attempted::NoConnection(error) => {
                info!(corp.id = %account.corp, kf.id = %account.kf, event.id = %work.event.id, error, "the bot is away");
                // A bot that registered meanwhile is another process, mostly at another address.
                if self.is_registered_still(&bot).await {
                    self.probe(bot);
                }
                Box::pin(self.failed(account, work, form, error)).await;
            }
            Attempted::Failed(error) => {
                warn!(corp.id = %account.corp, kf.id = %account.kf, event.id = %work.event.id, error, "an attempt failed");
                Box::pin(self.failed(account, work, form, error)).await;
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
    ) -> Attempted {
        if let Some(row) = &mut work.row {
            row.permit = None;
        }
        let arrivals: Arc<Notify> = self.lanes.with(account, Lane::announce_arrivals);
        // A task of its own, so that a slow store does not keep it from being polled.
        let mut attempt = self.tasks.spawn(attempt);
        loop {
            while !attempt.is_finished()
                && let Some(event) = self.lanes.with(account, |lane| lane.next_unstored())
                && self.insert_slow(&event, until).await.is_ok()
            {
                self.lanes.with(account, |lane| lane.stored(&event));
            }
            tokio::select! {
                biased;
                attempted = &mut attempt => {
                    return attempted.unwrap_or_else(|_| Attempted::Failed("the attempt broke off".to_owned()));
                }
                () = arrivals.notified() => {}
            }
        }
    }

    async fn delivered(self: &Arc<Self>, account: &Account, work: &Work) {
        let sent = &work.event;
        let now = self.clock.now();
        tell_delivered(account, work, now);
        let (stored, rows) = self.lanes.with(account, |lane| {
            let stored = lane.stored_meanwhile();
            lane.delivered(now);
            (stored, lane.held.is_some())
        });
        if rows || work.row.is_some() {
            let settled = Settled { order: sent.order, trust: sent.trust };
            match timeout(STORE_LIMIT, self.events.settle(account, &settled)).await {
                Ok(Ok(_)) => self.lanes.with(account, |lane| lane.settled(sent)),
                // The rows stay and are delivered once more: harmless.
                Ok(Err(error)) => warn!(event.id = %sent.id, error = %error, "cannot delete a delivered event"),
                Err(_) => warn!(event.id = %sent.id, "the store takes too long to delete a delivered event"),
            }
        } else if self.directory.is_shared() {
            self.deliveries.note(sent);
        }
        // What was stored in the meantime and is newer than what was sent goes at once.
        for newer in stored.into_iter().filter(|stored| !sent.settles(stored)) {
            let row = Row { attempts: 0, expires_at: newer.born_at + self.settings.event_ttl, permit: None };
            self.enqueue(account, Work::stored(newer, row));
        }
    }

    async fn failed(self: &Arc<Self>, account: &Account, mut work: Work, form: Form, error: String) {
        let now = self.clock.now();
        let (not_before, stored) = self.lanes.with(account, |lane| {
            let failures = lane.trouble().failures.saturating_add(1);
            let not_before = now + self.settings.retry.delay(failures);
            lane.note(|trouble| (trouble.failures, trouble.not_before) = (failures, Some(not_before)));
            lane.last.failed = Some(Box::new(FailedAttempt { at: now, error: error.clone() }));
            (not_before, lane.stored_meanwhile())
        });
        if stored.is_empty() {
            work.failed = Some(error);
            return self.lanes.with(account, |lane| lane.put_back(work));
        }
        for event in stored {
            let row = work.row.as_ref().filter(|_| event.id == work.event.id);
            let attempts = row.map_or(0, |row| row.attempts).saturating_add(1);
            let expiry = row.map_or(event.born_at + self.settings.event_ttl, |row| row.expires_at);
            // Who takes it next may be another replica, which does not know of the poke.
            let was_without_token = row.is_some() && form == Form::WithoutToken;
            let due = if was_without_token { not_before.max(now + WITHOUT_TOKEN_EVERY) } else { not_before };
            self.postpone(&event, due.min(expiry), attempts, error.clone()).await;
        }
        self.lanes.with(account, |lane| lane.answer(Receipt::Stored));
    }
}

/// Most events go through at once and are many; whoever read that one was in trouble wants to read its end.
fn tell_delivered(account: &Account, work: &Work, now: Timestamp) {
    let event = &work.event;
    let Some(row) = &work.row else {
        return debug!(corp.id = %account.corp, kf.id = %account.kf, event.id = %event.id, "delivered");
    };
    let (attempts, after) = (row.attempts.saturating_add(1), now.duration_since(event.arrival()));
    info!(
        corp.id = %account.corp, kf.id = %account.kf, event.id = %event.id, attempts, after_s = after.as_secs(),
        "delivered an event that was held"
    );
}

/// The bot's side of the trace hangs on it. A stored event begins a trace of its own: its row has no place for
/// the one that it came with, and both have its id.
fn attempt_span(work: &Work, bot: &Puppet) -> Span {
    let mut span = Span::begin(Kind::Client, "deliver to bot");
    span.set("event.id", &work.event.id);
    span.set("corp.id", &work.event.account.corp);
    span.set("kf.id", &work.event.account.kf);
    if let Some(row) = &work.row {
        span.count("event.attempts", row.attempts);
    }
    span.set("server.address", &bot.endpoint.host());
    span
}

fn attempt_over(mut span: Span, attempted: &Attempted) {
    match attempted {
        Attempted::Delivered => {}
        Attempted::NoConnection(error) | Attempted::Failed(error) => span.fail(error),
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

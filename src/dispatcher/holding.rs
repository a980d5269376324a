//! Makes durable what could not be delivered, and delivers after all what cannot be made durable.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use super::lane::Work;
use super::runner::Turn;
use super::{Inner, Receipt};
use crate::domain::{Account, KfEvent, Puppet, Trust};
use crate::observe::{Kind, Span};
use crate::store::{HeldEvent, HeldState, Lease, Postponed, StoreError};

/// What all steps of the store may take for one event.
pub(super) const STORE_LIMIT: Duration = Duration::from_secs(2);
/// From an event's arrival to the end of an attempt that is made because the store failed.
const RESCUE_LIMIT: Duration = Duration::from_millis(4_200);
/// Accounts without a bot for which unsigned events are held, a corp.
const UNKNOWN_ACCOUNTS_HELD: u64 = 1_000;
/// How much longer than an attempt its lease lasts.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// Why an event is stored instead of sent; the texts stand in the log and the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
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
    pub fn text(&self) -> &str {
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

    pub fn label(&self) -> &'static str {
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

impl Inner {
    /// Stores the event, or puts its row off, and answers its callers.
    pub(super) async fn hold(
        self: &Arc<Self>,
        account: &Account,
        work: Work,
        reason: Reason,
        due: Timestamp,
        turn: Turn,
    ) {
        if let Some(row) = &work.row {
            self.postpone(&work.event, due.min(row.expires_at), row.attempts, reason.text().to_owned()).await;
            self.lanes.with(account, |lane| lane.answer(Receipt::Stored));
            return self.make_up_for_a_missed_wake(account, turn);
        }
        let attempts = u32::from(work.failed.is_some());
        let held = self.live(&work.event, &reason, due, attempts, None);
        let stored = if reason == Reason::NoBot && work.event.trust == Trust::Unsigned {
            self.insert_unvouched(account, &held, &reason, turn.store_until).await
        } else {
            self.insert(&held, &reason, turn.store_until).await
        };
        let Err(error) = stored else {
            self.lanes.with(account, |lane| lane.stored(&work.event));
            self.make_up_for_a_missed_wake(account, turn);
            if reason == Reason::NoBot && self.directory.is_shared() {
                self.tasks.spawn(self.clone().look_for_a_bot_again(account.clone()));
            }
            return;
        };
        warn!(corp.id = %account.corp, kf.id = %account.kf, event.id = %work.event.id, error, "cannot store an event");
        Box::pin(self.rescue(account, work, &reason)).await;
    }

    /// The bot registered, or came back, while a row was put off: whoever woke the rows of the account
    /// did not see this one, which would otherwise wait until it expires.
    fn make_up_for_a_missed_wake(self: &Arc<Self>, account: &Account, turn: Turn) {
        if self.lanes.with(account, |lane| lane.wakes) != turn.wakes {
            self.tasks.spawn(self.clone().wake_surely(account.clone()));
        }
    }

    /// Another replica may have registered a bot after it was looked for and before the event was
    /// stored; what it woke were the rows of that moment.
    async fn look_for_a_bot_again(self: Arc<Self>, account: Account) {
        let mut failures = 0;
        let puppet = loop {
            match self.directory.puppet_now(&account.kf).await {
                Ok(puppet) => break puppet,
                Err(_) if self.pause_for_store(&mut failures).await => {}
                Err(_) => return,
            }
        };
        if puppet.is_some_and(|puppet| puppet.online && puppet.corp_id == account.corp) {
            self.wake_surely(account).await;
        }
    }

    /// The store cannot take the event: it is attempted after all, unless its bot is away, or its
    /// grace does not end in time.
    async fn rescue(self: &Arc<Self>, account: &Account, work: Work, reason: &Reason) {
        let wait = match reason {
            Reason::BackingOff => Some(Duration::ZERO),
            Reason::Grace(end) => Some(Duration::try_from(end.duration_since(self.clock.now())).unwrap_or_default()),
            _ => None,
        };
        let until = work.arrived + RESCUE_LIMIT;
        if let Some(wait) = wait.filter(|&wait| wait <= STORE_LIMIT) {
            tokio::time::sleep(wait).await;
            let bot = timeout_at(until, self.directory.bot(account)).await;
            let limit = until.saturating_duration_since(Instant::now()).min(self.settings.attempt_limit);
            if let Ok(Ok(Some(bot))) = bot
                && self.may_be_sent(&bot)
                && !limit.is_zero()
            {
                return self.attempt(account, work, bot, limit).await;
            }
        }
        self.lanes.with(account, |lane| lane.answer(Receipt::Unavailable));
    }

    fn may_be_sent(&self, bot: &Puppet) -> bool {
        !self.lanes.trouble(&bot.account()).is_away(bot) && self.grace_end(bot).is_none()
    }

    /// An event that nobody vouches for and no bot takes: held for so many accounts only. One after
    /// the other, because what is counted must not be stored meanwhile.
    async fn insert_unvouched(
        &self,
        account: &Account,
        held: &HeldEvent,
        reason: &Reason,
        until: Instant,
    ) -> Result<(), String> {
        let known = timeout_at(until, self.directory.puppet(&account.kf)).await;
        let known = matches!(known, Ok(Ok(Some(puppet))) if puppet.corp_id == account.corp);
        if known || self.lanes.peek(account, |lane| lane.held.is_some()) == Some(true) {
            return self.insert(held, reason, until).await;
        }
        let one = timeout_at(until, self.unvouched.lock()).await;
        let counted = timeout_at(until, self.events.count_unknown_unsigned(&account.corp)).await;
        match (one, counted) {
            (Ok(_one), Ok(Ok(count))) if count < UNKNOWN_ACCOUNTS_HELD => self.insert(held, reason, until).await,
            (Ok(_), Ok(Ok(_))) => Err("unsigned events are held for 1,000 accounts without a bot already".to_owned()),
            _ => Err("the store cannot count what it holds".to_owned()),
        }
    }

    /// Makes the event durable while an attempt on its account is still under way.
    pub(super) async fn insert_slow(&self, event: &Arc<KfEvent>, attempt_until: Instant) -> Result<(), String> {
        let rest = attempt_until.saturating_duration_since(Instant::now());
        let lease = Lease { owner: self.settings.replica.clone(), until: self.clock.now() + rest + LEASE_MARGIN };
        let held = self.live(event, &Reason::Slow, self.clock.now(), 0, Some(lease));
        self.insert(&held, &Reason::Slow, Instant::now() + STORE_LIMIT).await
    }

    fn live(
        &self,
        event: &Arc<KfEvent>,
        reason: &Reason,
        due: Timestamp,
        attempts: u32,
        lease: Option<Lease>,
    ) -> HeldEvent {
        let expires_at = event.born_at + self.settings.event_ttl;
        HeldEvent {
            event: event.clone(),
            state: HeldState::Live,
            expires_at,
            due_at: due.min(expires_at),
            attempts,
            last_error: Some(reason.text().to_owned()),
            lease,
        }
    }

    async fn insert(&self, held: &HeldEvent, reason: &Reason, until: Instant) -> Result<(), String> {
        let (event, label) = (&held.event, reason.label());
        let mut span = Span::begin(Kind::Internal, "store event");
        span.set("event.id", &event.id);
        span.set("event.held_because", &label);
        let stored = match timeout_at(until, self.events.hold(held)).await {
            Ok(stored) => stored.map_err(|error| error.to_string()),
            Err(_) => Err("the store takes too long".to_owned()),
        };
        match &stored {
            Ok(()) => {
                debug!(corp.id = %event.account.corp, kf.id = %event.account.kf, event.id = %event.id, reason = label, "stored");
                self.meters.stored(event, label, reason.text());
                self.due_at(held.due_at);
            }
            Err(error) => span.fail(error),
        }
        stored
    }

    pub(super) async fn postpone(&self, event: &KfEvent, due: Timestamp, attempts: u32, error: String) {
        debug!(
            corp.id = %event.account.corp, kf.id = %event.account.kf, event.id = %event.id, attempts, %due, error,
            "put off"
        );
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

//! One lane per account: what waits, what is in flight, and what is known of its bot. Pure state
//! with its rules; `runner.rs` moves it.
//!
//! Only the newest event counts, because each is a poke that makes the bot fetch everything. So a
//! lane has a single place for what waits, and whoever's event is superseded waits along.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::Receipt;
use crate::domain::{Account, Digest, KfEvent, Order, Puppet, Trust};
use crate::live::{Live, Step};
use crate::observe::Trace;

/// WeCom repeats an unanswered callback within so many milliseconds; later it is an event of its own.
const REPEAT_WINDOW: u64 = 60_000;
const SHARDS: usize = 64;

pub(super) type Waiter = oneshot::Sender<Receipt>;

/// A row of the store that stands for an event.
#[derive(Debug)]
pub(super) struct Row {
    pub attempts: u32,
    pub expires_at: Timestamp,
    /// Bounds how many held events are on their way at once; given back when the work is done, or
    /// takes long.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// An event to be brought to its bot.
#[derive(Debug)]
pub(super) struct Work {
    pub event: Arc<KfEvent>,
    /// Present when the event is stored already.
    pub row: Option<Row>,
    /// Why the attempt just made failed: it is stored now, not attempted once more.
    pub failed: Option<String>,
    pub arrived: Instant,
    pub waiters: Vec<Waiter>,
    /// Of its arrival; an event that was stored begins a new one.
    pub trace: Trace,
}

impl Work {
    /// An event that nobody waits for, because it is stored.
    pub fn stored(event: Arc<KfEvent>, row: Row) -> Self {
        let arrived = Instant::now();
        Self { event, row: Some(row), failed: None, arrived, waiters: Vec::new(), trace: Trace::default() }
    }

    /// Takes on those who wait for something that this stands for. Nobody waits for a row: it is stored.
    fn join(&mut self, waiters: Vec<Waiter>) {
        match self.row {
            Some(_) => waiters.into_iter().for_each(|waiter| answer(waiter, Receipt::Stored)),
            None => self.waiters.extend(waiters),
        }
    }

    /// Whether doing this makes doing the other needless. What is unsigned waits for what is signed.
    fn stands_for(&self, other: &KfEvent) -> bool {
        self.event.settles(other) || self.event.trust > other.trust
    }
}

#[derive(Debug)]
struct InFlight {
    event: Arc<KfEvent>,
    waiters: Vec<Waiter>,
    /// What was stored meanwhile, none of which settles another: a signed event, an unsigned one. A
    /// caller whose event one of them stands for is answered at once.
    stored: Vec<Arc<KfEvent>>,
}

impl InFlight {
    /// Whether its own callers may be told that it is stored.
    fn is_stored(&self) -> bool {
        self.stored.iter().any(|stored| stored.trust >= self.event.trust)
    }
}

/// What is known of rows in the store.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// Some, but not which.
    Some,
    /// This one is the newest. No more of it, because lanes of absent bots live long.
    Newest(Box<Stored>),
}

/// What tells a repeat of an event that was stored, and what settles it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    order: Order,
    trust: Trust,
    digest: Digest,
}

impl From<&KfEvent> for Stored {
    fn from(event: &KfEvent) -> Self {
        let &KfEvent { order, trust, digest, .. } = event;
        Self { order, trust, digest }
    }
}

/// The last attempts on a bot, for the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastAttempts {
    pub delivered_at: Option<Timestamp>,
    pub failed: Option<Box<FailedAttempt>>,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    pub at: Timestamp,
    pub error: String,
}

impl LastAttempts {
    /// The last attempt of all, if it failed.
    pub fn standing_failure(&self) -> Option<&FailedAttempt> {
        self.failed.as_deref().filter(|failed| self.delivered_at.is_none_or(|at| at <= failed.at))
    }

    fn is_any(&self) -> bool {
        self.delivered_at.is_some() || self.failed.is_some()
    }
}

/// The state of one account. There are as many as accounts, and nearly all of them rest: what only few need is boxed.
#[derive(Debug, Default)]
pub(super) struct Lane {
    live: Live,
    /// While a task runs the lane.
    run: Option<Box<Running>>,
    trouble: Option<Box<Trouble>>,
    pub held: Option<Held>,
    /// Counts what makes rows due early, so that whoever puts one off meanwhile notices.
    pub wakes: u64,
    pub last: LastAttempts,
}

#[derive(Debug, Default)]
struct Running {
    pending: Option<Work>,
    in_flight: Option<InFlight>,
    /// Set while an attempt takes long: told of every arrival, which is then stored at once.
    arrivals: Option<Arc<Notify>>,
}

/// What is known against a bot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    pub failures: u32,
    pub not_before: Option<Timestamp>,
    /// The prober that watches the bot, by its number: a newer one takes over from an older one.
    pub prober: Option<u64>,
    pub sent_without_token: Option<Timestamp>,
}

impl Trouble {
    /// Whether nothing may be sent to the bot, because no connection to it comes about.
    pub fn is_away(&self, bot: &Puppet) -> bool {
        bot.away_since.is_some() || self.prober.is_some()
    }
}

/// What to do after an event was put into its lane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A task must be started that runs the lane.
    Run,
    /// The lane runs already, or the event was answered at once.
    Nothing,
}

impl Lane {
    /// Takes an event that just arrived.
    pub fn offer(&mut self, event: Arc<KfEvent>, waiter: Waiter) -> Next {
        if let Some(in_flight) = self.run.as_mut().and_then(|run| run.in_flight.as_mut()) {
            let stands_for = |known: &KfEvent| known.settles(&event) || is_repeat(&known.into(), &event);
            if in_flight.stored.iter().any(|stored| stands_for(stored)) {
                self.live.event(&event, || Step::Joined);
                answer(waiter, Receipt::Stored);
                return Next::Nothing;
            }
            if stands_for(&in_flight.event) {
                self.live.event(&event, || Step::Joined);
                in_flight.waiters.push(waiter);
                return Next::Nothing;
            }
        }
        if let Some(Held::Newest(held)) = &self.held
            && is_repeat(held, &event)
        {
            self.live.event(&event, || Step::Joined);
            answer(waiter, Receipt::Stored);
            return Next::Nothing;
        }
        let (arrived, waiters, trace) = (Instant::now(), vec![waiter], Trace::current());
        self.enqueue(Work { event, row: None, failed: None, arrived, waiters, trace })
    }

    /// Puts work into the single place for what waits; the one that stands for the other stays, and
    /// both their callers wait for it.
    pub fn enqueue(&mut self, mut work: Work) -> Next {
        if work.row.is_some() && self.in_flight().is_some_and(|flight| flight.event.settles(&work.event)) {
            // What is in flight decides about the row as well. Should it come to nothing, the row is
            // claimed again when its lease ends.
            return Next::Nothing;
        }
        let next = if self.run.is_some() { Next::Nothing } else { Next::Run };
        let run = self.run.get_or_insert_default();
        match run.pending.take() {
            Some(mut waiting) if waiting.stands_for(&work.event) => {
                self.live.event(&work.event, || Step::Superseded);
                waiting.join(work.waiters);
                run.pending = Some(waiting);
            }
            Some(superseded) => {
                self.live.event(&superseded.event, || Step::Superseded);
                work.join(superseded.waiters);
                run.pending = Some(work);
            }
            None => run.pending = Some(work),
        }
        if let Some(arrivals) = &run.arrivals {
            arrivals.notify_one();
        }
        next
    }

    fn in_flight(&self) -> Option<&InFlight> {
        self.run.as_ref()?.in_flight.as_ref()
    }

    fn in_flight_mut(&mut self) -> Option<&mut InFlight> {
        self.run.as_mut()?.in_flight.as_mut()
    }

    /// The next thing to do; `None` ends the run. Its callers stay here, so that repeats can join.
    pub fn next(&mut self) -> Option<Work> {
        let run = self.run.as_mut()?;
        run.arrivals = None;
        let Some(mut work) = run.pending.take() else {
            self.run = None;
            return None;
        };
        let waiters = std::mem::take(&mut work.waiters);
        let stored = work.row.iter().map(|_| work.event.clone()).collect();
        run.in_flight = Some(InFlight { event: work.event.clone(), waiters, stored });
        Some(work)
    }

    /// Ends a run that broke off: nobody's event may wait for a task that is gone.
    pub fn abandon(&mut self) {
        self.run = None;
    }

    /// From now on, arrivals are announced instead of waiting for the attempt.
    pub fn announce_arrivals(&mut self) -> Arc<Notify> {
        self.run.as_mut().map(|run| run.arrivals.get_or_insert_default().clone()).unwrap_or_default()
    }

    /// While an attempt takes long: what is to be stored next of that which waits and that which is
    /// in flight; `None` when nothing is left. What waits stays where it is until it is [`Lane::stored`].
    pub fn next_unstored(&self) -> Option<Arc<KfEvent>> {
        let run = self.run.as_ref()?;
        let in_flight = run.in_flight.as_ref()?;
        let waiting = run.pending.as_ref().filter(|work| work.row.is_none()).map(|work| &work.event);
        match waiting {
            Some(event) if in_flight.is_stored() || event.trust >= in_flight.event.trust => Some(event.clone()),
            _ => (!in_flight.is_stored()).then(|| in_flight.event.clone()),
        }
    }

    /// Notes what was stored, and answers everybody it stands for.
    pub fn stored(&mut self, event: &Arc<KfEvent>) {
        self.held = Some(Held::Newest(Box::new(Stored::from(&**event))));
        let Some(run) = &mut self.run else { return };
        if let Some(waiting) = run.pending.take_if(|work| Arc::ptr_eq(&work.event, event)) {
            waiting.waiters.into_iter().for_each(|waiter| answer(waiter, Receipt::Stored));
        }
        let Some(in_flight) = &mut run.in_flight else { return };
        in_flight.stored.retain(|older| !event.settles(older));
        in_flight.stored.push(event.clone());
        if in_flight.is_stored() {
            self.answer(Receipt::Stored);
        }
    }

    /// Answers everybody who waits for what is in flight.
    pub fn answer(&mut self, receipt: Receipt) {
        if let Some(in_flight) = self.in_flight_mut() {
            in_flight.waiters.drain(..).for_each(|waiter| answer(waiter, receipt));
        }
    }

    /// What was stored while an attempt was in flight, its own row included.
    pub fn stored_meanwhile(&self) -> Vec<Arc<KfEvent>> {
        self.in_flight().map(|in_flight| in_flight.stored.clone()).unwrap_or_default()
    }

    /// The bot has what was in flight: everybody who waits for it is answered, and what arrives from
    /// now on is for another attempt.
    pub fn delivered(&mut self, now: Timestamp) {
        self.answer(Receipt::Delivered);
        if let Some(run) = &mut self.run
            && let Some(sent) = run.in_flight.take()
        {
            run.pending.take_if(|work| work.row.is_some() && sent.event.settles(&work.event));
        }
        self.note(|trouble| (trouble.failures, trouble.not_before) = (0, None));
        self.last.delivered_at = Some(now);
    }

    /// Rows were deleted up to what was sent.
    pub fn settled(&mut self, sent: &KfEvent) {
        let settles = |newest: &Stored| KfEvent::rank_settles((sent.trust, sent.order), (newest.trust, newest.order));
        self.held.take_if(|held| !matches!(held, Held::Newest(newest) if !settles(newest)));
    }

    /// A row is gone or given up: a repeat must not join it. Of an account that never had a bot
    /// nothing is remembered, because anybody can name such accounts.
    pub fn given_up(&mut self) {
        let had_a_bot = self.last.is_any() || self.trouble().prober.is_some();
        self.held = self.held.take().filter(|_| had_a_bot).map(|_| Held::Some);
    }

    /// A bot registered: it is not away, and rows of the time before may be there, expired ones included.
    pub fn registered(&mut self) {
        self.forgive();
        self.held.get_or_insert(Held::Some);
    }

    /// The bot is back, or takes new events anyway: nothing that was known against it counts.
    pub fn forgive(&mut self) {
        self.note(|trouble| {
            *trouble = Trouble { sent_without_token: trouble.sent_without_token, ..Trouble::default() };
        });
        self.wakes += 1;
    }

    pub fn trouble(&self) -> Trouble {
        self.trouble.as_deref().copied().unwrap_or_default()
    }

    /// Changes what is known against the bot.
    pub fn note(&mut self, change: impl FnOnce(&mut Trouble)) {
        let mut trouble = self.trouble();
        change(&mut trouble);
        if trouble != self.trouble() {
            self.trouble = (trouble != Trouble::default()).then(|| Box::new(trouble));
        }
    }

    /// Puts what is in flight back, behind nothing but something newer.
    pub fn put_back(&mut self, mut work: Work) {
        if let Some(in_flight) = self.in_flight_mut() {
            work.waiters.append(&mut in_flight.waiters);
        }
        self.enqueue(work);
    }

    /// Rows of that time are given up by now, maybe by another replica, which tells nobody here.
    fn forget_rows_before(&mut self, arrival: Timestamp) {
        let arrival = arrival.as_millisecond();
        self.held.take_if(|held| matches!(held, Held::Newest(newest) if newest.order.arrival < arrival));
    }

    /// Nothing is left worth remembering.
    fn is_idle(&self) -> bool {
        self.run.is_none() && self.held.is_none() && self.trouble().prober.is_none() && !self.last.is_any()
    }
}

fn is_repeat(known: &Stored, event: &KfEvent) -> bool {
    known.digest == event.digest
        && known.trust == Trust::Signed
        && event.trust == Trust::Signed
        && event.order.arrival.abs_diff(known.order.arrival) <= REPEAT_WINDOW
}

/// A caller that hung up does not want its answer.
fn answer(waiter: Waiter, receipt: Receipt) {
    let _ = waiter.send(receipt);
}

/// All lanes; a lane exists while there is something to remember.
#[derive(Debug)]
pub(super) struct Lanes {
    live: Live,
    shards: Box<[Mutex<HashMap<Account, Lane>>]>,
}

impl Lanes {
    pub fn new(live: Live) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect();
        Self { live, shards }
    }

    /// By the id's end, where ids differ: a hash is good for the map, and too dear for this as well.
    fn shard(&self, account: &Account) -> MutexGuard<'_, HashMap<Account, Lane>> {
        let end = account.kf.as_str().bytes().rev().take(8);
        let place = end.fold(0_usize, |place, byte| place.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.shards[place % SHARDS].lock()
    }

    /// Changes the account's lane, made if there is none, dropped if nothing is left in it.
    pub fn with<T>(&self, account: &Account, change: impl FnOnce(&mut Lane) -> T) -> T {
        let mut shard = self.shard(account);
        if let Some(lane) = shard.get_mut(account) {
            let result = change(lane);
            if lane.is_idle() {
                shard.remove(account);
            }
            return result;
        }
        let mut lane = Lane { live: self.live.clone(), ..Lane::default() };
        let result = change(&mut lane);
        if !lane.is_idle() {
            shard.insert(account.clone(), lane);
        }
        result
    }

    /// In all lanes.
    pub fn forget_rows_before(&self, arrival: Timestamp) {
        for shard in &self.shards {
            shard.lock().retain(|_, lane| {
                lane.forget_rows_before(arrival);
                !lane.is_idle()
            });
        }
    }

    /// What is known against the account's bot.
    pub fn trouble(&self, account: &Account) -> Trouble {
        self.peek(account, Lane::trouble).unwrap_or_default()
    }

    /// Reads the account's lane, if there is one.
    pub fn peek<T>(&self, account: &Account, read: impl FnOnce(&Lane) -> T) -> Option<T> {
        self.shard(account).get(account).map(read)
    }
}

#[cfg(test)]
mod tests;

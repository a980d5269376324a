//! One lane per account: what waits, what is in flight, and what is known of its bot. Pure state
//! with its rules; `runner.rs` moves it.
//!
//! Only the newest event counts, because each is a poke that makes the bot fetch everything. So a
//! lane has a single place for what waits, and whoever's event is superseded waits along.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use super::Receipt;
use crate::domain::{Account, KfEvent, Trust};

/// WeCom repeats an unanswered callback within this time; later it is an event of its own.
const REPEAT_WINDOW: SignedDuration = SignedDuration::from_secs(60);
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
    pub waiters: Vec<Waiter>,
}

impl Work {
    /// Whether doing this makes doing the other needless. What is unsigned waits for what is signed.
    fn stands_for(&self, other: &KfEvent) -> bool {
        self.event.settles(other) || self.event.trust > other.trust
    }
}

#[derive(Debug)]
struct InFlight {
    event: Arc<KfEvent>,
    waiters: Vec<Waiter>,
    /// What was stored while the attempt took long; whoever's event it stands for is answered at once.
    stored: Option<Arc<KfEvent>>,
}

/// What is known of rows in the store.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// Some, from before this process started.
    Some,
    /// This event is the newest.
    Newest(Arc<KfEvent>),
}

/// The last attempt on a bot, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    pub at: Timestamp,
    /// `None` when it succeeded.
    pub error: Option<String>,
}

/// The state of one account.
#[derive(Debug, Default)]
pub(super) struct Lane {
    running: bool,
    pending: Option<Work>,
    in_flight: Option<InFlight>,
    /// Set while an attempt takes long: told of every arrival, which is then stored at once.
    arrivals: Option<Arc<Notify>>,
    pub held: Option<Held>,
    pub failures: u32,
    pub not_before: Option<Timestamp>,
    /// The prober that watches the bot, by its number: a newer one takes over from an older one.
    pub prober: Option<u64>,
    pub sent_without_token: Option<Timestamp>,
    pub last: Option<LastAttempt>,
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
    pub fn offer(&mut self, event: KfEvent, waiter: Waiter) -> Next {
        if let Some(in_flight) = &mut self.in_flight {
            if in_flight.stored.as_ref().is_some_and(|stored| stored.settles(&event) || is_repeat(stored, &event)) {
                answer(waiter, Receipt::Stored);
                return Next::Nothing;
            }
            if in_flight.event.settles(&event) || is_repeat(&in_flight.event, &event) {
                in_flight.waiters.push(waiter);
                return Next::Nothing;
            }
        }
        if let Some(Held::Newest(held)) = &self.held
            && is_repeat(held, &event)
        {
            answer(waiter, Receipt::Stored);
            return Next::Nothing;
        }
        self.enqueue(Work { event: Arc::new(event), row: None, failed: None, waiters: vec![waiter] })
    }

    /// Puts work into the single place for what waits; the one that stands for the other stays, and
    /// both their callers wait for it.
    pub fn enqueue(&mut self, mut work: Work) -> Next {
        match self.pending.take() {
            Some(mut waiting) if waiting.stands_for(&work.event) => {
                waiting.waiters.append(&mut work.waiters);
                self.pending = Some(waiting);
            }
            Some(mut superseded) => {
                work.waiters.append(&mut superseded.waiters);
                self.pending = Some(work);
            }
            None => self.pending = Some(work),
        }
        if let Some(arrivals) = &self.arrivals {
            arrivals.notify_one();
        }
        if self.running {
            return Next::Nothing;
        }
        self.running = true;
        Next::Run
    }

    /// The next thing to do; `None` ends the run. Its callers stay here, so that repeats can join.
    pub fn next(&mut self) -> Option<Work> {
        self.arrivals = None;
        self.in_flight = None;
        let Some(mut work) = self.pending.take() else {
            self.running = false;
            return None;
        };
        let waiters = std::mem::take(&mut work.waiters);
        let stored = work.row.is_some().then(|| work.event.clone());
        self.in_flight = Some(InFlight { event: work.event.clone(), waiters, stored });
        Some(work)
    }

    /// Ends a run that broke off: nobody's event may wait for a task that is gone.
    pub fn abandon(&mut self) {
        self.running = false;
        self.in_flight = None;
        self.pending = None;
        self.arrivals = None;
    }

    /// From now on, arrivals are announced instead of waiting for the attempt.
    pub fn announce_arrivals(&mut self) -> Arc<Notify> {
        self.arrivals.get_or_insert_default().clone()
    }

    /// While an attempt takes long: the newest of what is in flight and what waits, to be stored.
    /// `None` when that is stored already, and whoever waits for it is answered.
    pub fn newest_unstored(&mut self) -> Option<Arc<KfEvent>> {
        let in_flight = self.in_flight.as_mut()?;
        if let Some(mut waiting) = self.pending.take() {
            in_flight.waiters.append(&mut waiting.waiters);
            if waiting.row.is_none() && waiting.event.trust >= in_flight.event.trust {
                return Some(waiting.event);
            }
        }
        if in_flight.stored.is_none() {
            return Some(in_flight.event.clone());
        }
        self.answer(Receipt::Stored);
        None
    }

    /// Notes what was stored, and answers everybody it stands for.
    pub fn stored(&mut self, event: &Arc<KfEvent>) {
        self.held = Some(Held::Newest(event.clone()));
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.stored = Some(event.clone());
        }
        self.answer(Receipt::Stored);
    }

    /// Answers everybody who waits for what is in flight.
    pub fn answer(&mut self, receipt: Receipt) {
        if let Some(in_flight) = &mut self.in_flight {
            for waiter in in_flight.waiters.drain(..) {
                answer(waiter, receipt);
            }
        }
    }

    /// The bot is back, or takes new events anyway: nothing that was known against it counts.
    pub fn forgive(&mut self) {
        self.prober = None;
        self.failures = 0;
        self.not_before = None;
    }

    /// Puts what is in flight back, behind nothing but something newer.
    pub fn put_back(&mut self, mut work: Work) {
        if let Some(in_flight) = &mut self.in_flight {
            work.waiters.append(&mut in_flight.waiters);
        }
        self.enqueue(work);
    }

    /// Nothing is left worth remembering.
    fn is_idle(&self) -> bool {
        !self.running && self.held.is_none() && self.prober.is_none() && self.last.is_none()
    }
}

fn is_repeat(known: &KfEvent, event: &KfEvent) -> bool {
    known.digest == event.digest
        && known.trust == Trust::Signed
        && event.trust == Trust::Signed
        && event.arrival().duration_since(known.arrival()).abs() <= REPEAT_WINDOW
}

/// A caller that hung up does not want its answer.
fn answer(waiter: Waiter, receipt: Receipt) {
    let _ = waiter.send(receipt);
}

/// All lanes; a lane exists while there is something to remember.
#[derive(Debug)]
pub(super) struct Lanes {
    shards: Box<[Mutex<HashMap<Account, Lane>>]>,
    hasher: RandomState,
}

impl Lanes {
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect();
        Self { shards, hasher: RandomState::new() }
    }

    fn shard(&self, account: &Account) -> MutexGuard<'_, HashMap<Account, Lane>> {
        let hash = usize::try_from(self.hasher.hash_one(account)).unwrap_or(usize::MAX);
        self.shards[hash % SHARDS].lock()
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
        let mut lane = Lane::default();
        let result = change(&mut lane);
        if !lane.is_idle() {
            shard.insert(account.clone(), lane);
        }
        result
    }

    /// Reads the account's lane, if there is one.
    pub fn peek<T>(&self, account: &Account, read: impl FnOnce(&Lane) -> T) -> Option<T> {
        self.shard(account).get(account).map(read)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{CorpId, Digest, EventId, OpenKfId, Order, Payload};

    fn event(created: i64, arrival_ms: i64, trust: Trust) -> KfEvent {
        let arrival = Timestamp::from_millisecond(arrival_ms).unwrap();
        KfEvent {
            id: EventId::new(arrival),
            account: Account { corp: CorpId::parse("ww1").unwrap(), kf: OpenKfId::parse("wk1").unwrap() },
            order: Order { created, arrival: arrival_ms },
            trust,
            digest: Digest::of(format!("{created} {arrival_ms}").as_bytes()),
            born_at: arrival,
            payload: Payload { sync_token: None, extra: serde_json::Map::new(), raw: None },
        }
    }

    fn offered(lane: &mut Lane, event: KfEvent) -> oneshot::Receiver<Receipt> {
        let (waiter, receipt) = oneshot::channel();
        lane.offer(event, waiter);
        receipt
    }

    fn received(receipt: &mut oneshot::Receiver<Receipt>) -> Option<Receipt> {
        receipt.try_recv().ok()
    }

    #[test]
    fn what_is_superseded_waits_along_with_the_newest() {
        let mut lane = Lane::default();
        let mut first = offered(&mut lane, event(1, 1_000, Trust::Signed));
        let _in_flight = lane.next().unwrap();
        let mut second = offered(&mut lane, event(2, 2_000, Trust::Signed));
        let mut third = offered(&mut lane, event(3, 3_000, Trust::Signed));
        let mut late = offered(&mut lane, event(2, 3_500, Trust::Signed));
        lane.answer(Receipt::Delivered);
        assert_eq!(received(&mut first), Some(Receipt::Delivered));
        assert_eq!(received(&mut second), None);
        assert_eq!(lane.next().unwrap().event.order.created, 3);
        lane.answer(Receipt::Stored);
        for receipt in [&mut second, &mut third, &mut late] {
            assert_eq!(received(receipt), Some(Receipt::Stored));
        }
        assert!(lane.next().is_none());
    }

    #[test]
    fn repeats_join_what_is_in_flight_and_what_is_held() {
        let mut lane = Lane::default();
        let original = event(5, 10_000, Trust::Signed);
        let repeat = KfEvent { order: Order { created: 5, arrival: 15_000 }, ..original.clone() };
        let mut first = offered(&mut lane, original.clone());
        let work = lane.next().unwrap();
        let mut joined = offered(&mut lane, repeat.clone());
        assert!(lane.pending.is_none());
        lane.stored(&work.event);
        assert_eq!((received(&mut first), received(&mut joined)), (Some(Receipt::Stored), Some(Receipt::Stored)));
        assert!(lane.next().is_none());
        assert_eq!(received(&mut offered(&mut lane, repeat)), Some(Receipt::Stored));
        let late = KfEvent { order: Order { created: 5, arrival: 75_000 }, ..original };
        assert_eq!(received(&mut offered(&mut lane, late)), None, "after a minute it is an event of its own");
    }

    #[test]
    fn what_is_unsigned_never_displaces_what_is_signed() {
        let mut lane = Lane::default();
        let _signed = offered(&mut lane, event(1, 1_000, Trust::Signed));
        let _unsigned = offered(&mut lane, event(9, 9_000, Trust::Unsigned));
        assert_eq!(lane.next().unwrap().event.trust, Trust::Signed);
        assert!(lane.next().is_none(), "the signed one stands for it");
        let _unsigned = offered(&mut lane, event(9, 9_000, Trust::Unsigned));
        let _signed = offered(&mut lane, event(1, 10_000, Trust::Signed));
        assert_eq!(lane.next().unwrap().event.trust, Trust::Signed);
    }

    #[test]
    fn while_an_attempt_takes_long_the_newest_is_stored_once() {
        let mut lane = Lane::default();
        let mut first = offered(&mut lane, event(1, 1_000, Trust::Signed));
        let work = lane.next().unwrap();
        let arrivals = lane.announce_arrivals();
        let stored = lane.newest_unstored().unwrap();
        assert!(Arc::ptr_eq(&stored, &work.event));
        lane.stored(&stored);
        assert_eq!(received(&mut first), Some(Receipt::Stored));
        assert!(lane.newest_unstored().is_none());
        let mut second = offered(&mut lane, event(2, 2_000, Trust::Signed));
        let newer = lane.newest_unstored().unwrap();
        assert_eq!(newer.order.created, 2);
        lane.stored(&newer);
        assert_eq!(received(&mut second), Some(Receipt::Stored));
        let notified = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        notified.block_on(async { tokio::time::timeout(Duration::from_secs(5), arrivals.notified()).await.unwrap() });
    }

    #[test]
    fn a_lane_is_dropped_when_nothing_is_left_in_it() {
        let lanes = Lanes::new();
        let account = event(1, 1, Trust::Signed).account;
        lanes.with(&account, |lane| offered(lane, event(1, 1_000, Trust::Signed)));
        assert_eq!(lanes.peek(&account, |_| ()), Some(()));
        while lanes.with(&account, Lane::next).is_some() {}
        assert_eq!(lanes.peek(&account, |_| ()), None);
    }
}

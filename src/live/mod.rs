//! What this replica does just now, for whoever looks: numbers of the last hour by the minute, and every
//! hop of every callback as it happens.
//!
//! The one decision a reader would question: nothing is kept of a hop. Whoever watches sees what happens
//! from then on, and while nobody does a hop costs one atomic read; what happened before is in the log.

mod rates;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::domain::{Clock, CorpId, EventId, KfEvent, ServiceEvent};

pub use rates::{LastHour, Rate};

use rates::Rates;

/// Hops that a watcher may be behind before it misses some.
const BEHIND: usize = 256;

/// The feed; clones share it. The default one is nobody's: it counts nothing, and cannot be watched.
#[derive(Debug, Clone, Default)]
pub struct Live(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    rates: Rates,
    watchers: AtomicUsize,
    hops: broadcast::Sender<Arc<Hop>>,
}

/// One hop of a callback. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    pub at: Timestamp,
    /// As the path of a refused call has it, if it can be one.
    pub corp: Option<CorpId>,
    /// Whose event it is: the account of a bot, or the name of a service.
    pub taker: Option<Arc<str>>,
    pub event: Option<EventId>,
    pub step: Step,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// WeCom verified the callback URL.
    Checked,
    /// A genuine callback came in and goes to a bot.
    Verified,
    /// A genuine callback that nobody takes, by its name.
    NotTaken(Box<str>),
    /// A call was refused: the class of fault.
    Refused(&'static str),
    /// A newer event of the account stands for it.
    Superseded,
    /// A repeat, or older than what is on its way: that stands for it.
    Joined,
    /// It came into a service's queue, by its name.
    Queued(Arc<str>),
    /// Its bot or service has it, after so long.
    Delivered(Duration),
    /// An attempt failed.
    Failed(Box<str>),
    /// It was stored for later, and why.
    Stored(Box<str>),
    /// It was given up.
    Expired,
}

impl Live {
    pub fn new(clock: Clock) -> Self {
        let (hops, _) = broadcast::channel(BEHIND);
        Self(Some(Arc::new(Inner { clock, rates: Rates::default(), watchers: AtomicUsize::new(0), hops })))
    }

    /// Counts one more within this minute.
    pub fn count(&self, rate: Rate) {
        if let Some(inner) = &self.0 {
            inner.rates.add(rate, inner.minute());
        }
    }

    pub fn last_hour(&self, rate: Rate) -> LastHour {
        self.0.as_ref().map_or_else(LastHour::default, |inner| inner.rates.last_hour(rate, inner.minute()))
    }

    /// A hop of a bot's event.
    pub fn event(&self, event: &KfEvent, step: impl FnOnce() -> Step) {
        self.tell(|at| Hop {
            at,
            corp: Some(event.account.corp.clone()),
            taker: Some(event.account.kf.as_str().into()),
            event: Some(event.id.clone()),
            step: step(),
        });
    }

    /// A hop of a service's event.
    pub fn service(&self, event: &ServiceEvent, step: impl FnOnce() -> Step) {
        self.tell(|at| Hop {
            at,
            corp: Some(event.service.corp.clone()),
            taker: Some(event.service.name.as_str().into()),
            event: Some(event.id.clone()),
            step: step(),
        });
    }

    /// A hop of a call that became no event.
    pub fn call(&self, what: impl FnOnce() -> (Option<CorpId>, Step)) {
        self.tell(|at| {
            let (corp, step) = what();
            Hop { at, corp, taker: None, event: None, step }
        });
    }

    fn tell(&self, hop: impl FnOnce(Timestamp) -> Hop) {
        let Some(inner) = &self.0 else { return };
        if inner.watchers.load(Ordering::Relaxed) > 0 {
            // Whoever watched a moment ago may be gone.
            let _ = inner.hops.send(Arc::new(hop(inner.clock.now())));
        }
    }

    /// Every hop from now on.
    pub fn watch(&self) -> Watch {
        Watch(self.0.clone().map(|inner| {
            inner.watchers.fetch_add(1, Ordering::Relaxed);
            let hops = inner.hops.subscribe();
            Watching { inner, hops }
        }))
    }
}

impl Inner {
    /// Minutes since 1970.
    fn minute(&self) -> u32 {
        u32::try_from(self.clock.now().as_second() / 60).unwrap_or_default()
    }
}

/// What a watcher sees next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Hop(Arc<Hop>),
    /// More happened than it could follow: so many hops are left out.
    Missed(u64),
}

/// Somebody who watches, until it is dropped.
#[derive(Debug)]
pub struct Watch(Option<Watching>);

#[derive(Debug)]
struct Watching {
    inner: Arc<Inner>,
    hops: broadcast::Receiver<Arc<Hop>>,
}

impl Watch {
    /// Waits for the next hop; for ever where there is no feed.
    pub async fn next(&mut self) -> Seen {
        let Some(watching) = &mut self.0 else { return std::future::pending().await };
        match watching.hops.recv().await {
            Ok(hop) => Seen::Hop(hop),
            Err(RecvError::Lagged(missed)) => Seen::Missed(missed),
            // The sender lives as long as the watcher.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.inner.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(live: &Live) {
        live.call(|| (None, Step::Refused("signature")));
    }

    #[tokio::test]
    async fn hops_are_made_while_somebody_watches_and_seen_in_order() {
        let live = Live::new(Clock::default());
        live.call(|| unreachable!("nobody watches"));
        let mut watch = live.watch();
        let corp = CorpId::parse("ww1").unwrap();
        live.call(|| (Some(corp.clone()), Step::Checked));
        refused(&live);
        let Seen::Hop(first) = watch.next().await else { panic!("a hop was missed") };
        assert_eq!((first.corp.as_ref(), &first.step), (Some(&corp), &Step::Checked));
        assert!(matches!(watch.next().await, Seen::Hop(hop) if hop.step == Step::Refused("signature")));
        drop(watch);
        live.call(|| unreachable!("nobody watches any more"));
    }

    #[tokio::test]
    async fn whoever_is_slow_is_told_how_much_was_left_out() {
        let live = Live::new(Clock::default());
        let (mut slow, mut quick) = (live.watch(), live.watch());
        for _ in 0..BEHIND + 3 {
            refused(&live);
            assert!(matches!(quick.next().await, Seen::Hop(_)));
        }
        assert_eq!(slow.next().await, Seen::Missed(3));
        assert!(matches!(slow.next().await, Seen::Hop(_)));
    }

    #[test]
    fn counts_by_the_minute_of_its_clock() {
        let clock = Clock::standing_still_at(Timestamp::from_second(60 * 1_000).unwrap());
        let live = Live::new(clock.clone());
        live.count(Rate::Callbacks);
        clock.advance(Duration::from_secs(60));
        live.count(Rate::Callbacks);
        live.count(Rate::Callbacks);
        let hour = live.last_hour(Rate::Callbacks);
        assert_eq!((hour.total(), &hour.minutes()[58..]), (3, &[1, 2][..]));
        assert_eq!(Live::default().last_hour(Rate::Callbacks).total(), 0);
    }
}

//! What happened, in order: every call, callback and message, for tests, people and the live display.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::domain::Clock;

/// Enough for a long session; older entries are forgotten.
const KEPT: usize = 50_000;
/// A follower that falls this far behind loses the oldest entries, not the newest.
const LIVE: usize = 4_096;

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// Counts from 1, without gaps.
    pub number: u64,
    /// When it was over, by the simulator's clock.
    pub at: Timestamp,
    /// How long it took, in real milliseconds.
    pub took_ms: u64,
    pub what: T,
}

/// The record of one simulator.
#[derive(Debug)]
pub struct Journal<T> {
    clock: Clock,
    kept: Mutex<Kept<T>>,
    live: broadcast::Sender<Entry<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    entries: VecDeque<Entry<T>>,
    last: u64,
}

impl<T: Clone> Journal<T> {
    pub(super) fn new(clock: Clock) -> Self {
        let kept = Kept { entries: VecDeque::new(), last: 0 };
        Self { clock, kept: Mutex::new(kept), live: broadcast::Sender::new(LIVE) }
    }

    pub(super) fn record(&self, what: T, began: Instant) {
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut kept = self.kept.lock();
        kept.last += 1;
        let entry = Entry { number: kept.last, at: self.clock.now(), took_ms, what };
        if kept.entries.len() == KEPT {
            kept.entries.pop_front();
        }
        kept.entries.push_back(entry.clone());
        // Sent under the lock, so that followers see the order of the numbers; nobody may be listening.
        let _ = self.live.send(entry);
    }

    /// All entries, the oldest first.
    pub fn entries(&self) -> Vec<Entry<T>> {
        self.after(0)
    }

    /// The entries with a greater number.
    pub fn after(&self, number: u64) -> Vec<Entry<T>> {
        self.kept.lock().entries.iter().filter(|entry| entry.number > number).cloned().collect()
    }

    /// Everything that happens from now on.
    pub fn follow(&self) -> broadcast::Receiver<Entry<T>> {
        self.live.subscribe()
    }

    /// Everything so far, and everything that happens from now on; nothing is in both or in neither.
    pub fn follow_from_start(&self) -> (Vec<Entry<T>>, broadcast::Receiver<Entry<T>>) {
        let kept = self.kept.lock();
        (kept.entries.iter().cloned().collect(), self.live.subscribe())
    }

    /// The first entry that `wanted` accepts, among those kept and those to come; `None` when there
    /// was none within `limit`.
    pub async fn wait_for(&self, limit: Duration, mut wanted: impl FnMut(&T) -> bool) -> Option<Entry<T>> {
        let (kept, mut live) = self.follow_from_start();
        if let Some(entry) = kept.into_iter().find(|entry| wanted(&entry.what)) {
            return Some(entry);
        }
        let next = async {
            loop {
                match live.recv().await {
                    Ok(entry) if wanted(&entry.what) => return Some(entry),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        };
        tokio::time::timeout(limit, next).await.ok().flatten()
    }
}

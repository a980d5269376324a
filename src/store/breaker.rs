//! Keeps a dead back end from costing every caller its time limit: after a failure only one caller
//! now and then asks, and everybody else does without at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

const CLOSED: u64 = u64::MAX;

/// Closed while the back end works; opened by a failure, closed by a success. Lock-free.
#[derive(Debug)]
pub struct Breaker {
    made_at: Instant,
    pause: Duration,
    /// When the next caller may ask, in milliseconds since `made_at`; [`CLOSED`]: all may.
    asks_next: AtomicU64,
}

impl Breaker {
    /// After a failure, one caller asks every `pause`.
    pub fn new(pause: Duration) -> Self {
        Self { made_at: Instant::now(), pause, asks_next: AtomicU64::new(CLOSED) }
    }

    /// Whether the caller may ask. He must tell how it went.
    pub fn admits(&self) -> bool {
        self.is_closed() || self.admits_at(self.now())
    }

    fn admits_at(&self, now: u64) -> bool {
        let next = self.asks_next.load(Ordering::Acquire);
        // Whoever moves the time on is the one who asks.
        now >= next
            && self.asks_next.compare_exchange(next, self.later(now), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    pub fn is_closed(&self) -> bool {
        self.asks_next.load(Ordering::Acquire) == CLOSED
    }

    pub fn succeeded(&self) {
        if !self.is_closed() {
            self.asks_next.store(CLOSED, Ordering::Release);
        }
    }

    pub fn failed(&self) {
        self.failed_at(self.now());
    }

    fn failed_at(&self, now: u64) {
        self.asks_next.store(self.later(now), Ordering::Release);
    }

    fn now(&self) -> u64 {
        millis(self.made_at.elapsed())
    }

    fn later(&self, now: u64) -> u64 {
        now.saturating_add(millis(self.pause)).min(CLOSED - 1)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(CLOSED - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_asks_in_each_pause_until_a_success() {
        let breaker = Breaker::new(Duration::from_millis(100));
        assert!(breaker.admits() && breaker.admits());
        breaker.failed_at(0);
        assert!(!breaker.is_closed() && !breaker.admits_at(99));
        assert!(breaker.admits_at(100));
        assert!(!breaker.admits_at(199), "another one is asking");
        assert!(breaker.admits_at(200), "the one who asked gave no answer");
        breaker.succeeded();
        assert!(breaker.admits() && breaker.admits());
    }
}

//! Keeps a server that is away from costing every request its whole patience: after a failure nobody
//! asks for a while, and then one caller at a time tries it again.
//!
//! The one decision a reader would question: a single failure is enough. The next try is never
//! further away than the pause, and everybody who asks has another way meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CLOSED: u64 = 0;

/// Lock-free. All who share a server share one of these.
#[derive(Debug)]
pub struct Breaker {
    pause_ms: u64,
    made_at: Instant,
    /// [`CLOSED`], or the millisecond since `made_at` from which the next caller is let through.
    next_ms: AtomicU64,
}

/// Whether a report changed anything: what changes is worth a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Changed,
    Unchanged,
}

impl Breaker {
    /// Closed. After a failure, one caller a pause is let through.
    pub fn new(pause: Duration) -> Self {
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { pause_ms, made_at: Instant::now(), next_ms: AtomicU64::new(CLOSED) }
    }

    /// Whether the server may be asked now. Whoever is let through reports what came of it; who is
    /// cut off before that blocks nobody for longer than a pause.
    pub fn admits(&self) -> bool {
        !self.is_open() || self.admits_at(self.now_ms())
    }

    /// The server answered: everybody may ask. Changed: it was away before.
    pub fn succeeded(&self) -> Turn {
        // A read first, because the line is shared by all cores and nearly always says so already.
        if self.next_ms.load(Ordering::Relaxed) == CLOSED {
            return Turn::Unchanged;
        }
        turn(self.next_ms.swap(CLOSED, Ordering::Relaxed) != CLOSED)
    }

    /// The server did not answer: nobody asks for a pause. Changed: it was there before.
    pub fn failed(&self) -> Turn {
        self.failed_at(self.now_ms())
    }

    /// Whether the server counts as away.
    pub fn is_open(&self) -> bool {
        self.next_ms.load(Ordering::Relaxed) != CLOSED
    }

    /// Whether asking is in vain now: who knows that beforehand need not even begin.
    pub fn rests(&self) -> bool {
        self.is_open() && self.now_ms() < self.next_ms.load(Ordering::Relaxed)
    }

    fn admits_at(&self, now_ms: u64) -> bool {
        let next = self.next_ms.load(Ordering::Relaxed);
        if next == CLOSED {
            return true;
        }
        let later = now_ms.saturating_add(self.pause_ms);
        now_ms >= next && self.next_ms.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn failed_at(&self, now_ms: u64) -> Turn {
        let later = now_ms.saturating_add(self.pause_ms);
        turn(self.next_ms.swap(later, Ordering::Relaxed) == CLOSED)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.made_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn turn(changed: bool) -> Turn {
    if changed { Turn::Changed } else { Turn::Unchanged }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE_MS: u64 = 1000;

    fn breaker() -> Breaker {
        Breaker::new(Duration::from_millis(PAUSE_MS))
    }

    #[test]
    fn a_closed_one_admits_everybody() {
        let breaker = breaker();
        assert!((0..3).all(|_| breaker.admits()) && !breaker.is_open());
        assert_eq!(breaker.succeeded(), Turn::Unchanged);
    }

    #[test]
    fn an_open_one_admits_one_caller_a_pause() {
        let breaker = breaker();
        assert_eq!(breaker.failed_at(0), Turn::Changed);
        assert!(!breaker.admits_at(PAUSE_MS - 1) && breaker.is_open());
        for pauses in 1..4 {
            let now = pauses * PAUSE_MS;
            assert_eq!(
                [breaker.admits_at(now), breaker.admits_at(now), breaker.admits_at(now + 1)],
                [true, false, false]
            );
        }
        assert_eq!(breaker.failed_at(5000), Turn::Unchanged, "it was away already");
        assert!(!breaker.admits_at(5999) && breaker.admits_at(6000));
    }

    #[test]
    fn an_answer_closes_it() {
        let breaker = breaker();
        breaker.failed();
        assert!(!breaker.admits() && breaker.rests());
        assert_eq!([breaker.succeeded(), breaker.succeeded()], [Turn::Changed, Turn::Unchanged]);
        assert!(breaker.admits() && breaker.admits() && !breaker.rests());
    }

    #[test]
    fn of_many_threads_one_tries() {
        let breaker = breaker();
        breaker.failed_at(0);
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| usize::from(breaker.admits_at(PAUSE_MS)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, 1);
    }
}

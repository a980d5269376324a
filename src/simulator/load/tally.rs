//! What is counted while a run goes on.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

use super::Condition;

/// Recording is spread over so many histograms, so that callers do not wait for one another.
const SHARDS: usize = 8;
/// Latencies are kept to three digits, up to this.
const LONGEST: Duration = Duration::from_secs(600);

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub(super) struct Level {
    now: AtomicU64,
    highest: AtomicU64,
}

impl Level {
    /// One more, until what is returned is dropped.
    pub fn enter(&self) -> impl Drop + '_ {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.highest.fetch_max(now, Ordering::Relaxed);
        Entered(self)
    }

    /// The highest since it was asked last.
    pub fn take_highest(&self) -> u64 {
        self.highest.swap(self.now.load(Ordering::Relaxed), Ordering::Relaxed)
    }
}

struct Entered<'l>(&'l Level);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub registered: Count,
    /// Callbacks, each counted once however often it was repeated.
    pub offered: Count,
    pub acknowledged: Count,
    /// Not acknowledged after all repeats.
    pub given_up: Count,
    pub repeats: Count,
    /// Sendings answered otherwise than 200.
    pub refused: Count,
    /// Sendings without an answer.
    pub timed_out: Count,
    pub unreachable: Count,
    pub broken: Count,
    pub pokes: Count,
    pub probes: Count,
    /// To the bots, all together.
    pub connections: Level,
    /// Pokes without a sync token of this run.
    pub anonymous: Count,
    pub unreadable: Count,
    /// Pokes about another account than the bot's.
    pub misrouted: Count,
    /// Pokes to a bot that listened, decided on before its registration was answered: a gateway cannot
    /// always know.
    pub before_registration: Count,
    /// Pokes to a bot that had registered and was not ready: they kill an unmodified one.
    pub before_ready: Count,
}

/// How long acknowledgements took.
#[derive(Debug)]
pub(super) struct Latencies {
    shards: [Mutex<Histogram<u32>>; SHARDS],
    turn: AtomicUsize,
    slowest_answer: AtomicU64,
    /// Of bots that are up alone, since they were last asked for: what others' trouble costs them shows here.
    lately: Mutex<Histogram<u32>>,
}

impl Latencies {
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        let empty = Histogram::new_with_bounds(1, micros(LONGEST), 3)?;
        Ok(Self {
            shards: std::array::from_fn(|_| Mutex::new(empty.clone())),
            turn: AtomicUsize::new(0),
            slowest_answer: AtomicU64::new(0),
            lately: Mutex::new(empty),
        })
    }

    /// The latency of a callback, and how long the sending took that was acknowledged.
    pub fn record(&self, latency: Duration, answer: Duration, bot: Condition) {
        if bot == Condition::Up {
            self.lately.lock().saturating_record(micros(latency));
        }
        self.slowest_answer.fetch_max(micros(answer), Ordering::Relaxed);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.shards[turn % SHARDS].lock().saturating_record(micros(latency));
    }

    pub fn percentiles(&self) -> Latency {
        let mut all = self.shards[0].lock().clone();
        for shard in &self.shards[1..] {
            // All have the same bounds, so that adding cannot fail.
            let _ = all.add(&*shard.lock());
        }
        let at = |quantile| millis(all.value_at_quantile(quantile));
        Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: millis(all.max()),
            slowest_answer: millis(self.slowest_answer.load(Ordering::Relaxed)),
        }
    }

    /// Of callbacks for bots that are up, since the last call.
    pub fn take_lately(&self) -> Lately {
        let mut lately = self.lately.lock();
        let at = |quantile| (!lately.is_empty()).then(|| millis(lately.value_at_quantile(quantile)));
        let taken = Lately { p50: at(0.5), p99: at(0.99), max: at(1.0) };
        lately.reset();
        taken
    }
}

/// Latencies of a stretch of the run, in milliseconds; none where nothing was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lately {
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}

/// From when a callback should have been sent to its acknowledgement, repeats included, in
/// milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    /// Of a single sending.
    pub slowest_answer: f64,
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1e3
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_shards() {
        let latencies = Latencies::new().unwrap();
        let ms = Duration::from_millis;
        (1..=1_000).for_each(|n| latencies.record(ms(n), ms(n), Condition::Up));
        let latency = latencies.percentiles();
        for (measured, expected) in [(latency.p50, 500.0), (latency.p99, 990.0), (latency.max, 1_000.0)] {
            assert!((measured - expected).abs() <= expected / 500.0, "{latency:?}");
        }
    }
    #[test]
    fn the_latest_are_of_good_bots_and_are_told_once() {
        let latencies = Latencies::new().unwrap();
        latencies.record(Duration::from_millis(1), Duration::ZERO, Condition::Up);
        latencies.record(Duration::from_millis(900), Duration::ZERO, Condition::Slow);
        let max = latencies.take_lately().max.unwrap();
        assert!((0.99..=1.01).contains(&max), "{max}");
        assert_eq!(latencies.take_lately(), Lately { p50: None, p99: None, max: None });
    }

    #[test]
    fn a_level_remembers_its_highest_until_it_is_asked() {
        let level = Level::default();
        let first = level.enter();
        drop((level.enter(), level.enter()));
        assert_eq!((level.take_highest(), level.take_highest()), (3, 1));
        drop(first);
        assert_eq!((level.take_highest(), level.take_highest()), (1, 0));
    }
}

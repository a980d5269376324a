//! What is counted while a run goes on.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde::Serialize;

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
}

impl Latencies {
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        let empty = Histogram::new_with_bounds(1, micros(LONGEST), 3)?;
        Ok(Self {
            shards: std::array::from_fn(|_| Mutex::new(empty.clone())),
            turn: AtomicUsize::new(0),
            slowest_answer: AtomicU64::new(0),
        })
    }

    /// The latency of a callback, and how long the sending took that was acknowledged.
    pub fn record(&self, latency: Duration, answer: Duration) {
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
        let ms = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e3;
        let at = |quantile| ms(all.value_at_quantile(quantile));
        Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(all.max()),
            slowest_answer: ms(self.slowest_answer.load(Ordering::Relaxed)),
        }
    }
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

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_shards() {
        let latencies = Latencies::new().unwrap();
        (1..=1_000).for_each(|ms| latencies.record(Duration::from_millis(ms), Duration::from_millis(ms)));
        let latency = latencies.percentiles();
        for (measured, expected) in [(latency.p50, 500.0), (latency.p99, 990.0), (latency.max, 1_000.0)] {
            assert!((measured - expected).abs() <= expected / 500.0, "{latency:?}");
        }
    }
}

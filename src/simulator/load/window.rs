//! A run in stretches, for whoever draws it over time.

use serde::Serialize;
use tokio::time::Instant;

use super::tally::Lately;
use super::{Load, Phase, Progress};

/// What happened since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    pub phase: Phase,
    /// From the beginning of the run to the end of this stretch.
    pub at_seconds: f64,
    pub acknowledged_per_second: f64,
    /// Sendings that were not answered 200.
    pub failed: u64,
    /// Callbacks that were not acknowledged after all repeats.
    pub given_up: u64,
    pub pokes: u64,
    pub probes: u64,
    /// Connections to the bots at the same time, at most.
    pub connections: u64,
    /// Of callbacks for bots that are up, repeats included.
    pub latency_ms: Lately,
    /// Accounts whose newest acknowledged event is still on its way, at the end of this stretch.
    pub missing: usize,
}

/// Looks at a run, again and again; one at a time.
#[derive(Debug)]
pub struct Windows<'l> {
    load: &'l Load,
    before: Progress,
    since: Instant,
}

impl<'l> Windows<'l> {
    pub(super) fn of(load: &'l Load) -> Self {
        Self { load, before: load.progress(), since: Instant::now() }
    }

    /// From the last call to this one.
    pub fn look(&mut self) -> Window {
        let (now, progress, shared) = (Instant::now(), self.load.progress(), &self.load.shared);
        let before = std::mem::replace(&mut self.before, progress);
        let seconds = now.duration_since(self.since).as_secs_f64().max(f64::MIN_POSITIVE);
        self.since = now;
        Window {
            phase: progress.phase,
            at_seconds: now.duration_since(shared.began).as_secs_f64(),
            acknowledged_per_second: (progress.acknowledged - before.acknowledged) as f64 / seconds,
            failed: progress.failed - before.failed,
            given_up: progress.given_up - before.given_up,
            pokes: progress.pokes - before.pokes,
            probes: progress.probes - before.probes,
            connections: shared.tally.connections.take_highest(),
            latency_ms: shared.latencies.take_lately(),
            missing: self.load.missing(),
        }
    }
}

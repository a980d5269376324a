//! What is counted on the way of every event: looked up once, not each time.

use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::forward::Attempted;

pub(super) struct Meters {
    delivered: Counter,
    no_connection: Counter,
    failed: Counter,
    duration: Histogram,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

impl Meters {
    pub(super) fn new() -> Self {
        let attempts = |result| counter!("wxkf_dispatch_attempts_total", "result" => result);
        Self {
            delivered: attempts("delivered"),
            no_connection: attempts("no_connection"),
            failed: attempts("failed"),
            duration: histogram!("wxkf_dispatch_attempt_duration_seconds"),
        }
    }

    pub(super) fn attempted(&self, attempted: &Attempted, took: Duration) {
        let counter = match attempted {
            Attempted::Delivered => &self.delivered,
            Attempted::NoConnection(_) => &self.no_connection,
            Attempted::Failed(_) => &self.failed,
        };
        counter.increment(1);
        self.duration.record(took);
    }
}

/// Says what the metrics of the dispatcher mean.
pub fn describe_metrics() {
    describe_counter!("wxkf_dispatch_attempts_total", "Attempts to deliver an event to a bot, by result");
    describe_histogram!("wxkf_dispatch_attempt_duration_seconds", Unit::Seconds, "How long an attempt took");
    describe_counter!("wxkf_dispatch_held_total", "Events that were stored, by reason");
    describe_counter!("wxkf_dispatch_expired_total", "Events that were given up");
}

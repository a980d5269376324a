//! What is counted on the way of every event: looked up once, not each time.

use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::forward::Attempted;
use crate::domain::KfEvent;
use crate::live::{Live, Rate, Step};

pub(super) struct Meters {
    live: Live,
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
    pub(super) fn new(live: Live) -> Self {
        let attempts = |result| counter!("wxkf_dispatch_attempts_total", "result" => result);
        Self {
            live,
            delivered: attempts("delivered"),
            no_connection: attempts("no_connection"),
            failed: attempts("failed"),
            duration: histogram!("wxkf_dispatch_attempt_duration_seconds"),
        }
    }

    pub(super) fn attempted(&self, event: &KfEvent, attempted: &Attempted, took: Duration) {
        let counter = match attempted {
            Attempted::Delivered => &self.delivered,
            Attempted::NoConnection(_) => &self.no_connection,
            Attempted::Failed(_) => &self.failed,
        };
        counter.increment(1);
        self.duration.record(took);
        if *attempted == Attempted::Delivered {
            self.live.count(Rate::Dispatched);
        }
        self.live.event(event, || match attempted {
            Attempted::Delivered => Step::Delivered(took),
            Attempted::NoConnection(error) | Attempted::Failed(error) => Step::Failed(error.as_str().into()),
        });
    }

    pub(super) fn stored(&self, event: &KfEvent, label: &'static str, reason: &str) {
        counter!("wxkf_dispatch_held_total", "reason" => label).increment(1);
        self.live.count(Rate::Stored);
        self.live.event(event, || Step::Stored(reason.into()));
    }

    pub(super) fn expired(&self, event: &KfEvent) {
        counter!("wxkf_dispatch_expired_total").increment(1);
        self.live.event(event, || Step::Expired);
    }
}

/// Says what the metrics of the dispatcher mean.
pub fn describe_metrics() {
    describe_counter!("wxkf_dispatch_attempts_total", "Attempts to deliver an event to a bot, by result");
    describe_histogram!("wxkf_dispatch_attempt_duration_seconds", Unit::Seconds, "How long an attempt took");
    describe_counter!("wxkf_dispatch_held_total", "Events that were stored, by reason");
    describe_counter!("wxkf_dispatch_expired_total", "Events that were given up");
}

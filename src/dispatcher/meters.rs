//! What is counted on the way of every event: looked up once, not each time.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use super::forward::Attempted;
use crate::domain::KfEvent;
use crate::live::{Live, Rate, Step};
use crate::observe::{Family, Label, Measure, Values};

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

/// The metrics of the dispatcher.
pub const METRICS: &[Family] = &[
    Family {
        name: "wxkf_dispatch_attempts_total",
        measure: Measure::Counter,
        labels: &[Label { name: "result", values: Values::These(&["delivered", "no_connection", "failed"]) }],
        says: "Attempts to deliver an event to a bot by result",
        advice: "`no_connection`: the bot is away and is probed. `failed`: it answers badly or too late. \
            `GET /api/admin/puppets` has each bot's last error.",
    },
    Family {
        name: "wxkf_dispatch_attempt_duration_seconds",
        measure: Measure::Durations,
        labels: &[],
        says: "How long an attempt took, whatever came of it",
        advice: "What is near `DISPATCH_TIMEOUT` are bots that hang; after 1 s an event is stored while its attempt goes on.",
    },
    Family {
        name: "wxkf_dispatch_held_total",
        measure: Measure::Counter,
        labels: &[Label {
            name: "reason",
            values: Values::These(&["no_bot", "away", "grace", "backing_off", "slow", "paced", "failed"]),
        }],
        says: "Events that were stored instead of delivered at once, by reason",
        advice: "`no_bot`: nobody registered for the account. `grace` is a bot that registered just now, and `paced` one that was poked \
            without a token a moment ago: both are in order.",
    },
    Family {
        name: "wxkf_dispatch_expired_total",
        measure: Measure::Counter,
        labels: &[],
        says: "Events that were given up, because their bot took none for `EVENT_TTL`",
        advice: "Any is worth a look: they are kept for a week and can be redelivered.",
    },
];

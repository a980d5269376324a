//! What is counted of services: looked up once, not each time.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use super::post::Posted;
use crate::domain::ServiceEvent;
use crate::live::{Live, Rate, Step};
use crate::observe::{Family, Label, Measure, Values};

pub(super) struct Meters {
    live: Live,
    stored: Counter,
    pub given_up: Counter,
    expired_by_age: Counter,
    expired_by_refusals: Counter,
    delivered: Counter,
    refused: Counter,
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
        let attempts = |result| counter!("wxkf_service_attempts_total", "result" => result);
        let expired = |reason| counter!("wxkf_service_expired_total", "reason" => reason);
        Self {
            live,
            stored: counter!("wxkf_service_events_total"),
            given_up: counter!("wxkf_service_given_up_total"),
            expired_by_age: expired("ttl"),
            expired_by_refusals: expired("refused"),
            delivered: attempts("delivered"),
            refused: attempts("refused"),
            failed: attempts("failed"),
            duration: histogram!("wxkf_service_attempt_duration_seconds"),
        }
    }

    pub(super) fn stored(&self, event: &ServiceEvent) {
        self.stored.increment(1);
        self.live.service(event, || Step::Queued(event.name.clone()));
    }

    pub(super) fn expired_by_age(&self, event: &ServiceEvent) {
        self.expired_by_age.increment(1);
        self.live.service(event, || Step::Expired);
    }

    pub(super) fn expired_by_refusals(&self, event: &ServiceEvent) {
        self.expired_by_refusals.increment(1);
        self.live.service(event, || Step::Expired);
    }

    pub(super) fn posted(&self, event: &ServiceEvent, posted: &Posted, took: Duration) {
        let counter = match posted {
            Posted::Delivered => &self.delivered,
            Posted::Refused(_) => &self.refused,
            Posted::Failed(_) => &self.failed,
        };
        counter.increment(1);
        self.duration.record(took);
        if *posted == Posted::Delivered {
            self.live.count(Rate::Dispatched);
        }
        self.live.service(event, || match posted {
            Posted::Delivered => Step::Delivered(took),
            Posted::Refused(error) | Posted::Failed(error) => Step::Failed(error.as_str().into()),
        });
    }
}

/// The metrics of services.
pub const METRICS: &[Family] = &[
    Family {
        name: "wxkf_service_events_total",
        measure: Measure::Counter,
        labels: &[],
        says: "Events that were stored, one for each service that takes it",
        advice: "What services are sent an hour; grows faster than `wxkf_service_attempts_total` while one is behind.",
    },
    Family {
        name: "wxkf_service_attempts_total",
        measure: Measure::Counter,
        labels: &[Label { name: "result", values: Values::These(&["delivered", "refused", "failed"]) }],
        says: "Attempts to deliver an event to a service by result",
        advice: "`failed`: it is away, slow or busy, and is tried again. `refused`: it says that the event is wrong, and after 5 times \
            the event is set aside. `GET /api/admin/deliveries?service=…` has the errors.",
    },
    Family {
        name: "wxkf_service_attempt_duration_seconds",
        measure: Measure::Durations,
        labels: &[],
        says: "How long an attempt took, whatever came of it",
        advice: "A queue delivers one event after another: this is what bounds a service's events a second.",
    },
    Family {
        name: "wxkf_service_expired_total",
        measure: Measure::Counter,
        labels: &[Label { name: "reason", values: Values::These(&["ttl", "refused"]) }],
        says: "Events that expired: their ttl was over, or they were refused too often",
        advice: "Any is worth a look: they are kept for a week and can be redelivered.",
    },
    Family {
        name: "wxkf_service_given_up_total",
        measure: Measure::Counter,
        labels: &[],
        says: "Events that were dropped, because their service's backlog was full",
        advice: "They are gone. A service was away for very long: mend or withdraw it.",
    },
];

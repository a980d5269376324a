//! What is counted of services: looked up once, not each time.

use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use super::post::Posted;
use crate::domain::ServiceEvent;
use crate::live::{Live, Rate, Step};

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

/// Says what the metrics of services mean.
pub fn describe_metrics() {
    describe_counter!("wxkf_service_events_total", "Events that were stored, one for each service that takes it");
    describe_counter!("wxkf_service_attempts_total", "Attempts to deliver an event to a service, by result");
    describe_histogram!("wxkf_service_attempt_duration_seconds", Unit::Seconds, "How long an attempt took");
    describe_counter!(
        "wxkf_service_expired_total",
        "Events that expired: their ttl was over, or they were refused too often"
    );
    describe_counter!(
        "wxkf_service_given_up_total",
        "Events that were dropped, because their service's backlog was full"
    );
}

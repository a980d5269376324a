//! The senders that run in this process, one a queue, and how much each queue has grown.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::ServiceKey;

/// What has come into a queue is worth a look at its bounds after so much.
const GROWN_EVENTS: usize = 1_000;
const GROWN_BYTES: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct Senders {
    running: Mutex<HashMap<ServiceKey, Running>>,
    grown: Mutex<HashMap<ServiceKey, Grown>>,
}

#[derive(Debug, Default)]
struct Running {
    /// How often it was told that something came.
    wakes: u64,
    hurry: Arc<Notify>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Grown {
    events: usize,
    bytes: usize,
}

/// What whoever wakes a sender has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// There is none: start it.
    Start,
    Runs,
}

impl Senders {
    pub(super) fn wake(&self, service: &ServiceKey) -> Woken {
        let mut running = self.running.lock();
        if let Some(sender) = running.get_mut(service) {
            sender.wakes += 1;
            return Woken::Runs;
        }
        running.insert(service.clone(), Running::default());
        Woken::Start
    }

    /// A sender that waits after a failure tries again.
    pub(super) fn hurry(&self, service: &ServiceKey) -> Woken {
        if let Some(sender) = self.running.lock().get(service) {
            sender.hurry.notify_one();
        }
        self.wake(service)
    }

    pub(super) fn hurried(&self, service: &ServiceKey) -> Arc<Notify> {
        self.running.lock().get(service).map(|sender| sender.hurry.clone()).unwrap_or_default()
    }

    pub(super) fn wakes(&self, service: &ServiceKey) -> u64 {
        self.running.lock().get(service).map_or(0, |sender| sender.wakes)
    }

    /// The sender ends, unless it was woken since: whoever comes next finds one that runs, or starts one.
    pub(super) fn ends(&self, service: &ServiceKey, wakes: u64) -> bool {
        let mut running = self.running.lock();
        let ends = running.get(service).is_none_or(|sender| sender.wakes == wakes);
        if ends {
            running.remove(service);
        }
        ends
    }

    pub(super) fn remove(&self, service: &ServiceKey) {
        self.running.lock().remove(service);
    }

    /// True when so much has come that the queue's bounds should be looked at.
    pub(super) fn has_grown(&self, service: &ServiceKey, bytes: usize) -> bool {
        let mut grown = self.grown.lock();
        let queue = grown.entry(service.clone()).or_default();
        (queue.events, queue.bytes) = (queue.events + 1, queue.bytes + bytes);
        let much = queue.events >= GROWN_EVENTS || queue.bytes >= GROWN_BYTES;
        if much {
            grown.remove(service);
        }
        much
    }

    /// The queue is empty.
    pub(super) fn is_empty(&self, service: &ServiceKey) {
        self.grown.lock().remove(service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_runs_until_nothing_came_since_it_looked() {
        let (senders, queue) = (Senders::default(), ServiceKey::parse("ww1/crm").unwrap());
        assert_eq!(senders.wake(&queue), Woken::Start);
        let seen = senders.wakes(&queue);
        assert_eq!(senders.wake(&queue), Woken::Runs);
        assert!(!senders.ends(&queue, seen), "something came");
        assert!(senders.ends(&queue, senders.wakes(&queue)));
        assert_eq!(senders.wake(&queue), Woken::Start);
    }

    #[test]
    fn bounds_are_looked_at_after_many_events_or_bytes() {
        let (senders, queue) = (Senders::default(), ServiceKey::parse("ww1/crm").unwrap());
        let looked = (0..2 * GROWN_EVENTS).filter(|_| senders.has_grown(&queue, 1)).count();
        assert_eq!(looked, 2);
        assert!(senders.has_grown(&queue, GROWN_BYTES));
    }
}

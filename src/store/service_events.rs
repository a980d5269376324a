//! The queues of services: appended to by whoever takes a callback, sent by one sender each.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{HeldState, Lease, Result};
use crate::domain::{CorpId, EventId, ServiceEvent, ServiceKey, ServiceName};

/// An event of a service's queue, with the state of its delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedEvent {
    pub event: ServiceEvent,
    pub state: HeldState,
    /// When a live event is given up.
    pub expires_at: Timestamp,
    /// When it is tried next, once a try failed; of an expired one, when it expired.
    pub due_at: Timestamp,
    /// Tries so far.
    pub attempts: u32,
    /// Those of them that were answered that the event itself is wrong.
    pub refusals: u32,
    /// Why the last try failed; for operators.
    pub last_error: Option<String>,
}

/// What a failed try leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTry {
    pub due_at: Timestamp,
    pub attempts: u32,
    pub refusals: u32,
    pub last_error: String,
}

/// How much one queue may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueBounds {
    pub events: usize,
    /// Of their contents.
    pub bytes: u64,
}

/// Which events to list; `None` means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFilter {
    pub state: Option<HeldState>,
    pub corp: Option<CorpId>,
    pub service: Option<ServiceName>,
}

/// Undelivered events of services. Names end in `queued` or `queue`, beside those of held events.
#[async_trait]
pub trait ServiceEvents: Debug + Send + Sync {
    /// Appends all of them in one write, durable when it returns: an acknowledgement depends on it. One
    /// whose webhook id is in its queue already, live or expired, is a repeat and left out.
    async fn append_queued(&self, events: &[QueuedEvent]) -> Result<()>;

    /// Makes `lease.owner` the one sender of the queue until `lease.until`, or prolongs that. False while
    /// another's lease lasts beyond `now`.
    async fn lead_queue(&self, service: &ServiceKey, lease: &Lease, now: Timestamp) -> Result<bool>;

    /// Ends the owner's lease; another's stays.
    async fn leave_queue(&self, service: &ServiceKey, owner: &str) -> Result<()>;

    /// The oldest live events of the queue, in its order, at most `limit`. For its sender.
    async fn oldest_queued(&self, service: &ServiceKey, limit: usize) -> Result<Vec<QueuedEvent>>;

    /// Takes these events out of the queue: they were delivered, as of `at`. Undone by a crash at worst: then
    /// they are sent again. A store that other processes append to as well knows their repeats, until they
    /// are swept; of a store of its own, the process itself does.
    async fn settle_queued(&self, service: &ServiceKey, ids: &[EventId], at: Timestamp) -> Result<()>;

    /// Deletes these events of the queue, whatever their state; returns how many were there.
    async fn delete_queued(&self, service: &ServiceKey, ids: &[EventId]) -> Result<u64>;

    /// Notes a failed try on a live event. False when it is gone or expired.
    async fn note_failed_try(&self, id: &EventId, failed: &FailedTry) -> Result<bool>;

    /// Gives live events of the queue up, as of `at`; returns how many were live.
    async fn expire_queued(&self, service: &ServiceKey, ids: &[EventId], at: Timestamp) -> Result<u64>;

    /// The services whose queues hold live events, in their order.
    async fn waiting_services(&self) -> Result<Vec<ServiceKey>>;

    /// One event by its id.
    async fn queued(&self, id: &EventId) -> Result<Option<QueuedEvent>>;

    /// Events in the order of their ids, after `after`, at most `limit`.
    async fn list_queued(
        &self,
        filter: &QueueFilter,
        after: Option<&EventId>,
        limit: usize,
    ) -> Result<Vec<QueuedEvent>>;

    /// The operator's wish: the event, expired or live, is live, due at `at`, expires at `expires_at`, and
    /// none of its refusals counts any more. False when it is gone.
    async fn revive_queued(&self, id: &EventId, at: Timestamp, expires_at: Timestamp) -> Result<bool>;

    /// Deletes expired events, then the oldest live ones, until the queue keeps its bounds. Returns how
    /// many.
    async fn trim_queue(&self, service: &ServiceKey, bounds: QueueBounds) -> Result<u64>;

    /// Deletes the whole queue: its service is gone. Returns how many events it held.
    async fn drop_queue(&self, service: &ServiceKey) -> Result<u64>;

    /// Deletes events that expired before `expired_before` (by `due_at`), of all queues, and forgets those
    /// delivered before `delivered_before`. Returns how many expired ones.
    async fn sweep_queues(&self, expired_before: Timestamp, delivered_before: Timestamp) -> Result<u64>;
}

//! The sender of one queue: alone among all replicas, in order, until nothing is left.
//!
//! The one decision a reader would question: what was delivered is deleted a few events at a time. Whoever
//! dies between sends those once more, and a service takes each event at least once anyway.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Inner;
use super::post::Posted;
use super::senders::Woken;
use crate::domain::{EventId, ServiceKey};
use crate::store::{FailedTry, Lease, QueuedEvent, Result};

/// Events read together.
const BATCH: usize = 100;
/// Delivered events that are deleted together, and for how long the first of them waits.
const DELETED_TOGETHER: usize = 32;
const DELETED_WITHIN: Duration = Duration::from_millis(100);
/// How much longer than an attempt a lease lasts: with the look of the other replicas, theirs is the
/// queue 25 s after this one died.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// What must be left of it beyond an attempt when one begins.
const LEASE_RESERVE: Duration = Duration::from_secs(3);
/// An event that was refused so often expires: it must not keep the others for ever.
const REFUSALS: u32 = 5;
/// After a failure of the store.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Another replica sends the queue. It may have looked last before our event came, and ends then.
const ELSEWHERE_PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1_500), Duration::from_secs(3)];

/// How a turn at the queue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing is left.
    Empty,
    /// Another replica sends it.
    Elsewhere,
    /// Nobody declares the service any more.
    Undeclared,
    /// The gateway stops.
    Stopped,
}

/// What became of one event.
enum Step {
    /// On to the next one.
    Next,
    /// The queue must be read again.
    Again,
    End(Turn),
}

/// What a sender knows while it runs.
struct Sender<'s> {
    inner: &'s Arc<Inner>,
    service: &'s ServiceKey,
    lease: Option<Lease>,
    /// Failures in a row, whatever the event.
    failures: u32,
    /// Delivered, and not deleted yet.
    delivered: Vec<EventId>,
    first_delivered: Instant,
}

/// Frees the queue should its sender ever break off.
struct Place<'p> {
    inner: &'p Inner,
    service: &'p ServiceKey,
    given_back: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.given_back {
            self.inner.senders.remove(self.service);
        }
    }
}

impl Inner {
    /// Something came into the queue.
    pub(super) fn wake(self: &Arc<Self>, service: &ServiceKey) {
        if self.senders.wake(service) == Woken::Start {
            self.start_sender(service, &ELSEWHERE_PAUSES);
        }
    }

    /// The queue waits, who knows since when and for whom.
    pub(super) fn look_at(self: &Arc<Self>, service: &ServiceKey) {
        if self.senders.wake(service) == Woken::Start {
            self.start_sender(service, &[]);
        }
    }

    /// An operator changed something: nobody waits for the end of a pause.
    pub(super) fn hurry(self: &Arc<Self>, service: &ServiceKey) {
        if self.senders.hurry(service) == Woken::Start {
            self.start_sender(service, &[]);
        }
    }

    fn start_sender(self: &Arc<Self>, service: &ServiceKey, pauses: &'static [Duration]) {
        let (inner, service) = (self.clone(), service.clone());
        self.tasks.spawn(async move { inner.send(&service, pauses).await });
    }

    async fn send(self: Arc<Self>, service: &ServiceKey, pauses: &[Duration]) {
        let mut place = Place { inner: &self, service, given_back: false };
        let (mut sender, mut pauses) = (Sender::new(&self, service), pauses.iter());
        loop {
            let wakes = self.senders.wakes(service);
            let pause = match sender.turn().await {
                Ok(Turn::Stopped) => return,
                Ok(Turn::Empty | Turn::Undeclared) => {
                    if self.senders.ends(service, wakes) {
                        place.given_back = true;
                        return;
                    }
                    continue;
                }
                Ok(Turn::Elsewhere) => match pauses.next() {
                    Some(&pause) => pause,
                    // The other one sees to it, or the next look.
                    None => return,
                },
                Err(error) => {
                    warn!(%service, error = %error, "cannot read or change the queue of a service");
                    STORE_PAUSE
                }
            };
            if !self.tasks.pause(pause).await {
                return;
            }
        }
    }
}

impl<'s> Sender<'s> {
    fn new(inner: &'s Arc<Inner>, service: &'s ServiceKey) -> Self {
        let (lease, delivered, first_delivered) = (None, Vec::new(), Instant::now());
        Self { inner, service, lease, failures: 0, delivered, first_delivered }
    }

    async fn turn(&mut self) -> Result<Turn> {
        if self.inner.service(self.service).await?.is_none() {
            return self.expire_overdue().await;
        }
        if !self.leads().await? {
            return Ok(Turn::Elsewhere);
        }
        let turn = self.drain().await;
        let deleted = self.delete_delivered().await;
        if self.lease.take().is_some() {
            self.inner.queues.leave_queue(self.service, &self.inner.settings.replica).await?;
        }
        deleted.and(turn)
    }

    /// Until nothing is left. On a shared store nobody tells of what other replicas append, so that there
    /// it ends with a look that finds nothing.
    async fn drain(&mut self) -> Result<Turn> {
        loop {
            let wakes = self.inner.senders.wakes(self.service);
            let batch = self.inner.queues.oldest_queued(self.service, BATCH).await?;
            if batch.is_empty() {
                self.inner.senders.is_empty(self.service);
                return Ok(Turn::Empty);
            }
            let all = batch.len() < BATCH;
            match self.send_batch(batch).await? {
                Step::End(turn) => return Ok(turn),
                Step::Again => {}
                Step::Next => {
                    let nothing_came = wakes == self.inner.senders.wakes(self.service);
                    if all && nothing_came && !self.inner.directory.is_shared() {
                        self.inner.senders.is_empty(self.service);
                        return Ok(Turn::Empty);
                    }
                }
            }
        }
    }

    async fn send_batch(&mut self, batch: Vec<QueuedEvent>) -> Result<Step> {
        for queued in batch {
            // A failure of the store kept it from being deleted.
            if self.delivered.contains(&queued.event.id) {
                continue;
            }
            match self.send_one(queued).await? {
                Step::Next => {}
                other => return Ok(other),
            }
            let due = self.delivered.len() >= DELETED_TOGETHER || self.first_delivered.elapsed() >= DELETED_WITHIN;
            if due {
                self.delete_delivered().await?;
            }
        }
        self.delete_delivered().await?;
        Ok(Step::Next)
    }

    async fn send_one(&mut self, queued: QueuedEvent) -> Result<Step> {
        let inner = self.inner;
        if inner.tasks.is_stopping() {
            return Ok(Step::End(Turn::Stopped));
        }
        let now = inner.clock.now();
        if queued.expires_at <= now {
            self.expire(&queued).await?;
            return Ok(Step::Next);
        }
        // Near; what an operator changes counts for the next event.
        let Some(service) = inner.service(self.service).await? else { return Ok(Step::End(Turn::Undeclared)) };
        if !self.leads().await? {
            return Ok(Step::End(Turn::Elsewhere));
        }
        let began = Instant::now();
        let posted = inner.poster.deliver(&service, &queued, now).await;
        inner.meters.posted(&queued.event, &posted, began.elapsed());
        match posted {
            Posted::Delivered => {
                let (service, event, attempts) = (self.service, &queued.event.id, queued.attempts);
                match attempts {
                    0 => debug!(%service, event.id = %event, "delivered to a service"),
                    _ => info!(%service, event.id = %event, attempts, "delivered to a service after all"),
                }
                self.failures = 0;
                if self.delivered.is_empty() {
                    self.first_delivered = Instant::now();
                }
                self.delivered.push(queued.event.id);
                Ok(Step::Next)
            }
            Posted::Refused(error) => self.refused(queued, error).await,
            Posted::Failed(error) => self.failed(&queued, queued.refusals, error).await,
        }
    }

    async fn refused(&mut self, queued: QueuedEvent, error: String) -> Result<Step> {
        let refusals = queued.refusals.saturating_add(1);
        if refusals < REFUSALS {
            return self.failed(&queued, refusals, error).await;
        }
        let now = self.inner.clock.now();
        warn!(
            service = %self.service, event.id = %queued.event.id, event.name = %queued.event.name, error,
            "a service refused an event {REFUSALS} times: it is set aside"
        );
        let attempts = queued.attempts.saturating_add(1);
        let noted = FailedTry { due_at: now, attempts, refusals, last_error: error };
        self.inner.queues.note_failed_try(&queued.event.id, &noted).await?;
        self.inner.queues.expire_queued(self.service, std::slice::from_ref(&queued.event.id), now).await?;
        self.inner.meters.expired_by_refusals(&queued.event);
        self.failures = 0;
        Ok(Step::Next)
    }

    /// Waits, and reads the queue again: an operator may have put something before it.
    async fn failed(&mut self, queued: &QueuedEvent, refusals: u32, error: String) -> Result<Step> {
        self.delete_delivered().await?;
        self.failures = self.failures.saturating_add(1);
        let delay = self.inner.settings.retry.delay(self.failures);
        let now = self.inner.clock.now();
        let attempts = queued.attempts.saturating_add(1);
        // Once when it begins; a dead service would fill the log.
        if self.failures == 1 {
            warn!(service = %self.service, event.id = %queued.event.id, attempts, error, "a service does not take an event");
        } else {
            debug!(service = %self.service, event.id = %queued.event.id, attempts, error, "a service still does not take it");
        }
        let noted = FailedTry { due_at: now + delay, attempts, refusals, last_error: error };
        self.inner.queues.note_failed_try(&queued.event.id, &noted).await?;
        self.wait(delay).await
    }

    /// Keeps the lease meanwhile: another replica would try at once.
    async fn wait(&mut self, delay: Duration) -> Result<Step> {
        let until = Instant::now() + delay;
        let hurried = self.inner.senders.hurried(self.service);
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(Step::Again);
            }
            tokio::select! {
                () = tokio::time::sleep(rest.min(LEASE_MARGIN / 4)) => {}
                () = hurried.notified() => return Ok(Step::Again),
                () = self.inner.tasks.stopping() => return Ok(Step::End(Turn::Stopped)),
            }
            if !self.leads().await? {
                return Ok(Step::End(Turn::Elsewhere));
            }
        }
    }

    /// Takes or prolongs the lease when less is left of it than an attempt may need.
    async fn leads(&mut self) -> Result<bool> {
        let settings = &self.inner.settings;
        let now = self.inner.clock.now();
        let needed = now + settings.attempt_limit + LEASE_RESERVE;
        if self.lease.as_ref().is_some_and(|lease| lease.until >= needed) {
            return Ok(true);
        }
        let lease = Lease { owner: settings.replica.clone(), until: now + settings.attempt_limit + LEASE_MARGIN };
        let leads = self.inner.queues.lead_queue(self.service, &lease, now).await?;
        self.lease = leads.then_some(lease);
        Ok(leads)
    }

    async fn delete_delivered(&mut self) -> Result<()> {
        if !self.delivered.is_empty() {
            let now = self.inner.clock.now();
            self.inner.queues.settle_queued(self.service, &self.delivered, now).await?;
            self.delivered.clear();
        }
        Ok(())
    }

    async fn expire(&self, queued: &QueuedEvent) -> Result<()> {
        info!(
            service = %self.service, event.id = %queued.event.id, event.name = %queued.event.name,
            attempts = queued.attempts, error = queued.last_error, "gave an event up: its ttl is over"
        );
        self.inner.meters.expired_by_age(&queued.event);
        let now = self.inner.clock.now();
        self.inner.queues.expire_queued(self.service, std::slice::from_ref(&queued.event.id), now).await.map(drop)
    }

    /// What waits for a service that nobody declares any more expires in its time: it may come back.
    async fn expire_overdue(&self) -> Result<Turn> {
        loop {
            let batch = self.inner.queues.oldest_queued(self.service, BATCH).await?;
            let now = self.inner.clock.now();
            let overdue: Vec<_> = batch.iter().filter(|queued| queued.expires_at <= now).collect();
            if overdue.is_empty() {
                return Ok(Turn::Undeclared);
            }
            overdue.iter().for_each(|queued| self.inner.meters.expired_by_age(&queued.event));
            let overdue: Vec<EventId> = overdue.into_iter().map(|queued| queued.event.id.clone()).collect();
            self.inner.queues.expire_queued(self.service, &overdue, now).await?;
        }
    }
}

//! Other services of the app: each takes the events that it names, in their order and at least once.
//!
//! The one decision a reader would question: nothing is delivered before it is stored. A service's events
//! are no pokes: each counts, and the next one must not overtake it. So an event goes into the queue of
//! every service that takes it, is acknowledged, and one sender a queue does the rest.

pub mod filter;
pub mod format;
mod meters;
mod post;
mod rules;
mod sender;
mod senders;
pub mod signature;
mod takers;
mod upkeep;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use moka::sync::Cache;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use crate::dispatcher::RetryPolicy;
use crate::domain::{Clock, Content, CorpId, EventId, Service, ServiceEvent, ServiceFormat, ServiceKey, ServiceUrl};
use crate::lifecycle::Tasks;
use crate::live::Live;
use crate::observe::{Kind, Span, Trace};
use crate::store::{self, CorpKeys, Directory, HeldState, QueuedEvent, ServiceEvents};

use filter::EventName;
use meters::Meters;
use senders::Senders;
use takers::Takers;

pub use meters::METRICS;
pub use post::{Posted, Poster};
pub use rules::Rules;

/// What the store may take for one callback.
const STORE_LIMIT: Duration = Duration::from_secs(2);
/// WeCom repeats an unanswered callback within this time. What was delivered is gone from the queue, and
/// remembered here for so long; in a shared store it is there, too.
const REPEAT_WINDOW: Duration = Duration::from_secs(60);
/// Callbacks remembered for that, some 200 bytes each.
const REMEMBERED: u64 = 50_000;

/// How services are served.
#[derive(Debug, Clone)]
pub struct ServicesSettings {
    /// `DISPATCH_TIMEOUT`: one attempt.
    pub attempt_limit: Duration,
    pub retry: RetryPolicy,
    /// Who holds the leases of this replica.
    pub replica: String,
}

/// A genuine callback.
#[derive(Debug, Clone, Copy)]
pub struct Callback<'c> {
    pub corp: &'c CorpId,
    /// The corp as the directory has it, with its services.
    pub keys: &'c Arc<CorpKeys>,
    pub query: &'c str,
    pub body: &'c Bytes,
    /// The inner XML.
    pub message: &'c Bytes,
    pub arrived_at: Timestamp,
}

/// What became of a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// No service of the corp takes it.
    ByNobody,
    /// Each that takes it has it in its queue, durable.
    Stored,
    /// The store cannot take it: the caller must send it again.
    Unavailable,
}

/// The handle; clones share it.
#[derive(Debug, Clone)]
pub struct Services {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: ServicesSettings,
    directory: Arc<Directory>,
    queues: Arc<dyn ServiceEvents>,
    poster: Poster,
    clock: Clock,
    tasks: Tasks,
    takers: Takers,
    senders: Senders,
    /// Queue and webhook id of what was stored just now.
    stored: Cache<(ServiceKey, Arc<str>), ()>,
    meters: Meters,
}

impl Services {
    pub fn new(
        settings: ServicesSettings,
        directory: Arc<Directory>,
        queues: Arc<dyn ServiceEvents>,
        poster: Poster,
        clock: Clock,
        tasks: Tasks,
        live: Live,
    ) -> Self {
        let inner = Inner {
            settings,
            directory,
            queues,
            poster,
            clock,
            tasks,
            takers: Takers::new(),
            senders: Senders::default(),
            stored: Cache::builder().max_capacity(REMEMBERED).time_to_live(REPEAT_WINDOW).build(),
            meters: Meters::new(live),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts the senders of what waits, and the sweep of what is old.
    pub fn start(&self) {
        self.inner.tasks.spawn(self.inner.clone().look_after_queues());
    }

    /// Puts the callback into the queue of every service that takes it. Answers by the deadline; goes on
    /// after it, and when the caller is gone.
    pub async fn take(&self, callback: &Callback<'_>, deadline: Instant) -> Taken {
        if callback.keys.services.is_empty() {
            return Taken::ByNobody;
        }
        let events = self.inner.events_of(callback);
        if events.is_empty() {
            return Taken::ByNobody;
        }
        let (inner, trace) = (self.inner.clone(), Trace::current());
        let storing = self.inner.tasks.spawn(async move { trace.around(pin!(inner.store(events))).await });
        match timeout_at(deadline, storing).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(_)) | Err(_) => Taken::Unavailable,
        }
    }

    /// Sends the service one event, once and past its queue; says what came of it.
    pub async fn test(&self, service: &Service, event: &ServiceEvent) -> Posted {
        self.inner.poster.post(service, event, self.inner.clock.now()).await
    }

    /// The forbidden address that the URL leads to, as things stand.
    pub async fn first_denied(&self, url: &ServiceUrl) -> Option<IpAddr> {
        self.inner.poster.denied().first_denied(url.url()).await
    }

    /// The service was declared anew: what waits for it is tried at once.
    pub fn declared(&self, service: &ServiceKey) {
        self.inner.hurry(service);
    }

    /// The service is gone, and with it what waits for it. Returns how many events that were.
    pub async fn withdrawn(&self, service: &ServiceKey) -> store::Result<u64> {
        let dropped = self.inner.queues.drop_queue(service).await?;
        self.inner.hurry(service);
        Ok(dropped)
    }

    /// The operator's wish: the event goes now, live or expired, and before all that came after it. `None`
    /// when it is gone.
    pub async fn redeliver(&self, id: &EventId) -> store::Result<Option<QueuedEvent>> {
        let Some(queued) = self.inner.queues.queued(id).await? else { return Ok(None) };
        let service = &queued.event.service;
        let declared = self.inner.service(service).await?;
        let ttl = declared.map_or(Duration::from_secs(24 * 3600), |service| service.ttl);
        let now = self.inner.clock.now();
        let found = self.inner.queues.revive_queued(id, now, now + ttl).await?;
        self.inner.hurry(service);
        Ok(found.then_some(queued))
    }

    /// Deletes the event. `None` when it is gone.
    pub async fn forget(&self, id: &EventId) -> store::Result<Option<QueuedEvent>> {
        let Some(queued) = self.inner.queues.queued(id).await? else { return Ok(None) };
        let deleted = self.inner.queues.delete_queued(&queued.event.service, std::slice::from_ref(id)).await?;
        Ok((deleted > 0).then_some(queued))
    }
}

impl Inner {
    /// The service as it is declared now.
    async fn service(&self, key: &ServiceKey) -> store::Result<Option<Service>> {
        let keys = self.directory.keys(&key.corp).await?;
        Ok(keys.and_then(|keys| keys.services.iter().find(|service| service.name == key.name).cloned()))
    }

    /// One event for every service that takes the callback.
    fn events_of(&self, callback: &Callback<'_>) -> Vec<QueuedEvent> {
        let takers = self.takers.of(callback.corp, callback.keys);
        let Some(name) = EventName::of(callback.message) else { return Vec::new() };
        let mut takers = takers.iter().filter(|taker| taker.filter.takes(&name)).peekable();
        if takers.peek().is_none() {
            return Vec::new();
        }
        let webhook_id: Arc<str> = signature::webhook_id(callback.corp, callback.message).into();
        let id = EventId::in_order(callback.arrived_at);
        let name: Arc<str> = name.to_string().into();
        let event = |at: usize, taker: &takers::Taker| {
            let service = &taker.service;
            let event = ServiceEvent {
                // Each event has an id of its own; those of a queue are in order all the same.
                id: if at == 0 { id.clone() } else { EventId::in_order(callback.arrived_at) },
                service: ServiceKey { corp: callback.corp.clone(), name: service.name.clone() },
                webhook_id: webhook_id.clone(),
                name: name.clone(),
                arrived_at: callback.arrived_at,
                content: content(service.format, callback),
            };
            QueuedEvent {
                event,
                state: HeldState::Live,
                expires_at: callback.arrived_at + service.ttl,
                due_at: callback.arrived_at,
                attempts: 0,
                refusals: 0,
                last_error: None,
            }
        };
        takers.enumerate().map(|(at, taker)| event(at, taker)).collect()
    }

    /// Repeats of what this replica stored just now are as good as stored.
    async fn store(self: Arc<Self>, mut events: Vec<QueuedEvent>) -> Taken {
        let identity = |queued: &QueuedEvent| (queued.event.service.clone(), queued.event.webhook_id.clone());
        events.retain(|queued| self.stored.get(&identity(queued)).is_none());
        if events.is_empty() {
            return Taken::Stored;
        }
        let mut span = Span::begin(Kind::Internal, "store for services");
        span.set("event.id", &events[0].event.id);
        span.count("event.services", i64::try_from(events.len()).unwrap_or(i64::MAX));
        let stored = match timeout(STORE_LIMIT, self.queues.append_queued(&events)).await {
            Ok(stored) => stored.map_err(|error| error.to_string()),
            Err(_) => Err("the store takes too long".to_owned()),
        };
        if let Err(error) = stored {
            let event = &events[0].event;
            span.fail(&error);
            warn!(service = %event.service, event.id = %event.id, error, "cannot store an event for a service");
            return Taken::Unavailable;
        }
        for queued in &events {
            let event = &queued.event;
            debug!(
                service = %event.service, event.id = %event.id, event.name = %event.name, webhook.id = %event.webhook_id,
                "stored for a service"
            );
            self.stored.insert(identity(queued), ());
            self.meters.stored(event);
            self.grown(&event.service, event.content.size());
            self.wake(&event.service);
        }
        Taken::Stored
    }
}

/// The form that the service's format needs.
fn content(format: ServiceFormat, callback: &Callback<'_>) -> Content {
    match format {
        ServiceFormat::AsReceived => Content::Raw { query: callback.query.into(), body: callback.body.clone() },
        ServiceFormat::DecryptedXml | ServiceFormat::Json => Content::Plain(callback.message.clone()),
    }
}

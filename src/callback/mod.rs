//! WeCom's callbacks: verified and opened here, brought on by the dispatcher to bots and by the queues of
//! services to these.
//!
//! Whatever is genuine is acknowledged, understood or not: WeCom repeats what is not, and there is
//! nobody to mend it. What is refused is told its class of fault only; the log has the rest.

pub mod credentials;
pub mod crypto;
pub mod envelope;
pub mod explain;
mod failures;
mod meters;
pub mod query;
pub mod routes;
mod test_event;
pub mod xml;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::dispatcher::{Dispatcher, Receipt};
use crate::domain::{
    Account, CallbackCredential, Clock, CorpId, Digest, EventId, KfEvent, OpenKfId, Order, Payload, RawCallback, Trust,
};
use crate::lifecycle::Tasks;
use crate::live::{Live, Step};
use crate::observe::{Kind as SpanKind, Span};
use crate::services::{self, Services, Taken};
use crate::store::{CorpKeys, Directory};

pub use failures::{Failed, Failure, Verified};
pub use meters::{Kind, METRICS};
pub use test_event::TestEvent;

use credentials::OpenFault;
use crypto::Opened;
use envelope::{Envelope, EnvelopeFault, Message};
use failures::Failures;
use query::{QueryFault, SignedQuery};

/// A verification is answered within a second, so the store gets half of it.
const LOOK_UP_LIMIT: Duration = Duration::from_millis(500);
/// From a body's last byte to the answer (WeCom hangs up after 5 s).
const ANSWER_WITHIN: Duration = Duration::from_millis(4_300);

/// What `doctor` has verified begins with this: nobody should take its check for WeCom's.
pub const OF_DOCTOR: &str = "wxkf-gateway-doctor-";

/// Why a callback was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("unknown corp")]
    UnknownCorp,
    #[error("the store is unavailable")]
    StoreUnavailable,
    #[error(transparent)]
    Query(#[from] QueryFault),
    #[error("the body is too large")]
    TooLarge,
    #[error("the body broke off, or took too long")]
    BrokeOff,
    #[error("too many large bodies come in at a time")]
    Crowded,
    #[error(transparent)]
    Envelope(#[from] EnvelopeFault),
    #[error(transparent)]
    Open(#[from] OpenFault),
    #[error("neither delivered nor stored")]
    NotTaken,
}

/// A corp that is known, with what opens its callbacks.
#[derive(Debug)]
pub struct KnownCorp {
    keys: Arc<CorpKeys>,
}

impl KnownCorp {
    fn id(&self) -> &CorpId {
        &self.keys.corp
    }
}

/// An event that another gateway decrypted.
#[derive(Debug)]
pub struct DecryptedEvent {
    pub open_kf_id: OpenKfId,
    pub token: Option<String>,
    /// Further fields, passed on unchanged.
    pub extra: Map<String, Value>,
    /// Whether the sender proved who it is.
    pub trust: Trust,
}

impl DecryptedEvent {
    /// From the body's fields; what is wrong is named.
    pub fn read(mut fields: Map<String, Value>, trust: Trust) -> Result<Self, String> {
        let open_kf_id = match fields.shift_remove("openKfId") {
            Some(Value::String(text)) => OpenKfId::parse(&text).map_err(|error| format!("openKfId {error}"))?,
            Some(_) => return Err("openKfId must be a string".to_owned()),
            None => return Err("openKfId is missing: send {\"token\", \"openKfId\"}".to_owned()),
        };
        let token = match fields.shift_remove("token") {
            Some(Value::String(token)) if !token.is_empty() => Some(token),
            Some(Value::String(_) | Value::Null) | None => None,
            Some(_) => return Err("token must be a string".to_owned()),
        };
        Ok(Self { open_kf_id, token, extra: fields, trust })
    }
}

/// Receives callbacks.
#[derive(Debug)]
pub struct Callbacks {
    directory: Arc<Directory>,
    dispatcher: Dispatcher,
    services: Services,
    clock: Clock,
    failures: Arc<Failures>,
    live: Live,
}

impl Callbacks {
    pub fn new(
        directory: Arc<Directory>,
        dispatcher: Dispatcher,
        services: Services,
        clock: Clock,
        tasks: Tasks,
        live: Live,
    ) -> Self {
        let failures = Arc::new(Failures::new(directory.clone(), clock.clone(), tasks));
        Self { directory, dispatcher, services, clock, failures, live }
    }

    /// A call that was refused: counted and logged, with the reason in the administrator's words.
    pub fn failed(&self, failed: Failed) {
        self.refused(failed.kind, &failed.corp, &failed.refusal);
        self.failures.note(failed);
    }

    /// The corp's last failed verification, as this replica saw it since its start.
    pub fn last_failure(&self, corp: &CorpId) -> Option<Failure> {
        self.failures.last(corp)
    }

    /// The corp's last verification of its URL that succeeded, as this replica saw it since its start.
    pub fn last_verified(&self, corp: &CorpId) -> Option<Verified> {
        self.failures.last_verified(corp)
    }

    /// The corp of the callback's path.
    pub async fn corp(&self, id: &str) -> Result<KnownCorp, Refusal> {
        let id = CorpId::parse(id).map_err(|_| Refusal::UnknownCorp)?;
        match timeout(LOOK_UP_LIMIT, self.directory.keys(&id)).await {
            Ok(Ok(Some(keys))) => Ok(KnownCorp { keys }),
            Ok(Ok(None)) => Err(Refusal::UnknownCorp),
            Ok(Err(error)) => {
                warn!(corp.id = %id, error = %error, "cannot look a corp up");
                Err(Refusal::StoreUnavailable)
            }
            Err(_) => Err(Refusal::StoreUnavailable),
        }
    }

    /// URL verification: what WeCom wants back is the decrypted text, to the byte.
    pub fn verify(&self, corp: &KnownCorp, raw_query: &str) -> Result<Bytes, Refusal> {
        let query = SignedQuery::parse(raw_query)?;
        let (opened, credential) = credentials::open(&corp.keys, &query, &query.echostr()?)?;
        if opened.message.starts_with(OF_DOCTOR.as_bytes()) {
            info!(corp.id = %corp.id(), credential.id = %credential.pair.id(), "doctor checked the callback URL");
            return Ok(opened.message);
        }
        info!(corp.id = %corp.id(), credential.id = %credential.pair.id(), "WeCom verified the callback URL");
        self.failures.verified(corp.id(), credential.pair.id());
        self.live.call(|| (Some(corp.id().clone()), Step::Checked));
        Ok(opened.message)
    }

    /// A message: returns once everybody who takes it has it, delivered or stored.
    pub async fn receive(&self, corp: &KnownCorp, query: &SignedQuery<'_>, body: Bytes) -> Result<(), Refusal> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let (envelope, opened, credential) = open(corp, query, &body)?;
        let Ok(message) = Message::parse(&opened.message) else {
            warn!(corp.id = %corp.id(), "acknowledged a genuine callback that holds no XML, or a DTD");
            return Ok(());
        };
        let arrived_at = self.clock.now();
        let callback = services::Callback {
            corp: corp.id(),
            keys: &corp.keys,
            query: query.raw,
            body: &body,
            message: &opened.message,
            arrived_at,
        };
        let taken = self.services.take(&callback, deadline);
        if !message.is_kf_news() {
            let kind = message.kind.as_deref().unwrap_or_default();
            let taken = taken.await;
            if taken == Taken::ByNobody {
                debug!(corp.id = %corp.id(), kind, "acknowledged; nobody takes it");
                self.live.call(|| (Some(corp.id().clone()), Step::NotTaken(kind.into())));
            }
            return acknowledged(taken);
        }
        let readable = envelope.readable_by_bots && message.readable_by_bots(corp.id().as_str());
        let event = Arrived {
            corp: corp.id(),
            arrival: arrived_at,
            create_time: message.create_time,
            trust: Trust::Signed,
            digest: Digest::of(&opened.message),
            token: message.token.as_deref(),
        };
        let raw = readable.then(|| raw(query.raw, body.clone(), credential));
        let dispatched = self.dispatch(&event, message.open_kf_id.as_deref(), raw, deadline);
        let (taken, dispatched) = futures::join!(taken, dispatched);
        acknowledged(taken).and(dispatched)
    }

    /// To the bot of the account that it names, or to all.
    async fn dispatch(
        &self,
        event: &Arrived<'_>,
        open_kf_id: Option<&str>,
        raw: Option<RawCallback>,
        deadline: Instant,
    ) -> Result<(), Refusal> {
        let Some(open_kf_id) = open_kf_id else {
            return Box::pin(self.submit_to_all(event, deadline)).await;
        };
        match OpenKfId::parse(open_kf_id) {
            Ok(kf) => self.submit(event.to(kf, Map::new(), raw), deadline).await,
            Err(error) => {
                warn!(corp.id = %event.corp, error = %error, "acknowledged an event whose OpenKfId can be no bot's");
                Ok(())
            }
        }
    }

    /// An event that another gateway decrypted takes the same way.
    pub async fn receive_decrypted(&self, corp: &KnownCorp, event: DecryptedEvent) -> Result<(), Refusal> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let identity = format!("{}\n{}", event.open_kf_id, event.token.as_deref().unwrap_or_default());
        let arrived = Arrived {
            corp: corp.id(),
            arrival: self.clock.now(),
            create_time: None,
            trust: event.trust,
            digest: Digest::of(identity.as_bytes()),
            token: event.token.as_deref(),
        };
        self.submit(arrived.to(event.open_kf_id, event.extra, None), deadline).await
    }

    async fn submit(&self, event: Arc<KfEvent>, deadline: Instant) -> Result<(), Refusal> {
        self.live.event(&event, || Step::Verified);
        match self.dispatcher.submit(event, deadline).await {
            Receipt::Delivered | Receipt::Stored => Ok(()),
            Receipt::Unavailable => Err(Refusal::NotTaken),
        }
    }

    /// An event that names no account (old documents and real logs have such) goes to each online
    /// bot of the corp, decrypted, because a bot dies on the raw form without an `OpenKfId`.
    async fn submit_to_all(&self, event: &Arrived<'_>, deadline: Instant) -> Result<(), Refusal> {
        let bots = match timeout(LOOK_UP_LIMIT, self.directory.online_bots(event.corp)).await {
            Ok(Ok(bots)) => bots,
            Ok(Err(_)) | Err(_) => return Err(Refusal::StoreUnavailable),
        };
        let submits = bots.into_iter().map(|bot| self.submit(event.to(bot.kf, Map::new(), None), deadline));
        futures::future::join_all(submits).await.into_iter().collect()
    }
}

/// Verifies and decrypts: a span of its own, because it is all that the gateway itself computes.
fn open<'c, 'b>(
    corp: &'c KnownCorp,
    query: &SignedQuery<'_>,
    body: &'b Bytes,
) -> Result<(Envelope<'b>, Opened, &'c CallbackCredential), Refusal> {
    let mut span = Span::begin(SpanKind::Internal, "open callback");
    span.set("corp.id", corp.id());
    let opened = || {
        let envelope = Envelope::parse(body)?;
        let (opened, credential) = credentials::open(&corp.keys, query, &envelope.encrypted)?;
        Ok((envelope, opened, credential))
    };
    opened().inspect_err(|refusal| span.fail(refusal))
}

/// Whether the services that take a callback have it.
fn acknowledged(taken: Taken) -> Result<(), Refusal> {
    match taken {
        Taken::ByNobody | Taken::Stored => Ok(()),
        Taken::Unavailable => Err(Refusal::NotTaken),
    }
}

fn raw(query: &str, body: Bytes, credential: &CallbackCredential) -> RawCallback {
    RawCallback { query: query.into(), body, credential: credential.pair.id().clone() }
}

/// What is known of an event before it is known for whom it is.
struct Arrived<'a> {
    corp: &'a CorpId,
    arrival: Timestamp,
    create_time: Option<i64>,
    trust: Trust,
    digest: Digest,
    token: Option<&'a str>,
}

impl Arrived<'_> {
    fn to(&self, kf: OpenKfId, extra: Map<String, Value>, raw: Option<RawCallback>) -> Arc<KfEvent> {
        Arc::new(KfEvent {
            id: EventId::new(self.arrival),
            account: Account { corp: self.corp.clone(), kf },
            order: Order::new(self.create_time, self.arrival),
            trust: self.trust,
            digest: self.digest,
            born_at: KfEvent::born(self.create_time, self.arrival),
            payload: Payload { sync_token: self.token.map(Into::into), extra, raw },
        })
    }
}

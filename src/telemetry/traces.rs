//! Where spans go: they are gathered and posted as OTLP, `http/protobuf`.
//!
//! The one decision a reader would question: not the SDK's own batch processor. It has a thread of its own,
//! on which the gateway's HTTP client does not run, it tells nobody what it dropped, and nobody can wait for
//! its end within the drain. Protocol, sampling and propagation are the SDK's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, counter};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use prost::Message as _;
use reqwest::{Client, StatusCode, header};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::TelemetryError;
use crate::config::{ParentDecision, TraceSampler, TraceSettings};
use crate::egress;
use crate::lifecycle::Tasks;
use crate::observe;

/// Between two warnings about spans that are lost.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// The export of spans; [`Traces::finish`] ends it.
#[derive(Debug)]
pub struct Traces(Tasks);

impl Traces {
    /// From now on spans are recorded and exported. Within a runtime, once a process.
    pub fn start(settings: &TraceSettings) -> Result<Self, TelemetryError> {
        let http = egress::client(settings.timeout)?;
        let (sender, spans) = mpsc::channel(settings.queue);
        let resource = resource(&settings.resource);
        let (lost, tasks) = (Arc::new(Lost::new()), Tasks::new());
        let exporter = Exporter {
            http,
            settings: settings.clone(),
            resource: (&resource).into(),
            spans,
            exported: counter!("wxkf_trace_spans_total", "result" => "exported"),
            failed: counter!("wxkf_trace_spans_total", "result" => "failed"),
            lost: lost.clone(),
            next_warning: Instant::now(),
            tasks: tasks.clone(),
        };
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler(settings))
            .with_resource(resource)
            .with_span_processor(Queue { spans: sender, lost })
            .build();
        tasks.spawn(exporter.run());
        observe::record_by(provider.tracer(env!("CARGO_PKG_NAME")));
        Ok(Self(tasks))
    }

    /// Sends what waits; what is not sent within the limit is lost.
    pub async fn finish(self, limit: Duration) {
        self.0.stop();
        self.0.drained(limit).await;
    }
}

fn sampler(settings: &TraceSettings) -> Sampler {
    let own = match settings.sampler {
        TraceSampler::Always => Sampler::AlwaysOn,
        TraceSampler::Never => Sampler::AlwaysOff,
        TraceSampler::Share(share) => Sampler::TraceIdRatioBased(share),
    };
    match settings.parent {
        ParentDecision::Counts => Sampler::ParentBased(Box::new(own)),
        ParentDecision::Ignored => own,
    }
}

/// Each process is an instance of its own; what is given goes before what is known.
fn resource(given: &[(String, String)]) -> Resource {
    let known = [
        KeyValue::new("service.name", env!("CARGO_PKG_NAME")),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", format!("{:016x}", rand::random::<u64>())),
    ];
    let given = given.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(known)
        .with_attributes(given)
        .build()
}

/// Spans that came while the queue was full.
struct Lost {
    counter: Counter,
    /// Those that no warning told yet.
    untold: AtomicU64,
}

impl Lost {
    fn new() -> Self {
        Self { counter: counter!("wxkf_trace_spans_total", "result" => "dropped"), untold: AtomicU64::new(0) }
    }

    fn add(&self) {
        self.counter.increment(1);
        self.untold.fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes finished spans without ever waiting.
struct Queue {
    spans: mpsc::Sender<SpanData>,
    lost: Arc<Lost>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.lost.add();
        }
    }

    /// [`Traces::finish`] does it.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _limit: Duration) -> OTelSdkResult {
        Ok(())
    }
}

struct Exporter {
    http: Client,
    settings: TraceSettings,
    resource: ResourceAttributesWithSchema,
    spans: mpsc::Receiver<SpanData>,
    exported: Counter,
    failed: Counter,
    lost: Arc<Lost>,
    next_warning: Instant,
    tasks: Tasks,
}

impl Exporter {
    async fn run(mut self) {
        while !self.tasks.is_stopping() {
            let batch = self.gather().await;
            self.export(batch).await;
        }
        loop {
            let mut rest = Vec::new();
            while rest.len() < self.settings.batch
                && let Ok(span) = self.spans.try_recv()
            {
                rest.push(span);
            }
            if rest.is_empty() {
                return;
            }
            self.export(rest).await;
        }
    }

    /// From the first span on until they are enough, or it took long, or the gateway stops.
    async fn gather(&mut self) -> Vec<SpanData> {
        let (mut batch, mut until) = (Vec::new(), None);
        while batch.len() < self.settings.batch {
            let room = self.settings.batch - batch.len();
            let over = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.tasks.stopping() => break,
                () = over => break,
                _ = self.spans.recv_many(&mut batch, room) => {
                    until.get_or_insert_with(|| Instant::now() + self.settings.delay);
                }
            }
        }
        batch
    }

    async fn export(&mut self, batch: Vec<SpanData>) {
        if batch.is_empty() {
            return;
        }
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let request =
            ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(batch, &self.resource) };
        let fault = self.post(request.encode_to_vec()).await.err();
        match &fault {
            None => self.exported.increment(spans),
            Some(_) => self.failed.increment(spans),
        }
        self.warn(fault.as_deref());
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), String> {
        let request = self.http.post(self.settings.endpoint.clone()).headers(self.settings.headers.clone());
        let sent = request.header(header::CONTENT_TYPE, "application/x-protobuf").body(body).send().await;
        match sent.map_err(|error| egress::fault_in_words(&error, "the collector"))?.status() {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err("the collector answered 404: is its path /v1/traces?".to_owned()),
            status => Err(format!("the collector answered {status}")),
        }
    }

    /// Now and then: a collector that is away must not fill the log.
    fn warn(&mut self, fault: Option<&str>) {
        let now = Instant::now();
        if now < self.next_warning {
            return;
        }
        let dropped = self.lost.untold.swap(0, Ordering::Relaxed);
        if dropped == 0 && fault.is_none() {
            return;
        }
        self.next_warning = now + WARN_EVERY;
        warn!(endpoint = %self.settings.endpoint, dropped, error = fault, "spans of traces are lost");
    }
}

//! What a collector of traces is sent: spans by OTLP, `http/protobuf`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message as _;
use wxkf_gateway::lifecycle::Tasks;

use crate::delivery::eventually;

/// How it meets an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Take,
    Hang,
}

/// A span as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    pub(super) trace: String,
    pub(super) id: String,
    /// Empty of the first of a trace.
    pub(super) parent: String,
    pub(super) name: String,
    pub(super) kind: i32,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) error: Option<String>,
}

struct Shared {
    manner: Manner,
    hops: Mutex<Vec<Hop>>,
    resource: Mutex<BTreeMap<String, String>>,
    headers: Mutex<HeaderMap>,
}

pub(super) struct Collector {
    url: String,
    shared: Arc<Shared>,
}

impl Collector {
    pub(super) async fn start(manner: Manner) -> Self {
        let (hops, resource, headers) = Default::default();
        let shared = Arc::new(Shared { manner, hops, resource, headers });
        let router = Router::new().route("/v1/traces", post(export)).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Tasks::new().spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn hops(&self) -> Vec<Hop> {
        self.shared.hops.lock().clone()
    }

    /// The hops of this name, once there are so many.
    pub(super) async fn named(&self, name: &str, count: usize) -> Vec<Hop> {
        let named = || self.hops().into_iter().filter(|hop| hop.name == name).collect::<Vec<_>>();
        let all = eventually(Duration::from_secs(20), async || named().len() >= count).await;
        assert!(all, "not {count} of `{name}`: {:#?}", self.hops());
        named()
    }

    /// What the process says of itself.
    pub(super) fn resource(&self) -> BTreeMap<String, String> {
        self.shared.resource.lock().clone()
    }

    /// Of the last export.
    pub(super) fn headers(&self) -> HeaderMap {
        self.shared.headers.lock().clone()
    }
}

async fn export(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if shared.manner == Manner::Hang {
        std::future::pending::<()>().await;
    }
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    *shared.headers.lock() = headers;
    for resource in request.resource_spans {
        *shared.resource.lock() = texts(&resource.resource.unwrap().attributes);
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        shared.hops.lock().extend(spans.map(|span| hop(&span)));
    }
    StatusCode::OK
}

fn hop(span: &Span) -> Hop {
    let error = span.status.as_ref().filter(|status| status.code == 2).map(|status| status.message.clone());
    Hop {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
        kind: span.kind,
        attributes: texts(&span.attributes),
        error,
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(&attribute.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

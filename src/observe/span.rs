//! The spans of traces, by OpenTelemetry's interface; while no traces are exported, nothing at all.
//!
//! The one decision a reader would question: no bridge from `tracing`'s spans. Such a span stays open as long
//! as one of its children, and an attempt on a slow bot outlives the answer to WeCom by seconds; and an event
//! goes from task to task, so that its trace is better a value beside it than what a task happens to be in.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::pin::Pin;
use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, TraceId, Tracer as _};
use opentelemetry::{Context, ContextGuard, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// From now on there are spans. The first call of a process counts.
pub fn record_by(tracer: SdkTracer) {
    let _ = TRACER.set(tracer);
}

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// We were called.
    Server,
    /// We call.
    Client,
    Internal,
}

/// Where spans belong: a trace and the span they hang on. Cheap to clone, and empty while there are no traces.
#[derive(Debug, Clone, Default)]
pub struct Trace(Option<Context>);

/// A hop under way; dropped when it is over.
#[derive(Default)]
pub struct Span(Option<Box<Recorded>>);

struct Recorded {
    span: opentelemetry_sdk::trace::Span,
    trace: Trace,
}

impl Trace {
    /// The one that this task works for.
    pub fn current() -> Self {
        Self(TRACER.get().map(|_| Context::current()))
    }

    /// The one that a caller names in `traceparent`; else a new one.
    pub fn of_caller(headers: &HeaderMap) -> Self {
        let extract = |_| TraceContextPropagator::new().extract_with_context(&Context::new(), &Received(headers));
        Self(TRACER.get().map(extract))
    }

    /// Its id, as log lines have it.
    pub fn id(&self) -> Option<TraceId> {
        let id = self.0.as_ref()?.span().span_context().trace_id();
        (id != TraceId::INVALID).then_some(id)
    }

    /// Does work that belongs to it: spans and log lines in it say so.
    pub async fn around<F: Future>(&self, mut work: Pin<&mut F>) -> F::Output {
        std::future::poll_fn(|context| {
            let _attached = self.attach();
            work.as_mut().poll(context)
        })
        .await
    }

    fn attach(&self) -> Option<ContextGuard> {
        self.0.clone().map(Context::attach)
    }

    /// `traceparent` and its like, for a call that belongs to it.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(context) = &self.0 {
            TraceContextPropagator::new().inject_context(context, &mut Sent(&mut headers));
        }
        headers
    }
}

impl Span {
    /// Whether there are any in this process.
    pub fn are_recorded() -> bool {
        TRACER.get().is_some()
    }

    /// Begins a hop of what this task works for.
    pub fn begin(kind: Kind, name: &'static str) -> Self {
        let Some(tracer) = TRACER.get() else { return Self(None) };
        Self::record(tracer, kind, name.into(), &Context::current())
    }

    /// Begins a hop of that trace; the name is asked for only while there are traces.
    pub fn begin_in<N: Into<Cow<'static, str>>>(trace: &Trace, kind: Kind, name: impl FnOnce() -> N) -> Self {
        let (Some(tracer), Some(parent)) = (TRACER.get(), &trace.0) else { return Self(None) };
        Self::record(tracer, kind, name().into(), parent)
    }

    fn record(tracer: &SdkTracer, kind: Kind, name: Cow<'static, str>, parent: &Context) -> Self {
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Internal => SpanKind::Internal,
        };
        let span = tracer.build_with_context(SpanBuilder::from_name(name).with_kind(kind), parent);
        // What hangs on it does not keep it open.
        let trace = Trace(Some(Context::new().with_remote_span_context(span.span_context().clone())));
        Self(Some(Box::new(Recorded { span, trace })))
    }

    /// For what hangs on it.
    pub fn trace(&self) -> Trace {
        self.0.as_ref().map(|recorded| recorded.trace.clone()).unwrap_or_default()
    }

    /// Notes a fact. Never a secret: traces are read by more people than the store.
    pub fn set(&mut self, key: &'static str, value: &dyn Display) {
        if let Some(span) = self.recording() {
            span.set_attribute(KeyValue::new(key, value.to_string()));
        }
    }

    /// As [`Span::set`], for a number.
    pub fn count(&mut self, key: &'static str, value: impl Into<i64>) {
        if let Some(span) = self.recording() {
            span.set_attribute(KeyValue::new(key, value.into()));
        }
    }

    /// It came to nothing; why, in words without secrets.
    pub fn fail(&mut self, reason: &dyn Display) {
        if let Some(span) = self.recording() {
            span.set_status(Status::error(reason.to_string()));
        }
    }

    fn recording(&mut self) -> Option<&mut opentelemetry_sdk::trace::Span> {
        self.0.as_mut().map(|recorded| &mut recorded.span).filter(|span| span.is_recording())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.trace()).finish()
    }
}

struct Received<'h>(&'h HeaderMap);

impl Extractor for Received<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Sent<'h>(&'h mut HeaderMap);

impl Injector for Sent<'_> {
    /// An empty `tracestate` says nothing.
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value))
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    /// Recording is tried with a process of its own.
    #[tokio::test]
    async fn without_a_tracer_nothing_is_made() {
        let mut headers = HeaderMap::new();
        headers
            .insert("traceparent", HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        let trace = Trace::of_caller(&headers);
        let span = Span::begin_in(&trace, Kind::Server, || -> &'static str { panic!("nobody needs a name") });
        let inside = span.trace().around(pin!(async { Trace::current().id() })).await;
        assert_eq!((inside, trace.id()), (None, None));
        assert!(Span::begin(Kind::Client, "call").trace().headers().is_empty());
        assert!(!Span::are_recorded());
    }

    #[test]
    fn what_a_caller_sends_comes_back_to_whoever_is_called() {
        let mut received = HeaderMap::new();
        let traceparent = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        received.insert("traceparent", traceparent.clone());
        received.insert("tracestate", HeaderValue::from_static("vendor=1"));
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Received(&received));
        assert_eq!(Trace(Some(context)).headers(), received);
        received.insert("traceparent", HeaderValue::from_static("00-nonsense-01"));
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Received(&received));
        assert!(Trace(Some(context)).headers().is_empty());
    }
}

//! `/livez`, `/readyz`, `/metrics`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::gauge;
use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use crate::lifecycle::{Phase, Readiness};
use crate::telemetry::Metrics;

/// A part is asked at most this often, however many ask us.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// Less than the second that a prober waits who was told nothing else.
const CHECK_LIMIT: Duration = Duration::from_millis(700);
/// Whatever can fail while the gateway goes on.
pub const PARTS: &[&str] = &["store", "cache", "corps-file"];

/// What `/readyz` tells. A part that fails makes the gateway degraded, not unready: it still does
/// what it can, and a shared outage must not take every replica out.
#[derive(Debug, Clone)]
pub struct Health {
    readiness: Readiness,
    parts: Arc<[(&'static str, Arc<dyn Checked>)]>,
    checked: Arc<tokio::sync::Mutex<Option<Instant>>>,
    faults: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

/// A part that can be asked whether it works.
#[async_trait]
pub trait Checked: std::fmt::Debug + Send + Sync {
    /// The fault in words for operators, without secrets.
    async fn check(&self) -> Result<(), String>;
}

impl Health {
    /// With the parts to ask, by their names in the answer.
    pub fn new(readiness: Readiness, parts: impl IntoIterator<Item = (&'static str, Arc<dyn Checked>)>) -> Self {
        Self { readiness, parts: parts.into_iter().collect(), checked: Arc::default(), faults: Arc::default() }
    }

    /// Notes that a part fails, and why; `None`: it works (again).
    pub fn note(&self, part: &'static str, fault: Option<String>) {
        let mut faults = self.faults.lock();
        match fault {
            Some(fault) => drop(faults.insert(part, fault)),
            None => drop(faults.remove(part)),
        }
    }

    /// The readiness of this replica now; parts are asked when they were not just now.
    pub async fn report(&self) -> Ready {
        let not_ready = |status| Ready { status, degraded: Vec::new() };
        match self.readiness.phase() {
            Phase::Starting => return not_ready("starting"),
            Phase::Draining => return not_ready("draining"),
            Phase::Ready => self.check().await,
        }
        let faults = self.faults.lock().clone();
        let degraded: Vec<_> = faults.into_iter().map(|(part, error)| DegradedPart { part, error }).collect();
        let status = if degraded.is_empty() { "ready" } else { "degraded" };
        Ready { status, degraded }
    }

    /// Waits until the gateway is told to stop.
    pub async fn draining(&self) {
        self.readiness.reached(Phase::Draining).await;
    }

    /// As metrics, for a scrape.
    async fn measure(&self) {
        let ready = self.readiness.phase() == Phase::Ready;
        if ready {
            self.check().await;
        }
        gauge!("wxkf_ready").set(if ready { 1.0 } else { 0.0 });
        let faults = self.faults.lock();
        for &part in PARTS {
            gauge!("wxkf_dependency_up", "dependency" => part).set(if faults.contains_key(part) { 0.0 } else { 1.0 });
        }
    }

    async fn check(&self) {
        let mut checked = self.checked.lock().await;
        if checked.is_some_and(|at| at.elapsed() < CHECK_EVERY) {
            return;
        }
        let ask = async |part: &dyn Checked| match timeout(CHECK_LIMIT, part.check()).await {
            Ok(answer) => answer.err(),
            Err(_) => Some(format!("no answer within {CHECK_LIMIT:?}")),
        };
        let asked = self.parts.iter().map(async |(name, part)| (*name, ask(&**part).await));
        for (name, fault) in futures::future::join_all(asked).await {
            self.note(name, fault);
        }
        *checked = Some(Instant::now());
    }
}

/// The readiness of this replica.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// `ready`, `degraded`, `starting` or `draining`.
    #[schema(example = "ready")]
    pub status: &'static str,
    /// The parts that fail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<DegradedPart>,
}

impl Ready {
    /// Whether requests may be sent here: degraded is a yes.
    pub fn is_ready(&self) -> bool {
        matches!(self.status, "ready" | "degraded")
    }
}

/// A part that fails.
#[derive(Debug, Serialize, ToSchema)]
pub struct DegradedPart {
    #[schema(example = "store")]
    pub part: &'static str,
    #[schema(example = "the store is unavailable: database or disk is full")]
    pub error: String,
}

/// Is the process up?
///
/// Depends on nothing.
#[utoipa::path(
    get, path = "/livez", operation_id = "livez", tag = "Operations",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain", example = "ok")),
)]
pub async fn livez() -> &'static str {
    "ok"
}

/// May requests be sent here?
///
/// `degraded` is a yes: a dependency fails, and the gateway does what it can without.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "Operations",
    responses(
        (status = 200, description = "Ready, or degraded with the parts that fail", body = Ready),
        (status = 503, description = "Starting or draining", body = Ready),
    ),
)]
pub async fn readyz(State(health): State<Health>) -> Response {
    let ready = health.report().await;
    let status = if ready.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready)).into_response()
}

/// Metrics of this replica
///
/// For Prometheus to scrape; every family says what it means.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "Operations",
    responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain",
        example = "# HELP wxkf_build_info Always 1; release and back ends are in the labels\n# TYPE wxkf_build_info gauge\nwxkf_build_info{version=\"1.0.0\",store=\"sqlite\",cache=\"memory\"} 1\n")),
)]
pub async fn metrics(State(metrics): State<Metrics>, State(health): State<Health>) -> impl IntoResponse {
    health.measure().await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
}

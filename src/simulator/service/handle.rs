//! One request: read, checked, answered, recorded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use rand::RngExt as _;

use super::reading::{self, Reading};
use super::{Answer, Received, Shared};
use crate::services::signature::SignatureFault;
use crate::simulator::port::CutConnection;

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new().route("/", post(handle)).route("/{*path}", post(handle)).with_state(shared)
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let Ok(body) = body::to_bytes(body, usize::MAX).await else { return cut() };
    let query = parts.uri.query().unwrap_or_default();
    let read = reading::read(&parts.headers, query, &body, shared.options.credential.as_ref());
    let signature = check(&shared, &parts.headers, &body);
    let is_forged = matches!(signature, Some(Err(_)));
    let (wait, status) =
        if is_forged { (Duration::ZERO, Some(401)) } else { decide(&shared, read.opened.as_ref().unwrap_or(&body)) };
    let Reading { form, event, number, opened } = read;
    let id = text(&parts.headers, "webhook-id").unwrap_or_default().to_owned();
    {
        // Recorded in the order of the ledger, and before the wait: a sender that gives up meanwhile drops
        // this handler.
        let mut ledger = shared.ledger.lock();
        let is_accepted = status.is_some_and(|status| (200..300).contains(&status));
        let entered = ledger.enter(&id, is_accepted, is_forged, number);
        let received = Received {
            id,
            event,
            form,
            signature,
            attempt: entered.attempt,
            is_repeat: entered.is_repeat,
            sequence: entered.sequence,
            status,
            path: parts.uri.path().to_owned(),
            query: query.to_owned(),
            headers: parts.headers,
            body,
            opened,
        };
        shared.journal.record(received, began);
    }
    tokio::time::sleep(wait).await;
    match status.map(StatusCode::from_u16) {
        Some(Ok(status)) => status.into_response(),
        Some(Err(_)) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        None => cut(),
    }
}

fn check(shared: &Shared, headers: &HeaderMap, body: &Bytes) -> Option<Result<(), SignatureFault>> {
    let secret = shared.options.secret.as_ref()?;
    let header = |name| text(headers, name).ok_or(SignatureFault::Missing);
    let checked = || {
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        secret.verify(id, timestamp, header("webhook-signature")?, body, shared.options.clock.now())
    };
    Some(checked())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// How long until the answer, and the status; `None`: the connection is cut.
fn decide(shared: &Shared, message: &Bytes) -> (Duration, Option<u16>) {
    let answer = shared.answer.lock().clone();
    match answer {
        Answer::Accept => (Duration::ZERO, Some(200)),
        Answer::Status(status) => (Duration::ZERO, Some(status)),
        Answer::Slow(wait) => (wait, Some(200)),
        Answer::Hang(wait) => (wait, None),
        Answer::Random { refused_percent } => {
            let is_refused = shared.chance.lock().random_range(0..100) < refused_percent;
            (Duration::ZERO, Some(if is_refused { 503 } else { 200 }))
        }
        Answer::Refuse { containing, status } => {
            let is_refused = String::from_utf8_lossy(message).contains(&containing);
            (Duration::ZERO, Some(if is_refused { status } else { 200 }))
        }
        // A connection from before the port was closed.
        Answer::Closed => (Duration::ZERO, None),
    }
}

fn cut() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(CutConnection);
    response
}

#[cfg(test)]
mod tests;

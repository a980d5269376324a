//! Verifies, decrypts, hands the event to whoever keeps it, and answers when it is kept.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use wxkf_gateway::domain::EncodingAesKey;

use super::open;
use crate::events::AES_KEY;

/// Events that one transaction or command takes, as many as fit into a server's limits with ease.
pub const BATCH: usize = 256;
/// Events that may wait for it: more than there are callers.
const QUEUE: usize = 1_024;

/// A genuine event in the form in which it is kept. Dropped unanswered, its caller notices.
pub struct Event<R> {
    pub row: R,
    pub kept: oneshot::Sender<()>,
}

struct Keeper<R> {
    key: EncodingAesKey,
    row: fn(String, String, Bytes) -> R,
    queue: mpsc::Sender<Event<R>>,
}

/// What is to be kept, and the program that takes it in; a row is made of account, query and body.
pub fn router<R: Send + 'static>(
    row: fn(String, String, Bytes) -> R,
) -> anyhow::Result<(Router, mpsc::Receiver<Event<R>>)> {
    let (queue, waiting) = mpsc::channel(QUEUE);
    let keeper = Keeper { key: EncodingAesKey::parse(AES_KEY)?, row, queue };
    Ok((Router::new().route("/callback/{corp}", post(keep::<R>)).with_state(keeper), waiting))
}

async fn keep<R>(State(keeper): State<Keeper<R>>, RawQuery(query): RawQuery, body: Bytes) -> StatusCode {
    let query = query.unwrap_or_default();
    let Some(account) = open(&keeper.key, &query, &body) else { return StatusCode::FORBIDDEN };
    let (kept, answer) = oneshot::channel();
    let sent = keeper.queue.send(Event { row: (keeper.row)(account, query, body), kept }).await;
    if sent.is_ok() && answer.await.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

impl<R> Clone for Keeper<R> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), row: self.row, queue: self.queue.clone() }
    }
}

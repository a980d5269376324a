//! Verifies, decrypts, and keeps: one thread inserts whatever waits in one transaction of SQLite, and
//! all are answered after its one sync.

use std::path::Path;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use wxkf_gateway::domain::EncodingAesKey;

use super::{BATCH, QUEUE, open};
use crate::events::AES_KEY;

struct Event {
    account: String,
    query: String,
    body: Bytes,
    committed: oneshot::Sender<()>,
}

#[derive(Clone)]
struct Keeper {
    key: EncodingAesKey,
    queue: mpsc::Sender<Event>,
}

pub fn router(directory: &str) -> anyhow::Result<Router> {
    let db = Connection::open(Path::new(directory).join("events.db"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE event (id INTEGER PRIMARY KEY, account TEXT NOT NULL, query TEXT NOT NULL, body BLOB NOT NULL)",
    )?;
    let (queue, waiting) = mpsc::channel(QUEUE);
    std::thread::spawn(move || write_batches(&db, waiting));
    let key = EncodingAesKey::parse(AES_KEY)?;
    Ok(Router::new().route("/callback/{corp}", post(keep)).with_state(Keeper { key, queue }))
}

async fn keep(State(keeper): State<Keeper>, RawQuery(query): RawQuery, body: Bytes) -> StatusCode {
    let query = query.unwrap_or_default();
    let Some(account) = open(&keeper.key, &query, &body) else { return StatusCode::FORBIDDEN };
    let (committed, answer) = oneshot::channel();
    let sent = keeper.queue.send(Event { account, query, body, committed }).await;
    if sent.is_ok() && answer.await.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Events of a transaction that fails are dropped unanswered, which their callers notice.
fn write_batches(db: &Connection, mut waiting: mpsc::Receiver<Event>) {
    let mut events = Vec::with_capacity(BATCH);
    while waiting.blocking_recv_many(&mut events, BATCH) > 0 {
        let inserted = insert(db, &events);
        for event in events.drain(..).filter(|_| inserted.is_ok()) {
            // Its caller may have gone.
            let _ = event.committed.send(());
        }
    }
}

fn insert(db: &Connection, events: &[Event]) -> rusqlite::Result<()> {
    let transaction = db.unchecked_transaction()?;
    let mut insert = transaction.prepare_cached("INSERT INTO event (account, query, body) VALUES (?, ?, ?)")?;
    for Event { account, query, body, .. } in events {
        insert.execute((account, query, &**body))?;
    }
    drop(insert);
    transaction.commit()
}

//! Keeps events by group commit: one thread inserts whatever waits in one transaction of SQLite, and all are
//! answered after its one sync.

use std::path::Path;

use axum::Router;
use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::keeper::{self, BATCH, Event};

type Row = (String, String, Bytes);

pub fn router(directory: &str) -> anyhow::Result<Router> {
    let db = Connection::open(Path::new(directory).join("events.db"))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute_batch(
        "CREATE TABLE event (id INTEGER PRIMARY KEY, account TEXT NOT NULL, query TEXT NOT NULL, body BLOB NOT NULL)",
    )?;
    let (router, waiting) = keeper::router(|account, query, body| (account, query, body))?;
    std::thread::spawn(move || write_batches(&db, waiting));
    Ok(router)
}

/// Events of a transaction that fails are dropped.
fn write_batches(db: &Connection, mut waiting: mpsc::Receiver<Event<Row>>) {
    let mut events = Vec::with_capacity(BATCH);
    while waiting.blocking_recv_many(&mut events, BATCH) > 0 {
        let inserted = insert(db, &events);
        for event in events.drain(..).filter(|_| inserted.is_ok()) {
            // Its caller may have gone.
            let _ = event.kept.send(());
        }
    }
}

fn insert(db: &Connection, events: &[Event<Row>]) -> rusqlite::Result<()> {
    let transaction = db.unchecked_transaction()?;
    let mut insert = transaction.prepare_cached("INSERT INTO event (account, query, body) VALUES (?, ?, ?)")?;
    for Event { row: (account, query, body), .. } in events {
        insert.execute((account, query, &**body))?;
    }
    drop(insert);
    transaction.commit()
}

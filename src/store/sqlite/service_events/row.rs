//! One event of a queue as a row, and back.

use bytes::Bytes;
use rusqlite::{Connection, Row, named_params};

use crate::domain::{Content, EventId, ServiceEvent, ServiceKey};
use crate::store::sqlite::rows::{change, limit, parsed, time, unsigned};
use crate::store::{HeldState, QueuedEvent, Result};

/// A repeat meets the index of queue and webhook id.
const INSERT: &str = "
INSERT INTO service_event (id, queue, webhook_id, name, arrived_at, size,
  state, expires_at, due_at, attempts, refusals, last_error, raw_query, body)
VALUES (:id, :queue, :webhook_id, :name, :arrived_at, :size,
  :state, :expires_at, :due_at, :attempts, :refusals, :last_error, :raw_query, :body)
ON CONFLICT DO NOTHING";

pub(super) fn state_text(state: HeldState) -> &'static str {
    match state {
        HeldState::Live => "live",
        HeldState::Expired => "expired",
    }
}

pub(super) fn insert(db: &Connection, queued: &QueuedEvent) -> Result<()> {
    let event = &queued.event;
    let (query, body) = match &event.content {
        Content::Raw { query, body } => (Some(&**query), body),
        Content::Plain(xml) => (None, xml),
    };
    let values = named_params! {
        ":id": event.id.as_str(),
        ":queue": event.service.to_string(),
        ":webhook_id": &*event.webhook_id,
        ":name": &*event.name,
        ":arrived_at": event.arrived_at.as_millisecond(),
        ":size": limit(event.content.size()),
        ":state": state_text(queued.state),
        ":expires_at": queued.expires_at.as_millisecond(),
        ":due_at": queued.due_at.as_millisecond(),
        ":attempts": queued.attempts,
        ":refusals": queued.refusals,
        ":last_error": queued.last_error,
        ":raw_query": query,
        ":body": &**body,
    };
    change(db, INSERT, values).map(drop)
}

pub(super) fn read_queued(row: &Row<'_>) -> Result<QueuedEvent> {
    let body = Bytes::from(row.get::<_, Vec<u8>>("body")?);
    let content = match row.get::<_, Option<String>>("raw_query")? {
        Some(query) => Content::Raw { query: query.into(), body },
        None => Content::Plain(body),
    };
    Ok(QueuedEvent {
        event: ServiceEvent {
            id: EventId::from_text(row.get::<_, String>("id")?),
            service: parsed(row, "queue", ServiceKey::parse)?,
            webhook_id: row.get::<_, String>("webhook_id")?.into(),
            name: row.get::<_, String>("name")?.into(),
            arrived_at: time(row, "arrived_at")?,
            content,
        },
        state: parsed(row, "state", |text| Ok(if text == "live" { HeldState::Live } else { HeldState::Expired }))?,
        expires_at: time(row, "expires_at")?,
        due_at: time(row, "due_at")?,
        attempts: unsigned(row, "attempts")?,
        refusals: unsigned(row, "refusals")?,
        last_error: row.get("last_error")?,
    })
}

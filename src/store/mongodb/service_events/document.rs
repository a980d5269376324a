//! One event of a queue as a document, and back.

use bytes::Bytes;
use mongodb::bson::{Document, doc};

use crate::domain::{Content, EventId, ServiceEvent, ServiceKey};
use crate::store::mongodb::documents::{binary, bytes, date, number, optional, parsed, text, time};
use crate::store::{HeldState, QueuedEvent, Result};

pub(super) const LIVE: &str = "live";
pub(super) const EXPIRED: &str = "expired";
/// Gone for everybody but a repeat.
pub(super) const DELIVERED: &str = "delivered";

pub(super) fn state_text(state: HeldState) -> &'static str {
    match state {
        HeldState::Live => LIVE,
        HeldState::Expired => EXPIRED,
    }
}

pub(super) fn write_queued(queued: &QueuedEvent) -> Document {
    let event = &queued.event;
    let mut document = doc! {
        "_id": format!("{}/{}", event.service, event.webhook_id),
        "order": event.id.as_str(),
        "queue": event.service.to_string(),
        "corp": event.service.corp.as_str(),
        "service": event.service.name.as_str(),
        "webhookId": &*event.webhook_id,
        "name": &*event.name,
        "arrivedAt": date(event.arrived_at),
        "length": i64::try_from(event.content.size()).unwrap_or(i64::MAX),
        "state": state_text(queued.state),
        "expiresAt": date(queued.expires_at),
        "dueAt": date(queued.due_at),
        "attempts": i64::from(queued.attempts),
        "refusals": i64::from(queued.refusals),
        "lastError": &queued.last_error,
    };
    match &event.content {
        Content::Raw { query, body } => {
            document.insert("query", &**query);
            document.insert("body", binary(body));
        }
        Content::Plain(xml) => drop(document.insert("body", binary(xml))),
    }
    document
}

pub(super) fn read_queued(document: &Document) -> Result<QueuedEvent> {
    let body = Bytes::copy_from_slice(bytes(document, "body")?);
    let content = match optional(document, "query", text)? {
        Some(query) => Content::Raw { query: query.into(), body },
        None => Content::Plain(body),
    };
    Ok(QueuedEvent {
        event: ServiceEvent {
            id: EventId::from_text(text(document, "order")?),
            service: parsed(document, "queue", ServiceKey::parse)?,
            webhook_id: text(document, "webhookId")?.into(),
            name: text(document, "name")?.into(),
            arrived_at: time(document, "arrivedAt")?,
            content,
        },
        state: parsed(document, "state", |text| Ok(if text == LIVE { HeldState::Live } else { HeldState::Expired }))?,
        expires_at: time(document, "expiresAt")?,
        due_at: time(document, "dueAt")?,
        attempts: number(document, "attempts")?,
        refusals: number(document, "refusals")?,
        last_error: optional(document, "lastError", text)?.map(str::to_owned),
    })
}

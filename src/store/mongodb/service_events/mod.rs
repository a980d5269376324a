//! The queues of services. Queue and webhook id are the document's id, so that a repeat meets it; what was
//! delivered stays for a while without its body, because a repeat may come to another replica.

mod append;
mod document;
mod lead;
mod trim;

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::bson::{Document, doc};

pub(super) use self::append::Appender;
use self::document::{DELIVERED, EXPIRED, LIVE, read_queued, state_text};
use super::MongoStore;
use super::connection::{Limit, Promise, collection};
use super::documents::{date, parsed, readable, text};
use super::list::{Direction, List};
use crate::domain::{EventId, ServiceKey};
use crate::store::{FailedTry, Lease, QueueBounds, QueueFilter, QueuedEvent, Result, ServiceEvents};

pub(super) const QUEUED: &str = "wxkf_gateway_service_events";

fn live_of(service: &ServiceKey) -> Document {
    doc! { "state": LIVE, "queue": service.to_string() }
}

/// Of any state; by the fields of the index.
fn all_of(service: &ServiceKey) -> Document {
    doc! { "state": undelivered(), "queue": service.to_string() }
}

fn undelivered() -> Document {
    doc! { "$in": [LIVE, EXPIRED] }
}

fn in_order(filter: Document) -> List {
    List { collection: QUEUED, field: "order", direction: Direction::Up, filter }
}

fn orders(ids: &[EventId]) -> Vec<&str> {
    ids.iter().map(EventId::as_str).collect()
}

#[async_trait]
impl ServiceEvents for MongoStore {
    async fn append_queued(&self, events: &[QueuedEvent]) -> Result<()> {
        self.appender.append(events).await
    }

    async fn lead_queue(&self, service: &ServiceKey, lease: &Lease, now: Timestamp) -> Result<bool> {
        lead::lead(self, service, lease, now).await
    }

    async fn leave_queue(&self, service: &ServiceKey, owner: &str) -> Result<()> {
        lead::leave(self, service, owner).await
    }

    async fn oldest_queued(&self, service: &ServiceKey, rows: usize) -> Result<Vec<QueuedEvent>> {
        in_order(live_of(service)).page(&self.connection, None, rows, read_queued).await
    }

    async fn settle_queued(&self, service: &ServiceKey, ids: &[EventId], at: Timestamp) -> Result<()> {
        let mut filter = all_of(service);
        filter.insert("order", doc! { "$in": orders(ids) });
        let fields = doc! { "state": DELIVERED, "dueAt": date(at), "length": 0_i64 };
        let update = doc! { "$set": fields, "$unset": { "body": "", "query": "" } };
        let settle = async |db| collection(&db, QUEUED, Promise::Light).update_many(filter, update).await;
        self.connection.run(Limit::Background, settle).await.map(drop)
    }

    async fn delete_queued(&self, service: &ServiceKey, ids: &[EventId]) -> Result<u64> {
        let mut filter = all_of(service);
        filter.insert("order", doc! { "$in": orders(ids) });
        let delete = async |db| collection(&db, QUEUED, Promise::Light).delete_many(filter).await;
        Ok(self.connection.run(Limit::Background, delete).await?.deleted_count)
    }

    async fn note_failed_try(&self, id: &EventId, failed: &FailedTry) -> Result<bool> {
        let filter = doc! { "order": id.as_str(), "state": LIVE };
        let update = doc! { "$set": {
            "dueAt": date(failed.due_at),
            "attempts": i64::from(failed.attempts),
            "refusals": i64::from(failed.refusals),
            "lastError": &failed.last_error,
        } };
        let note = async |db| collection(&db, QUEUED, Promise::Light).update_one(filter, update).await;
        Ok(self.connection.run(Limit::Background, note).await?.matched_count > 0)
    }

    async fn expire_queued(&self, service: &ServiceKey, ids: &[EventId], at: Timestamp) -> Result<u64> {
        let mut filter = live_of(service);
        filter.insert("order", doc! { "$in": orders(ids) });
        let update = doc! { "$set": { "state": EXPIRED, "dueAt": date(at) } };
        let expire = async |db| collection(&db, QUEUED, Promise::Light).update_many(filter, update).await;
        Ok(self.connection.run(Limit::Background, expire).await?.matched_count)
    }

    /// Hops from queue to queue, whatever they hold.
    async fn waiting_services(&self) -> Result<Vec<ServiceKey>> {
        let (mut waiting, mut after) = (Vec::new(), String::new());
        loop {
            let filter = doc! { "state": LIVE, "queue": { "$gt": &after } };
            let find = async |db| {
                let queued = collection(&db, QUEUED, Promise::Light);
                queued.find_one(filter).projection(doc! { "queue": 1 }).sort(doc! { "queue": 1 }).await
            };
            let Some(found) = self.connection.run(Limit::Background, find).await? else { return Ok(waiting) };
            text(&found, "queue")?.clone_into(&mut after);
            waiting.extend(readable(&[found], |queued| parsed(queued, "queue", ServiceKey::parse))?);
        }
    }

    async fn queued(&self, id: &EventId) -> Result<Option<QueuedEvent>> {
        let filter = doc! { "order": id.as_str(), "state": undelivered() };
        let find = async |db| collection(&db, QUEUED, Promise::Light).find_one(filter).await;
        self.connection.run(Limit::Callback, find).await?.as_ref().map(read_queued).transpose()
    }

    async fn list_queued(
        &self,
        filter: &QueueFilter,
        after: Option<&EventId>,
        rows: usize,
    ) -> Result<Vec<QueuedEvent>> {
        let mut query = Document::new();
        match filter.state {
            Some(state) => query.insert("state", state_text(state)),
            None => query.insert("state", undelivered()),
        };
        if let Some(corp) = &filter.corp {
            query.insert("corp", corp.as_str());
        }
        if let Some(service) = &filter.service {
            query.insert("service", service.as_str());
        }
        in_order(query).page(&self.connection, after.map(EventId::as_str), rows, read_queued).await
    }

    async fn revive_queued(&self, id: &EventId, at: Timestamp, expires_at: Timestamp) -> Result<bool> {
        let filter = doc! { "order": id.as_str(), "state": undelivered() };
        let fields = doc! { "state": LIVE, "dueAt": date(at), "expiresAt": date(expires_at), "refusals": 0_i64 };
        let update = doc! { "$set": fields };
        let revive = async |db| collection(&db, QUEUED, Promise::Durable).update_one(filter, update).await;
        Ok(self.connection.write(Limit::Callback, revive).await?.matched_count > 0)
    }

    async fn trim_queue(&self, service: &ServiceKey, bounds: QueueBounds) -> Result<u64> {
        trim::trim(self, service, bounds).await
    }

    async fn drop_queue(&self, service: &ServiceKey) -> Result<u64> {
        let filter = all_of(service);
        let delete = async |db| collection(&db, QUEUED, Promise::Light).delete_many(filter).await;
        Ok(self.connection.run(Limit::Background, delete).await?.deleted_count)
    }

    async fn sweep_queues(&self, expired_before: Timestamp, delivered_before: Timestamp) -> Result<u64> {
        self.delete_older(DELIVERED, delivered_before).await?;
        self.delete_older(EXPIRED, expired_before).await
    }
}

impl MongoStore {
    async fn delete_older(&self, state: &str, before: Timestamp) -> Result<u64> {
        let filter = doc! { "state": state, "dueAt": { "$lt": date(before) } };
        let delete = async |db| collection(&db, QUEUED, Promise::Light).delete_many(filter).await;
        Ok(self.connection.run(Limit::Background, delete).await?.deleted_count)
    }
}

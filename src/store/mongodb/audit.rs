//! The record of changes. Its ids begin with their time, so that the primary key serves every question.

use async_trait::async_trait;
use jiff::Timestamp;
use mongodb::bson::{Document, doc};

use super::MongoStore;
use super::connection::{Limit, Promise, collection};
use super::documents::{date, optional, parsed, text, time};
use super::error::is_duplicate_key;
use super::list::{Direction, List};
use crate::domain::{Action, Actor, AuditEntry, AuditId, Invalid};
use crate::store::{Audit, Result};

const AUDIT: &str = "wxkf_gateway_audit";

#[async_trait]
impl Audit for MongoStore {
    async fn append_audit(&self, entry: &AuditEntry) -> Result<()> {
        let document = write_entry(entry);
        let insert = async |db| match collection(&db, AUDIT, Promise::Durable).insert_one(document).await {
            Err(error) if is_duplicate_key(&error) => Ok(()),
            other => other.map(drop),
        };
        self.connection.write(Limit::Callback, insert).await
    }

    async fn list_audit(&self, before: Option<&AuditId>, rows: usize) -> Result<Vec<AuditEntry>> {
        let entries = List { collection: AUDIT, field: "_id", direction: Direction::Down, filter: Document::new() };
        entries.page(&self.connection, before.map(AuditId::as_str), rows, read_entry).await
    }

    async fn sweep_audit(&self, made_before: Timestamp, keep: usize) -> Result<u64> {
        let last = u64::try_from(keep.saturating_sub(1)).unwrap_or(u64::MAX);
        let oldest = async |db| {
            let entries = collection(&db, AUDIT, Promise::Light);
            let kept = entries.find_one(doc! {}).projection(doc! { "_id": 1 }).sort(doc! { "_id": -1 });
            kept.skip(last).await
        };
        let oldest = self.connection.run(Limit::Background, oldest).await?;
        let oldest = oldest.as_ref().map(|document| text(document, "_id")).transpose()?.unwrap_or_default();
        let floor = AuditId::floor(made_before);
        let filter = doc! { "_id": { "$lt": floor.as_str().max(oldest) } };
        let delete = async |db| collection(&db, AUDIT, Promise::Light).delete_many(filter).await;
        Ok(self.connection.run(Limit::Background, delete).await?.deleted_count)
    }
}

fn write_entry(entry: &AuditEntry) -> Document {
    doc! {
        "_id": entry.id.as_str(),
        "at": date(entry.at),
        "actor": entry.actor.as_str(),
        "address": entry.address.map(|address| address.to_string()),
        "action": entry.action.as_str(),
        "subject": &entry.subject,
        "detail": &entry.detail,
    }
}

fn read_entry(document: &Document) -> Result<AuditEntry> {
    let address = |document: &Document, field: &str| {
        parsed(document, field, |text| text.parse().map_err(|_| Invalid("is no address")))
    };
    Ok(AuditEntry {
        id: AuditId::from_text(text(document, "_id")?),
        at: time(document, "at")?,
        actor: parsed(document, "actor", Actor::parse)?,
        address: optional(document, "address", address)?,
        action: Action::from_text(text(document, "action")?.to_owned()),
        subject: text(document, "subject")?.to_owned(),
        detail: text(document, "detail")?.to_owned(),
    })
}

//! The record of changes. Its ids begin with their time, so that the primary key serves every question.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::SqliteStore;
use super::rows::{List, change, limit, page, parsed, time};
use crate::domain::{Action, Actor, AuditEntry, AuditId, Invalid};
use crate::store::{Audit, Result};

/// Rows in one step of a sweep: a callback's write waits for one step at most.
const SWEPT_AT_ONCE: usize = 500;

const APPEND: &str = "
INSERT INTO audit_entry (id, at, actor, address, action, subject, detail) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING";
const NEWEST: List<'_> =
    List { column: "id", sql: "SELECT * FROM audit_entry WHERE id < ? ORDER BY id DESC LIMIT ?", filter: &[] };
/// Ids are hexadecimal digits.
const BEHIND_ALL: &str = "~";
/// Smaller than the later of the two: the given time's, and the oldest entry that may stay.
const SWEEP: &str = "
DELETE FROM audit_entry WHERE id IN (
  SELECT id FROM audit_entry
  WHERE id < max(?1, coalesce((SELECT id FROM audit_entry ORDER BY id DESC LIMIT 1 OFFSET ?2 - 1), ''))
  ORDER BY id LIMIT ?3)";

#[async_trait]
impl Audit for SqliteStore {
    async fn append_audit(&self, entry: &AuditEntry) -> Result<()> {
        let entry = entry.clone();
        self.write(move |db| {
            let values = params![
                entry.id.as_str(),
                entry.at.as_millisecond(),
                entry.actor.as_str(),
                entry.address.map(|address| address.to_string()),
                entry.action.as_str(),
                entry.subject,
                entry.detail,
            ];
            change(db, APPEND, values).map(drop)
        })
        .await
    }

    async fn list_audit(&self, before: Option<&AuditId>, rows: usize) -> Result<Vec<AuditEntry>> {
        let before = before.map_or(BEHIND_ALL, AuditId::as_str).to_owned();
        self.read(move |db| page(db, &NEWEST, &before, rows, read_entry)).await
    }

    /// In small steps, so that writes of callbacks come in between.
    async fn sweep_audit(&self, made_before: Timestamp, keep: usize) -> Result<u64> {
        let floor = AuditId::floor(made_before);
        let mut swept = 0;
        loop {
            let floor = floor.clone();
            let step = move |db: &rusqlite::Connection| {
                change(db, SWEEP, params![floor.as_str(), limit(keep), limit(SWEPT_AT_ONCE)])
            };
            match self.write_lightly(step).await? {
                0 => return Ok(swept),
                step => swept += step as u64,
            }
        }
    }
}

fn read_entry(row: &Row<'_>) -> Result<AuditEntry> {
    let address: Option<String> = row.get("address")?;
    let address = address.map(|_| parsed(row, "address", |text| text.parse().map_err(|_| Invalid("is no address"))));
    Ok(AuditEntry {
        id: AuditId::from_text(row.get::<_, String>("id")?),
        at: time(row, "at")?,
        actor: parsed(row, "actor", Actor::parse)?,
        address: address.transpose()?,
        action: Action::from_text(row.get("action")?),
        subject: row.get("subject")?,
        detail: row.get("detail")?,
    })
}

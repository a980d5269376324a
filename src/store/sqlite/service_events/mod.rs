//! The queues of services.
//!
//! The one decision a reader would question: who leads a queue is kept in memory. The directory is locked
//! to one process, and a lease that would survive it would only be in the way.

mod list;
mod row;
mod trim;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};

use self::row::{insert, read_queued};
use super::SqliteStore;
use super::rows::{List, change, page, parsed, select, select_one};
use crate::domain::{EventId, ServiceKey};
use crate::store::{FailedTry, Lease, QueueBounds, QueueFilter, QueuedEvent, Result, ServiceEvents};

const OLDEST: &str = "
SELECT * FROM service_event WHERE id IN (
  SELECT id FROM service_event WHERE id > ?1 AND queue = ?2 AND state = 'live' ORDER BY id LIMIT ?3)
ORDER BY id";
const BY_ID: &str = "SELECT * FROM service_event WHERE id = ?";
const DELETE: &str = "DELETE FROM service_event WHERE id = ?1 AND queue = ?2";
const NOTE: &str = "
UPDATE service_event SET due_at = ?2, attempts = ?3, refusals = ?4, last_error = ?5 WHERE id = ?1 AND state = 'live'";
const EXPIRE: &str = "
UPDATE service_event SET state = 'expired', due_at = ?3 WHERE id = ?1 AND queue = ?2 AND state = 'live'";
const REVIVE: &str = "
UPDATE service_event SET state = 'live', due_at = ?2, expires_at = ?3, refusals = 0 WHERE id = ?1";
/// Hops from queue to queue, whatever they hold.
const WAITING: &str = "
WITH RECURSIVE hop (queue) AS (
  SELECT min(queue) FROM service_event
  UNION ALL
  SELECT (SELECT min(queue) FROM service_event WHERE queue > hop.queue) FROM hop WHERE hop.queue IS NOT NULL)
SELECT queue FROM hop WHERE EXISTS (
  SELECT 1 FROM service_event WHERE service_event.queue = hop.queue AND state = 'live')";

#[async_trait]
impl ServiceEvents for SqliteStore {
    async fn append_queued(&self, events: &[QueuedEvent]) -> Result<()> {
        let events = events.to_vec();
        self.write(move |db| events.iter().try_for_each(|queued| insert(db, queued))).await
    }

    async fn lead_queue(&self, service: &ServiceKey, lease: &Lease, now: Timestamp) -> Result<bool> {
        let mut senders = self.senders.lock();
        let held_by_another = senders.get(service).is_some_and(|held| held.owner != lease.owner && held.until > now);
        if !held_by_another {
            senders.insert(service.clone(), lease.clone());
        }
        Ok(!held_by_another)
    }

    async fn leave_queue(&self, service: &ServiceKey, owner: &str) -> Result<()> {
        let mut senders = self.senders.lock();
        if senders.get(service).is_some_and(|held| held.owner == owner) {
            senders.remove(service);
        }
        Ok(())
    }

    async fn oldest_queued(&self, service: &ServiceKey, rows: usize) -> Result<Vec<QueuedEvent>> {
        let filter = [service.to_string()];
        self.read(move |db| {
            let oldest = List { column: "id", sql: OLDEST, filter: &filter };
            page(db, &oldest, "", rows, read_queued)
        })
        .await
    }

    async fn settle_queued(&self, service: &ServiceKey, ids: &[EventId], _at: Timestamp) -> Result<()> {
        self.delete_queued(service, ids).await.map(drop)
    }

    async fn delete_queued(&self, service: &ServiceKey, ids: &[EventId]) -> Result<u64> {
        let (queue, ids) = (service.to_string(), ids.to_vec());
        self.write_lightly(move |db| each(db, &ids, |db, id| change(db, DELETE, params![id.as_str(), queue]))).await
    }

    async fn note_failed_try(&self, id: &EventId, failed: &FailedTry) -> Result<bool> {
        let (id, failed) = (id.clone(), failed.clone());
        self.write_lightly(move |db| {
            let FailedTry { due_at, attempts, refusals, last_error } = failed;
            let values = params![id.as_str(), due_at.as_millisecond(), attempts, refusals, last_error];
            Ok(change(db, NOTE, values)? > 0)
        })
        .await
    }

    async fn expire_queued(&self, service: &ServiceKey, ids: &[EventId], at: Timestamp) -> Result<u64> {
        let (queue, ids, at) = (service.to_string(), ids.to_vec(), at.as_millisecond());
        self.write_lightly(move |db| each(db, &ids, |db, id| change(db, EXPIRE, params![id.as_str(), queue, at]))).await
    }

    async fn waiting_services(&self) -> Result<Vec<ServiceKey>> {
        self.read(|db| select(db, WAITING, (), |row| parsed(row, "queue", ServiceKey::parse))).await
    }

    async fn queued(&self, id: &EventId) -> Result<Option<QueuedEvent>> {
        let id = id.clone();
        self.read(move |db| select_one(db, BY_ID, [id.as_str()], read_queued)).await
    }

    async fn list_queued(
        &self,
        filter: &QueueFilter,
        after: Option<&EventId>,
        rows: usize,
    ) -> Result<Vec<QueuedEvent>> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.read(move |db| list::list(db, &filter, after.as_ref(), rows)).await
    }

    async fn revive_queued(&self, id: &EventId, at: Timestamp, expires_at: Timestamp) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| {
            Ok(change(db, REVIVE, params![id.as_str(), at.as_millisecond(), expires_at.as_millisecond()])? > 0)
        })
        .await
    }

    async fn trim_queue(&self, service: &ServiceKey, bounds: QueueBounds) -> Result<u64> {
        let queue = service.to_string();
        let of = queue.clone();
        let Some(last) = self.read(move |db| trim::last_to_go(db, &of, bounds)).await? else { return Ok(0) };
        self.in_steps(move |db| trim::delete_up_to(db, &queue, &last)).await
    }

    async fn drop_queue(&self, service: &ServiceKey) -> Result<u64> {
        let queue = service.to_string();
        self.in_steps(move |db| trim::delete_some(db, &queue)).await
    }

    async fn sweep_queues(&self, expired_before: Timestamp, _delivered_before: Timestamp) -> Result<u64> {
        self.in_steps(move |db| trim::delete_expired(db, expired_before)).await
    }
}

impl SqliteStore {
    /// Until a step deletes nothing more; writes of callbacks come in between.
    async fn in_steps(
        &self,
        step: impl Fn(&Connection) -> Result<usize> + Clone + Send + Sync + 'static,
    ) -> Result<u64> {
        let mut deleted = 0;
        loop {
            let step = step.clone();
            match self.write_lightly(move |db| step(db)).await? {
                0 => return Ok(deleted),
                more => deleted += more as u64,
            }
        }
    }
}

/// How many rows all of the changes concerned.
fn each(db: &Connection, ids: &[EventId], change: impl Fn(&Connection, &EventId) -> Result<usize>) -> Result<u64> {
    let mut changed = 0;
    for id in ids {
        changed += change(db, id)? as u64;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::sqlite::migrations::{MIGRATIONS, migrate};

    /// A queue may hold a hundred thousand events, with bodies: no statement may look at all of them.
    #[test]
    fn every_statement_uses_an_index() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, MIGRATIONS).unwrap();
        let fixed = [OLDEST, BY_ID, DELETE, NOTE, EXPIRE, REVIVE, WAITING].map(str::to_owned);
        let all =
            fixed.into_iter().chain(trim::STATEMENTS.iter().map(|&sql| sql.to_owned())).chain(list::all_queries());
        for sql in all {
            let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps: Vec<String> =
                statement.raw_query().mapped(|row| row.get("detail")).collect::<Result<_, _>>().unwrap();
            for step in steps {
                let scans = step.starts_with("SCAN") && !step.contains("INDEX") && !step.starts_with("SCAN (");
                assert!(!scans || step == "SCAN hop", "{step} in {sql}");
                assert!(!step.contains("TEMP B-TREE"), "{step} in {sql}");
            }
        }
    }
}

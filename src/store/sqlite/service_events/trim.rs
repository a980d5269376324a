//! What goes because there is too much of it, or because it is old.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::store::sqlite::rows::{change, limit, select_one};
use crate::store::{QueueBounds, Result};

/// Rows in one step: a callback's write waits for one step at most.
const AT_ONCE: usize = 500;

/// From the newest on, and expired ones last, which is the order of their states: the first that is beyond
/// the bounds. The index alone is read.
const LAST_TO_GO: &str = "
SELECT state, id FROM (
  SELECT state, id,
    row_number() OVER newest_first AS events,
    sum(size) OVER (newest_first ROWS UNBOUNDED PRECEDING) AS bytes
  FROM service_event INDEXED BY service_event_order WHERE queue = ?1
  WINDOW newest_first AS (ORDER BY state DESC, id DESC))
WHERE events > ?2 OR bytes > ?3 LIMIT 1";
const DELETE_UP_TO: &str = "
DELETE FROM service_event WHERE rowid IN (
  SELECT rowid FROM service_event INDEXED BY service_event_order
  WHERE queue = ?1 AND (state, id) <= (?2, ?3) ORDER BY state, id LIMIT ?4)";
const DELETE_SOME: &str = "
DELETE FROM service_event WHERE rowid IN (SELECT rowid FROM service_event WHERE queue = ?1 LIMIT ?2)";
const DELETE_EXPIRED: &str = "
DELETE FROM service_event WHERE rowid IN (
  SELECT rowid FROM service_event WHERE state = 'expired' AND due_at < ?1 LIMIT ?2)";

/// State and id.
pub(super) type Place = (String, String);

/// The latest place of the queue that is to go; `None` when it keeps its bounds.
pub(super) fn last_to_go(db: &Connection, queue: &str, bounds: QueueBounds) -> Result<Option<Place>> {
    let bytes = i64::try_from(bounds.bytes).unwrap_or(i64::MAX);
    select_one(db, LAST_TO_GO, params![queue, limit(bounds.events), bytes], |row| {
        Ok((row.get("state")?, row.get("id")?))
    })
}

pub(super) fn delete_up_to(db: &Connection, queue: &str, (state, id): &Place) -> Result<usize> {
    change(db, DELETE_UP_TO, params![queue, state, id, limit(AT_ONCE)])
}

pub(super) fn delete_some(db: &Connection, queue: &str) -> Result<usize> {
    change(db, DELETE_SOME, params![queue, limit(AT_ONCE)])
}

pub(super) fn delete_expired(db: &Connection, before: Timestamp) -> Result<usize> {
    change(db, DELETE_EXPIRED, params![before.as_millisecond(), limit(AT_ONCE)])
}

/// For the test of their plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[LAST_TO_GO, DELETE_UP_TO, DELETE_SOME, DELETE_EXPIRED];

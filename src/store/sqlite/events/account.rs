//! What concerns the rows of one account.

use jiff::Timestamp;
use rusqlite::{Connection, named_params, params};

use super::row::{insert, is_signed, read_held};
use crate::domain::{Account, EventId, KfEvent};
use crate::store::sqlite::rows::{change, select_one};
use crate::store::{HeldEvent, Result, Settled};

const SETTLE: &str = "
DELETE FROM held_event WHERE kf_id = :kf AND corp_id = :corp AND (
  (signed <= :signed AND (created, arrival) <= (:created, :arrival))
  OR (signed < :signed AND arrival <= :arrival))";
const NEWEST: &str = "
SELECT * FROM held_event WHERE kf_id = ? AND corp_id = ? AND state = 'live'
ORDER BY signed DESC, created DESC, arrival DESC, id DESC LIMIT 1";
const WAKE: &str = "
UPDATE held_event SET due_at = ?3 WHERE kf_id = ?1 AND corp_id = ?2 AND state = 'live'";
const EXPIRE: &str = "
UPDATE held_event SET state = 'expired', due_at = ?2, lease_owner = NULL, lease_until = NULL
WHERE id = ?1 AND state = 'live'";
/// `KfEvent::settles` between two rows of an account. Equal orders are told apart by the id: of two
/// rows that settle each other one must stay.
macro_rules! newer_settles_older {
    () => {
        "(older.signed = newer.signed
           AND (older.created, older.arrival, older.id) < (newer.created, newer.arrival, newer.id)
         OR older.signed < newer.signed
           AND (older.arrival <= newer.arrival OR (older.created, older.arrival) <= (newer.created, newer.arrival)))"
    };
}

const DELETE_OLDER: &str = concat!(
    "DELETE FROM held_event WHERE rowid IN (
       SELECT older.rowid FROM held_event newer JOIN held_event older USING (kf_id, corp_id)
       WHERE newer.id = ?1 AND ",
    newer_settles_older!(),
    ")"
);
/// What is held now makes older live rows needless. By values instead of by a join: this runs for
/// every event that is stored.
const DELETE_OLDER_LIVE: &str = "
DELETE FROM held_event WHERE kf_id = ?1 AND corp_id = ?2 AND state = 'live' AND (
  (signed = ?3 AND (created, arrival, id) < (?4, ?5, ?6))
  OR (signed < ?3 AND (arrival <= ?5 OR (created, arrival) <= (?4, ?5))))";
const SWEEP: &str = concat!(
    "DELETE FROM held_event WHERE rowid IN (
       SELECT older.rowid FROM held_event newer JOIN held_event older USING (kf_id, corp_id, state)
       WHERE newer.kf_id = ?1 AND newer.corp_id = ?2 AND newer.state = 'live' AND ",
    newer_settles_older!(),
    ")"
);
/// Of several expired rows the newest stays, as `newest` would choose it.
const KEEP_ONE_EXPIRED: &str = "
DELETE FROM held_event WHERE rowid IN (
  SELECT other.rowid FROM held_event this JOIN held_event other USING (kf_id, corp_id)
  WHERE this.id = ?1 AND other.state = 'expired'
  ORDER BY other.signed DESC, other.created DESC, other.arrival DESC, other.id DESC LIMIT -1 OFFSET 1)";

/// Inserts the row. The live rows that it settles go with it: an account keeps one, however many
/// events come while its bot is away.
pub(super) fn hold(db: &Connection, held: &HeldEvent) -> Result<()> {
    insert(db, held)?;
    let KfEvent { id, account, order, trust, .. } = &*held.event;
    let signed = is_signed(*trust);
    let values = params![account.kf.as_str(), account.corp.as_str(), signed, order.created, order.arrival, id.as_str()];
    change(db, DELETE_OLDER_LIVE, values).map(drop)
}

pub(super) fn settle(db: &Connection, account: &Account, settled: &Settled) -> Result<u64> {
    let values = named_params! {
        ":kf": account.kf.as_str(),
        ":corp": account.corp.as_str(),
        ":signed": is_signed(settled.trust),
        ":created": settled.order.created,
        ":arrival": settled.order.arrival,
    };
    Ok(change(db, SETTLE, values)? as u64)
}

pub(super) fn newest(db: &Connection, account: &Account) -> Result<Option<HeldEvent>> {
    select_one(db, NEWEST, [account.kf.as_str(), account.corp.as_str()], read_held)
}

pub(super) fn wake(db: &Connection, account: &Account, at: Timestamp) -> Result<()> {
    change(db, WAKE, params![account.kf.as_str(), account.corp.as_str(), at.as_millisecond()]).map(drop)
}

pub(super) fn expire(db: &Connection, id: &EventId, at: Timestamp) -> Result<bool> {
    let expired = change(db, EXPIRE, params![id.as_str(), at.as_millisecond()])? > 0;
    if expired {
        change(db, DELETE_OLDER, [id.as_str()])?;
        change(db, KEEP_ONE_EXPIRED, [id.as_str()])?;
    }
    Ok(expired)
}

/// Deletes live rows of the account that a newer live one settles.
pub(super) fn sweep(db: &Connection, account: &Account) -> Result<u64> {
    Ok(change(db, SWEEP, [account.kf.as_str(), account.corp.as_str()])? as u64)
}

/// For the test of their plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[SETTLE, NEWEST, WAKE, EXPIRE, DELETE_OLDER, DELETE_OLDER_LIVE, KEEP_ONE_EXPIRED, SWEEP];

//! Lists, counts and the sweep of expired rows.

use jiff::Timestamp;
use rusqlite::{Connection, Row, ToSql, params, params_from_iter};

use super::row::{read_held, state_text};
use crate::domain::{Account, CorpId, EventId, OpenKfId};
use crate::store::sqlite::rows::{change, limit, parsed, select, unsigned};
use crate::store::{HeldEvent, HeldFilter, HeldState, Result};

const WAITING: &str = "SELECT DISTINCT kf_id, corp_id FROM held_event WHERE state = 'live' ORDER BY kf_id, corp_id";
const CROWDED: &str = "
SELECT kf_id, corp_id FROM held_event WHERE state = 'live' GROUP BY kf_id, corp_id HAVING count(*) > 1";
const DELETE_EXPIRED: &str = "
DELETE FROM held_event WHERE rowid IN (
  SELECT rowid FROM held_event WHERE state = 'expired' AND due_at < ?1 LIMIT ?2)";
const UNKNOWN_UNSIGNED: &str = "
SELECT count(*) AS count FROM held_event held WHERE corp_id = ? AND state = 'live' AND NOT signed AND NOT EXISTS
  (SELECT 1 FROM puppet WHERE puppet.kf_id = held.kf_id AND puppet.corp_id = held.corp_id)";

pub(super) fn list(
    db: &Connection,
    filter: &HeldFilter,
    after: Option<&EventId>,
    rows: usize,
) -> Result<Vec<HeldEvent>> {
    let mut conditions = vec!["id > ?"];
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(after.map_or_else(String::new, ToString::to_string))];
    match filter.state {
        // As a literal: only that lets SQLite use the index of expired rows.
        Some(HeldState::Expired) => conditions.push("state = 'expired'"),
        Some(state) => {
            conditions.push("state = ?");
            values.push(Box::new(state_text(state)));
        }
        None => {}
    }
    if let Some(corp) = &filter.corp {
        conditions.push("corp_id = ?");
        values.push(Box::new(corp.to_string()));
    }
    if let Some(kf) = &filter.kf {
        conditions.push("kf_id = ?");
        values.push(Box::new(kf.to_string()));
    }
    values.push(Box::new(limit(rows)));
    // The ids first: sorting whole rows would move their bodies.
    let ids = format!("SELECT id FROM held_event WHERE {} ORDER BY id LIMIT ?", conditions.join(" AND "));
    let sql = format!("SELECT * FROM held_event WHERE id IN ({ids}) ORDER BY id");
    select(db, &sql, params_from_iter(values), read_held)
}

pub(super) fn waiting_accounts(db: &Connection) -> Result<Vec<Account>> {
    select(db, WAITING, (), read_account)
}

/// Accounts with more than one live row: only these can hold something needless.
pub(super) fn crowded_accounts(db: &Connection) -> Result<Vec<Account>> {
    select(db, CROWDED, (), read_account)
}

pub(super) fn delete_expired(db: &Connection, before: Timestamp, rows: usize) -> Result<u64> {
    Ok(change(db, DELETE_EXPIRED, params![before.as_millisecond(), limit(rows)])? as u64)
}

pub(super) fn count_unknown_unsigned(db: &Connection, corp: &CorpId) -> Result<u64> {
    let count = select(db, UNKNOWN_UNSIGNED, [corp.as_str()], |row| unsigned(row, "count"))?;
    Ok(count.first().copied().unwrap_or_default())
}

fn read_account(row: &Row<'_>) -> Result<Account> {
    Ok(Account { corp: parsed(row, "corp_id", CorpId::parse)?, kf: parsed(row, "kf_id", OpenKfId::parse)? })
}

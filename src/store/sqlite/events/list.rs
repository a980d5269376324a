//! Lists, counts and the sweep of expired rows.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::row::{read_held, state_text};
use crate::domain::{Account, CorpId, EventId, OpenKfId};
use crate::store::sqlite::rows::{List, change, limit, page, parsed, select, unsigned, value};
use crate::store::{HeldEvent, HeldFilter, Result};

const WAITING: &str = "SELECT DISTINCT kf_id, corp_id FROM held_event WHERE state = 'live' ORDER BY kf_id, corp_id";
const HOLDING: &str = "SELECT count(*) FROM held_event WHERE kf_id = ? AND corp_id = ?";
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
    let (sql, filter) = query(filter);
    let list = List { column: "id", sql: &sql, filter: &filter };
    page(db, &list, after.map_or("", EventId::as_str), rows, read_held)
}

/// The query of a page with the values of its filter; before these stands the id to start after,
/// behind them the limit.
fn query(filter: &HeldFilter) -> (String, Vec<String>) {
    let mut conditions = String::from("id > ?");
    let mut values = Vec::new();
    if let Some(state) = filter.state {
        // As a literal: only then can SQLite use the index of expired rows.
        conditions += &format!(" AND state = '{}'", state_text(state));
    }
    if let Some(corp) = &filter.corp {
        conditions += " AND corp_id = ?";
        values.push(corp.to_string());
    }
    if let Some(kf) = &filter.kf {
        conditions += " AND kf_id = ?";
        values.push(kf.to_string());
    }
    // The ids first: sorting whole rows would move their bodies.
    let ids = format!("SELECT id FROM held_event WHERE {conditions} ORDER BY id LIMIT ?");
    (format!("SELECT * FROM held_event WHERE id IN ({ids}) ORDER BY id"), values)
}

pub(super) fn waiting_accounts(db: &Connection) -> Result<Vec<Account>> {
    select(db, WAITING, (), read_account)
}

pub(super) fn holding(db: &Connection, accounts: Vec<Account>) -> Result<Vec<Account>> {
    let mut holding = Vec::new();
    for account in accounts {
        if value::<i64>(db, HOLDING, [account.kf.as_str(), account.corp.as_str()])? > 0 {
            holding.push(account);
        }
    }
    Ok(holding)
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

/// For the test of their plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[WAITING, HOLDING, CROWDED, DELETE_EXPIRED, UNKNOWN_UNSIGNED];

/// For the same test: the query of every kind of filter.
#[cfg(test)]
pub(super) fn all_queries() -> Vec<String> {
    use crate::store::HeldState;

    let corp = CorpId::parse("ww1").ok();
    let kf = OpenKfId::parse("wk1").ok();
    let mut queries = Vec::new();
    for state in [None, Some(HeldState::Live), Some(HeldState::Expired)] {
        for corp in [None, corp.clone()] {
            for kf in [None, kf.clone()] {
                queries.push(query(&HeldFilter { state, corp: corp.clone(), kf }).0);
            }
        }
    }
    queries
}

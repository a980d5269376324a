//! Held events. Rules between rows of one account ([`KfEvent::settles`]) are SQL here, because
//! deciding and deleting must be one step; the conformance suite compares them with the domain's.
//!
//! [`KfEvent::settles`]: crate::domain::KfEvent::settles

mod account;
mod list;
mod row;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};

use self::row::read_held;
use super::SqliteStore;
use super::rows::{change, limit, select, select_one, value};
use crate::domain::{Account, CorpId, EventId};
use crate::store::{Events, HeldEvent, HeldFilter, Lease, Postponed, Result, Settled};

/// Held events of bots that are up are due no later than this after a start: an earlier process may have put them off,
/// or ended before it woke them. Others wait for a registration, or for a probe.
const TAKEN_OVER: Duration = Duration::from_secs(5);

/// Accounts, or rows, in one step of a sweep: a callback's write waits for one step at most.
const SWEPT_AT_ONCE: usize = 100;

/// Free rows and rows whose lease ended, each from its own index.
const DUE: &str = "
SELECT * FROM (
  SELECT id, due_at FROM held_event
  WHERE state = 'live' AND lease_until IS NULL AND due_at <= ?1 ORDER BY due_at LIMIT ?2)
UNION ALL SELECT * FROM (
  SELECT id, due_at FROM held_event INDEXED BY held_leased
  WHERE state = 'live' AND lease_until <= ?1 AND due_at <= ?1 ORDER BY due_at LIMIT ?2)
ORDER BY due_at LIMIT ?2";
const NEXT_DUE: &str = "
SELECT min(at) FROM (
  SELECT min(due_at) AS at FROM held_event WHERE state = 'live' AND lease_until IS NULL
  UNION ALL
  SELECT min(max(due_at, lease_until)) FROM held_event WHERE state = 'live' AND lease_until IS NOT NULL)";
const TAKE_LEASE: &str = "UPDATE held_event SET lease_owner = ?2, lease_until = ?3 WHERE id = ?1";
const POSTPONE: &str = "
UPDATE held_event SET due_at = ?3, attempts = ?4, last_error = ?5, lease_owner = NULL, lease_until = NULL
WHERE id = ?1 AND state = 'live' AND (lease_owner IS NULL OR lease_owner = ?2)";
const REVIVE: &str = "
UPDATE held_event SET state = 'live', due_at = ?2, expires_at = ?3, lease_owner = NULL, lease_until = NULL
WHERE id = ?1";
const END_LEASES: &str = "
UPDATE held_event SET lease_owner = NULL, lease_until = NULL WHERE state = 'live' AND lease_until IS NOT NULL";
const HASTEN: &str = "
UPDATE held_event SET due_at = ?1 WHERE state = 'live' AND lease_until IS NULL AND due_at > ?1 AND EXISTS
  (SELECT 1 FROM puppet WHERE puppet.kf_id = held_event.kf_id AND online AND away_since IS NULL)";
const BY_ID: &str = "SELECT * FROM held_event WHERE id = ?";

/// At start, when no other process can use the store: nobody holds a lease, and what a bot can take is due soon.
pub(super) fn take_over(db: &Connection, now: Timestamp) -> Result<()> {
    let soon = now.saturating_add(TAKEN_OVER).unwrap_or(now);
    let transaction = db.unchecked_transaction()?;
    change(&transaction, END_LEASES, ())?;
    change(&transaction, HASTEN, [soon.as_millisecond()])?;
    Ok(transaction.commit()?)
}

#[async_trait]
impl Events for SqliteStore {
    async fn hold(&self, held: &HeldEvent) -> Result<()> {
        let held = held.clone();
        // An older row that stays is swept. Should only its deletion fail, the caller is told that the event was not
        // stored, and it comes once more.
        self.write_one_by_one(move |db| account::hold(db, &held)).await
    }

    async fn settle(&self, account: &Account, settled: &Settled) -> Result<u64> {
        let (account, settled) = (account.clone(), *settled);
        self.write_lightly(move |db| account::settle(db, &account, &settled)).await
    }

    async fn claim_due(&self, now: Timestamp, lease: &Lease, rows: usize) -> Result<Vec<HeldEvent>> {
        let lease = lease.clone();
        self.write_lightly(move |db| claim_due(db, now, &lease, rows)).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>> {
        let millis = self.read(|db| value::<Option<i64>>(db, NEXT_DUE, ())).await?;
        millis.map(super::rows::to_time).transpose()
    }

    async fn newest(&self, account: &Account) -> Result<Option<HeldEvent>> {
        let account = account.clone();
        self.read(move |db| account::newest(db, &account)).await
    }

    async fn postpone(&self, id: &EventId, owner: &str, postponed: &Postponed) -> Result<bool> {
        let (id, owner, postponed) = (id.clone(), owner.to_owned(), postponed.clone());
        self.write_lightly(move |db| {
            let Postponed { due_at, attempts, last_error } = postponed;
            let values = params![id.as_str(), owner, due_at.as_millisecond(), attempts, last_error];
            Ok(change(db, POSTPONE, values)? > 0)
        })
        .await
    }

    async fn wake(&self, account: &Account, at: Timestamp) -> Result<()> {
        let account = account.clone();
        self.write_lightly(move |db| account::wake(db, &account, at)).await
    }

    async fn expire(&self, id: &EventId, at: Timestamp) -> Result<bool> {
        let id = id.clone();
        self.write_lightly(move |db| account::expire(db, &id, at)).await
    }

    async fn held(&self, id: &EventId) -> Result<Option<HeldEvent>> {
        let id = id.clone();
        self.read(move |db| select_one(db, BY_ID, [id.as_str()], read_held)).await
    }

    async fn list_held(&self, filter: &HeldFilter, after: Option<&EventId>, rows: usize) -> Result<Vec<HeldEvent>> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.read(move |db| list::list(db, &filter, after.as_ref(), rows)).await
    }

    async fn revive(&self, id: &EventId, at: Timestamp, expires_at: Timestamp) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| {
            Ok(change(db, REVIVE, params![id.as_str(), at.as_millisecond(), expires_at.as_millisecond()])? > 0)
        })
        .await
    }

    async fn delete_held(&self, id: &EventId) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| Ok(change(db, "DELETE FROM held_event WHERE id = ?", [id.as_str()])? > 0)).await
    }

    /// In small steps, so that writes of callbacks come in between.
    async fn sweep(&self, expired_before: Timestamp) -> Result<u64> {
        let mut swept = 0;
        for accounts in self.read(list::crowded_accounts).await?.chunks(SWEPT_AT_ONCE).map(<[Account]>::to_vec) {
            let step = move |db: &Connection| accounts.iter().map(|account| account::sweep(db, account)).sum();
            swept += self.write_lightly::<u64>(step).await?;
        }
        loop {
            let step = self.write_lightly(move |db| list::delete_expired(db, expired_before, SWEPT_AT_ONCE)).await?;
            swept += step;
            if step == 0 {
                return Ok(swept);
            }
        }
    }

    async fn waiting_accounts(&self) -> Result<Vec<Account>> {
        self.read(list::waiting_accounts).await
    }

    async fn holding(&self, accounts: &[Account]) -> Result<Vec<Account>> {
        let accounts = accounts.to_vec();
        self.read(move |db| list::holding(db, accounts)).await
    }

    async fn count_unknown_unsigned(&self, corp: &CorpId) -> Result<u64> {
        let corp = corp.clone();
        self.read(move |db| list::count_unknown_unsigned(db, &corp)).await
    }
}

fn claim_due(db: &Connection, now: Timestamp, lease: &Lease, rows: usize) -> Result<Vec<HeldEvent>> {
    let due = select(db, DUE, params![now.as_millisecond(), limit(rows)], |row| Ok(row.get::<_, String>("id")?))?;
    let until = lease.until.as_millisecond();
    for id in &due {
        change(db, TAKE_LEASE, params![id, lease.owner, until])?;
    }
    // A row that cannot be read stays leased, so that it is reported once a lease and blocks nobody.
    let rows = due.iter().map(|id| select(db, BY_ID, [id], read_held));
    Ok(rows.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::sqlite::migrations::{MIGRATIONS, migrate};

    fn plan(db: &Connection, sql: &str) -> Vec<String> {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let rows = statement.raw_query().mapped(|row| row.get("detail"));
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// Held rows may be a hundred thousand, with bodies: no statement may look at all of them.
    #[test]
    fn every_statement_uses_an_index() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, MIGRATIONS).unwrap();
        let statements = [DUE, NEXT_DUE, TAKE_LEASE, POSTPONE, REVIVE, END_LEASES, HASTEN, BY_ID];
        for sql in statements.iter().chain(account::STATEMENTS).chain(list::STATEMENTS) {
            for step in plan(&db, sql) {
                // A bracketed one is a subquery, whose own steps are in the list.
                let indexed = !step.starts_with("SCAN") || step.contains("INDEX") || step.starts_with("SCAN (");
                assert!(indexed, "{step} in {sql}");
            }
        }
        for sql in list::all_queries() {
            let steps = plan(&db, &sql);
            assert!(steps.iter().all(|step| !step.starts_with("SCAN")), "{steps:?} in {sql}");
        }
    }
}

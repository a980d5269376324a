//! Which keys the values of this database need, and sealing them anew with the first one.
//!
//! The ids of the keys in use stand in a small table, so that a missing key stops the start without
//! reading every value.

use rusqlite::{Connection, params};

use super::rows::{change, select, select_one};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Result, StoreError};

/// A column that holds secrets, with what names its row in the value's place.
struct SealedColumn {
    table: &'static str,
    row: &'static str,
    field: &'static str,
}

/// Every sealed column. The `row` expressions are those that the tables' own files bind values to.
const COLUMNS: [SealedColumn; 9] = [
    SealedColumn { table: "corp", row: "id", field: "wecom_proxy" },
    SealedColumn { table: "corp_credential", row: "corp_id || '/' || position", field: "token" },
    SealedColumn { table: "corp_credential", row: "corp_id || '/' || position", field: "aes_key" },
    SealedColumn { table: "service", row: "corp_id || '/' || name", field: "secret" },
    SealedColumn { table: "puppet", row: "kf_id", field: "corp_secret" },
    SealedColumn { table: "puppet", row: "kf_id", field: "token" },
    SealedColumn { table: "puppet", row: "kf_id", field: "aes_key" },
    SealedColumn { table: "access_token", row: "corp_id || '/' || secret_id", field: "access_token" },
    SealedColumn { table: "access_token", row: "corp_id || '/' || secret_id", field: "corp_secret" },
];

/// More rows than this are worth a word about how far the sealing is.
const PROGRESS: usize = 10_000;

/// One stored value and where it is.
struct Stored {
    rowid: i64,
    row: String,
    text: String,
}

impl SealedColumn {
    fn values(&self, db: &Connection) -> Result<Vec<Stored>> {
        let Self { table, row, field } = self;
        let sql = format!("SELECT rowid, {row}, {field} FROM {table} WHERE {field} IS NOT NULL");
        select(db, &sql, (), |row| Ok(Stored { rowid: row.get(0)?, row: row.get(1)?, text: row.get(2)? }))
    }

    fn place<'a>(&self, stored: &'a Stored) -> Place<'a> {
        Place { table: self.table, row: &stored.row, field: self.field }
    }
}

/// Fails when a value needs a key that is not there.
pub(super) fn check(db: &Connection, keys: &MasterKeys) -> Result<()> {
    for key_id in in_use(db)?.into_iter().filter(|id| !keys.holds(id)) {
        for column in &COLUMNS {
            if let Some(stored) = column.values(db)?.iter().find(|stored| MasterKeys::id_of(&stored.text) == key_id) {
                return Err(StoreError::KeyMissing { place: column.place(stored).to_string(), key_id });
            }
        }
    }
    Ok(())
}

/// Seals every value with the first key, in one transaction, when another one is in use.
pub(super) fn reseal(db: &mut Connection, keys: &MasterKeys) -> Result<()> {
    let used = in_use(db)?;
    // The first start: nothing to seal anew, nothing to rewrite.
    if used.is_empty() {
        return change(db, "INSERT INTO sealing_key VALUES (?)", [keys.sealing_id()]).map(drop);
    }
    if used.len() == 1 && used.iter().all(|id| id == keys.sealing_id()) {
        return Ok(());
    }
    let transaction = db.transaction()?;
    change(&transaction, "INSERT OR IGNORE INTO sealing_key VALUES (?)", [keys.sealing_id()])?;
    let mut left = 0;
    for column in &COLUMNS {
        left += reseal_column(&transaction, keys, column)?;
    }
    // A damaged value keeps naming its key, so that giving that key up is noticed.
    if left == 0 {
        change(&transaction, "DELETE FROM sealing_key WHERE id <> ?", [keys.sealing_id()])?;
    }
    transaction.commit()?;
    scrub(db);
    Ok(())
}

/// Rewrites the file, because what was sealed with the old key, or not at all, still stands in its
/// free pages and in the log. Not doing it (a full disk) stops no start.
fn scrub(db: &Connection) {
    if let Err(error) = db.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "the store could not be rewritten: free pages may hold secrets as they were before");
    }
}

/// Returns how many values could not be opened and stay as they are.
fn reseal_column(db: &Connection, keys: &MasterKeys, column: &SealedColumn) -> Result<usize> {
    let mut values = column.values(db)?;
    values.retain(|stored| MasterKeys::id_of(&stored.text) != keys.sealing_id());
    let sql = format!("UPDATE {} SET {} = ?2 WHERE rowid = ?1", column.table, column.field);
    let mut left = 0;
    for (done, stored) in (1..).zip(&values) {
        let place = column.place(stored);
        match keys.open(&place, &stored.text) {
            Ok(secret) => {
                change(db, &sql, params![stored.rowid, keys.seal(&place, &secret)?])?;
            }
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "a stored secret cannot be sealed anew and stays as it is");
                left += 1;
            }
            Err(error) => return Err(error),
        }
        if done % PROGRESS == 0 {
            let (table, field, total) = (column.table, column.field, values.len());
            tracing::info!(table, field, done, total, "sealing secrets with the first MASTER_KEY");
        }
    }
    Ok(left)
}

fn in_use(db: &Connection) -> Result<Vec<String>> {
    select(db, "SELECT id FROM sealing_key ORDER BY id", (), |row| Ok(row.get(0)?))
}

/// The version of the file changes with its schema; this says that it can be read at all.
pub(super) fn readable(db: &Connection) -> Result<()> {
    select_one(db, "SELECT id FROM sealing_key LIMIT 1", (), |_| Ok(())).map(drop)
}

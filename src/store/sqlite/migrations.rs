//! The tables, by version. A released migration is never changed: the next one changes its tables.
//!
//! Times are whole milliseconds since 1970. Columns that hold a secret are listed in `keys.rs`.

use rusqlite::Connection;

use crate::store::StoreError;

/// The first entry leads from an empty file to version 1, and so on.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5];

const VERSION_1: &str = "
CREATE TABLE sealing_key (id TEXT PRIMARY KEY) STRICT;

CREATE TABLE corp (
  id          TEXT PRIMARY KEY,
  wecom_proxy TEXT,
  updated_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE corp_credential (
  corp_id     TEXT NOT NULL,
  position    INTEGER NOT NULL,
  id          TEXT NOT NULL,
  token       TEXT NOT NULL,
  aes_key     TEXT NOT NULL,
  receive_ids TEXT NOT NULL,
  label       TEXT,
  PRIMARY KEY (corp_id, position)
) STRICT;

CREATE TABLE puppet (
  kf_id          TEXT PRIMARY KEY,
  corp_id        TEXT NOT NULL,
  name           TEXT NOT NULL,
  endpoint       TEXT NOT NULL,
  corp_secret    TEXT NOT NULL,
  token          TEXT NOT NULL,
  aes_key        TEXT NOT NULL,
  pair_id        TEXT NOT NULL,
  online         INTEGER NOT NULL,
  last_online_at INTEGER,
  registered_at  INTEGER,
  away_since     INTEGER
) STRICT;
CREATE INDEX puppet_by_corp ON puppet (corp_id, kf_id);
CREATE INDEX puppet_by_pair ON puppet (corp_id, pair_id, registered_at, kf_id);
CREATE INDEX puppet_away ON puppet (kf_id) WHERE online AND away_since IS NOT NULL;

CREATE TABLE held_event (
  id             TEXT PRIMARY KEY,
  corp_id        TEXT NOT NULL,
  kf_id          TEXT NOT NULL,
  created        INTEGER NOT NULL,
  arrival        INTEGER NOT NULL,
  signed         INTEGER NOT NULL,
  digest         BLOB NOT NULL,
  born_at        INTEGER NOT NULL,
  sync_token     TEXT,
  extra          TEXT NOT NULL,
  raw_query      TEXT,
  raw_body       BLOB,
  raw_credential TEXT,
  state          TEXT NOT NULL CHECK (state IN ('live', 'expired')),
  expires_at     INTEGER NOT NULL,
  due_at         INTEGER NOT NULL,
  attempts       INTEGER NOT NULL,
  last_error     TEXT,
  lease_owner    TEXT,
  lease_until    INTEGER
) STRICT;
-- settle, newest, expire, sweep, and lists of one account
CREATE INDEX held_by_account ON held_event (kf_id, corp_id, state, signed, created, arrival);
-- claim_due and next_due: free rows by their time, leased rows (few) apart
CREATE INDEX held_due ON held_event (due_at) WHERE state = 'live' AND lease_until IS NULL;
CREATE INDEX held_leased ON held_event (lease_until, due_at) WHERE state = 'live' AND lease_until IS NOT NULL;
-- lists of one corp, lists and the sweep of expired rows
CREATE INDEX held_by_corp ON held_event (corp_id, id);
CREATE INDEX held_expired ON held_event (due_at) WHERE state = 'expired';
CREATE INDEX held_expired_by_id ON held_event (id) WHERE state = 'expired';
-- count_unknown_unsigned
CREATE INDEX held_unsigned ON held_event (corp_id, kf_id) WHERE state = 'live' AND NOT signed;

CREATE TABLE access_token (
  corp_id         TEXT NOT NULL,
  secret_id       TEXT NOT NULL,
  access_token    TEXT NOT NULL,
  fetched_at      INTEGER NOT NULL,
  expires_at      INTEGER NOT NULL,
  renewed_to_same INTEGER NOT NULL,
  PRIMARY KEY (corp_id, secret_id)
) STRICT;
";

const VERSION_2: &str = "
CREATE TABLE audit_entry (
  id      TEXT PRIMARY KEY,
  at      INTEGER NOT NULL,
  actor   TEXT NOT NULL,
  address TEXT,
  action  TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// A queue is `corp/service`. An expired event comes before a live one in the order of the states.
const VERSION_3: &str = "
CREATE TABLE service (
  corp_id TEXT NOT NULL,
  name    TEXT NOT NULL,
  url     TEXT NOT NULL,
  events  TEXT NOT NULL,
  format  TEXT NOT NULL,
  secret  TEXT,
  ttl     INTEGER NOT NULL,
  PRIMARY KEY (corp_id, name)
) STRICT;

CREATE TABLE service_event (
  id         TEXT PRIMARY KEY,
  queue      TEXT NOT NULL,
  webhook_id TEXT NOT NULL,
  name       TEXT NOT NULL,
  arrived_at INTEGER NOT NULL,
  size       INTEGER NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('live', 'expired')),
  expires_at INTEGER NOT NULL,
  due_at     INTEGER NOT NULL,
  attempts   INTEGER NOT NULL,
  refusals   INTEGER NOT NULL,
  last_error TEXT,
  raw_query  TEXT,
  body       BLOB NOT NULL
) STRICT;
-- a repeat is appended once
CREATE UNIQUE INDEX service_event_once ON service_event (queue, webhook_id);
-- the oldest of a queue, its bounds
CREATE INDEX service_event_order ON service_event (queue, state, id, size);
-- the sweep of expired events
CREATE INDEX service_event_expired ON service_event (due_at) WHERE state = 'expired';
";

const VERSION_4: &str = "
ALTER TABLE access_token ADD COLUMN corp_secret TEXT;
";

const VERSION_5: &str = "
ALTER TABLE access_token ADD COLUMN superseded TEXT NOT NULL DEFAULT '';
";

/// How a database cannot be brought to this program's version.
#[derive(Debug, thiserror::Error)]
pub(super) enum MigrationError {
    #[error("version {found} is newer than {known}")]
    Newer { found: usize, known: usize },
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

/// The version of the tables.
pub(super) fn version(db: &Connection) -> rusqlite::Result<usize> {
    let version = db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Runs the migrations that lack, each in a transaction of its own together with its version.
pub(super) fn migrate(db: &mut Connection, migrations: &[&str]) -> Result<(), MigrationError> {
    let known = migrations.len();
    let found = version(db)?;
    if found > known {
        return Err(MigrationError::Newer { found, known });
    }
    for (version, sql) in (1_i64..).zip(migrations).skip(found) {
        let transaction = db.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Changes nothing, but is written: the cheapest way to learn whether the file can be.
pub(super) fn rewrite_version(db: &Connection) -> Result<(), StoreError> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(db.pragma_update(None, "user_version", version)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE a (x)";
    const SECOND: &str = "CREATE TABLE b (x); INSERT INTO b SELECT x FROM a";

    fn version(db: &Connection) -> i64 {
        db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn only_what_lacks_is_run() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, &[FIRST]).unwrap();
        db.execute("INSERT INTO a VALUES (7)", ()).unwrap();
        migrate(&mut db, &[FIRST, SECOND]).unwrap();
        migrate(&mut db, &[FIRST, SECOND]).unwrap();
        assert_eq!(version(&db), 2);
        let kept: i64 = db.query_row("SELECT x FROM b", (), |row| row.get(0)).unwrap();
        assert_eq!(kept, 7);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_before_it() {
        let mut db = Connection::open_in_memory().unwrap();
        let broken = "CREATE TABLE c (x); INSERT INTO nowhere VALUES (1)";
        assert!(matches!(migrate(&mut db, &[FIRST, broken]), Err(MigrationError::Database(_))));
        assert_eq!(version(&db), 1);
        assert!(!db.table_exists(None, "c").unwrap());
    }

    #[test]
    fn a_newer_version_is_refused() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, &[FIRST, SECOND]).unwrap();
        assert!(matches!(migrate(&mut db, &[FIRST]), Err(MigrationError::Newer { found: 2, known: 1 })));
    }
}

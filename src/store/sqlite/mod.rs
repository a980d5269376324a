//! The embedded store: SQLite in `DATA_DIR`, one thread that writes and a few connections that read.
//!
//! The one decision a reader would question: no pool of writers. SQLite writes one transaction at a
//! time anyway; a single thread can put everything that waits into it, and share its sync.

mod audit;
mod corps;
mod directory;
mod events;
mod keys;
mod migrations;
mod puppets;
mod readers;
mod rows;
mod service_events;
mod services;
mod stock;
mod tokens;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

use self::directory::Directory;
use self::migrations::MigrationError;
use self::readers::Readers;
use self::writer::{Durability, Undo, Writer};
use super::sealed::MasterKeys;
use super::{Lease, Result, Stock, Store, StoreError};
use crate::domain::{Invalid, Secret, ServiceKey};

/// Reads take microseconds; more connections would only hold more cache.
const READERS: usize = 2;
/// How long a statement waits for somebody else's lock on the file (a backup, a shell): less than
/// the two seconds that a callback has for the store.
const BUSY: Duration = Duration::from_secs(1);

/// Where the keys that seal secrets come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// `MASTER_KEY`.
    Given(MasterKeys),
    /// Generated at the first start and kept in `DATA_DIR`.
    Kept,
}

/// Why the store cannot be opened; each text names `DATA_DIR` and the mend.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("DATA_DIR {} is used by another process: stop that one, or set DATA_DIR to another directory", .dir.display())]
    Locked { dir: PathBuf },
    #[error(
        "DATA_DIR {} cannot {doing}: {reason}; it must be a directory that this user may write, with free space",
        .dir.display()
    )]
    Io { dir: PathBuf, doing: &'static str, reason: String },
    #[error(
        "DATA_DIR {} was written by a newer release (its version is {found}, this release knows {known}): \
         start that release, or restore a backup",
        .dir.display()
    )]
    Newer { dir: PathBuf, found: usize, known: usize },
    #[error(
        "DATA_DIR {} was written by an older release (its version is {found}, this release knows {known}): \
         start this release on it once",
        .dir.display()
    )]
    Older { dir: PathBuf, found: usize, known: usize },
    #[error("DATA_DIR {} holds no store (no file {})", .dir.display(), directory::DATABASE)]
    Absent { dir: PathBuf },
    #[error("{} {rule}: restore the file; what it sealed cannot be read without it", .path.display())]
    MasterKeyFile { path: PathBuf, rule: Invalid },
    #[error(
        "DATA_DIR {}: {place} is stored with the key {key_id}, which is not given: add it to MASTER_KEY after the \
         first key (a generated one stands in {}; `plain` stands for readable)",
        .dir.display(), .dir.join("master.key").display()
    )]
    KeyMissing { dir: PathBuf, place: String, key_id: String },
    #[error("DATA_DIR {}: {source}", .dir.display())]
    Store { dir: PathBuf, source: StoreError },
}

impl OpenError {
    fn io(dir: &Path, doing: &'static str, error: impl std::fmt::Display) -> Self {
        Self::Io { dir: dir.to_owned(), doing, reason: error.to_string() }
    }

    fn store(dir: &Path, error: StoreError) -> Self {
        let dir = dir.to_owned();
        match error {
            StoreError::Unavailable(reason) => Self::Io { dir, doing: "be used", reason },
            StoreError::KeyMissing { place, key_id } => Self::KeyMissing { dir, place, key_id },
            source => Self::Store { dir, source },
        }
    }
}

/// The embedded store. While it lives, no other process can open its directory.
#[derive(Debug)]
pub struct SqliteStore {
    /// None when it was opened beside the process that uses it.
    writer: Option<Writer>,
    readers: Readers,
    keys: Arc<MasterKeys>,
    /// Who leads which queue of a service.
    senders: Mutex<HashMap<ServiceKey, Lease>>,
}

impl SqliteStore {
    /// Opens or creates the store. As nobody else can use it, leases of an earlier process end, and
    /// what is held for bots that are up is due soon after `now`.
    ///
    /// Blocks: secrets are sealed anew here when the first key changed.
    pub fn open(dir: &Path, source: KeySource, now: Timestamp) -> Result<Self, OpenError> {
        let directory = Directory::lock(dir)?;
        let path = directory.database()?;
        let connect = || connect(&path).map_err(|error| OpenError::store(dir, error));
        let mut db = connect()?;
        migrations::migrate(&mut db, migrations::MIGRATIONS).map_err(|error| match error {
            MigrationError::Newer { found, known } => OpenError::Newer { dir: dir.to_owned(), found, known },
            MigrationError::Database(error) => OpenError::store(dir, error.into()),
        })?;
        let keys = unlock(&directory, &mut db, source)?;
        events::take_over(&db, now).map_err(|error| OpenError::store(dir, error))?;
        let readers = (0..READERS).map(|_| connect()).collect::<Result<_, _>>()?;
        let writer = Writer::start(db, directory).map_err(|error| OpenError::io(dir, "be used", error))?;
        Ok(Self {
            writer: Some(writer),
            readers: Readers::start(readers).map_err(|error| OpenError::io(dir, "be used", error))?,
            keys: Arc::new(keys),
            senders: Mutex::default(),
        })
    }

    /// Opens the store to read it only, also while another process uses it. The generated key and
    /// those given (if any) open its values.
    pub fn open_beside(dir: &Path, given: Option<&Secret>) -> Result<Self, OpenError> {
        let failed = |error| OpenError::store(dir, error);
        let (path, keys) = directory::look_in(dir, given)?;
        let db = connect(&path).map_err(failed)?;
        match migrations::version(&db).map_err(|error| failed(error.into()))? {
            found if found > migrations::MIGRATIONS.len() => {
                return Err(OpenError::Newer { dir: dir.to_owned(), found, known: migrations::MIGRATIONS.len() });
            }
            found if found < migrations::MIGRATIONS.len() => {
                return Err(OpenError::Older { dir: dir.to_owned(), found, known: migrations::MIGRATIONS.len() });
            }
            _ => {}
        }
        keys::check(&db, &keys).map_err(failed)?;
        let readers = Readers::start(vec![db]).map_err(|error| OpenError::io(dir, "be used", error))?;
        Ok(Self { writer: None, readers, keys: Arc::new(keys), senders: Mutex::default() })
    }

    /// Whether a process uses the directory. Its lock is taken for a moment, shared with others who only
    /// look; a gateway that starts in that very moment finds the directory used, and says so.
    pub fn is_in_use(dir: &Path) -> bool {
        directory::is_locked(dir)
    }

    /// Fails when a value needs a key that is not among these. Changes nothing.
    pub async fn check_keys(&self, keys: MasterKeys) -> Result<()> {
        self.read(move |db| keys::check(db, &keys)).await
    }

    /// Transactions committed since the store was opened.
    pub fn commits(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::commits)
    }

    fn writer(&self) -> Result<&Writer> {
        self.writer.as_ref().ok_or_else(|| StoreError::Unavailable("it was opened for reading only".to_owned()))
    }

    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        self.readers.read(work).await
    }

    /// As [`SqliteStore::read`], for rows with sealed columns.
    async fn read_sealed<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &MasterKeys) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let keys = Arc::clone(&self.keys);
        self.readers.read(move |db| work(db, &keys)).await
    }

    /// On disk when it returns.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer()?.write(Durability::Synced, Undo::Work, work).await
    }

    /// The same, for work whose statements may stand alone should a later one fail.
    async fn write_one_by_one<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer()?.write(Durability::Synced, Undo::Statement, work).await
    }

    /// For changes that a power cut may undo.
    async fn write_lightly<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer()?.write(Durability::Written, Undo::Work, work).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    /// All of it was done when the store was opened.
    async fn prepare(&self) -> Result<()> {
        Ok(())
    }

    async fn check(&self) -> Result<()> {
        self.read(keys::readable).await?;
        if self.writer.as_ref().is_some_and(Writer::is_failing) {
            self.write_lightly(migrations::rewrite_version).await?;
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn stock(&self) -> Result<Stock> {
        self.read(stock::count).await
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(64);
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    // 16 MiB of log before it is written back: fewer pauses under load, still little to read at start.
    db.pragma_update(None, "wal_autocheckpoint", 4_096)?;
    db.pragma_update(None, "journal_size_limit", 64 << 20)?;
    Ok(db)
}

/// Finds the keys, generating one for an unused store, and makes the first one seal everything.
fn unlock(directory: &Directory, db: &mut Connection, source: KeySource) -> Result<MasterKeys, OpenError> {
    let failed = |error| OpenError::store(directory.path(), error);
    let kept = match source {
        KeySource::Given(keys) => Some(keys),
        KeySource::Kept => directory.master_key()?,
    };
    let keys = match kept {
        Some(keys) => keys,
        None => generate(directory, db)?,
    };
    keys::check(db, &keys).map_err(failed)?;
    keys::reseal(db, &keys).map_err(failed)?;
    Ok(keys)
}

/// A new key, kept only when no value needs another one: else the lost key is what is missing.
fn generate(directory: &Directory, db: &Connection) -> Result<MasterKeys, OpenError> {
    let key = MasterKeys::generate();
    let keys =
        MasterKeys::parse(&key).map_err(|rule| OpenError::MasterKeyFile { path: directory.path().to_owned(), rule })?;
    keys::check(db, &keys).map_err(|error| OpenError::store(directory.path(), error))?;
    directory.keep_master_key(&key)?;
    Ok(keys)
}

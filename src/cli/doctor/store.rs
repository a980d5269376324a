//! The store, read beside whoever uses it: whether it can be used, whether the keys open it, and what it holds.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::config::Config;
use crate::domain::Clock;
use crate::lifecycle::Tasks;
use crate::store::mongodb::MongoStore;
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::store::{Store, StoreError};

use super::super::copy::keys;
use super::content;
use super::finding::{Finding, Part, Tried};
use super::gateway::{Place, Running};
use super::setup::Stored;

/// For one look at the store, which may be a large one.
const LIMIT: Duration = Duration::from_secs(8);
const MEND_KEY: &str = "give that key in MASTER_KEY, after the first one (a generated one stands in master.key of \
    DATA_DIR; `plain` stands for readable): without it the gateway does not start";

/// Reads all that the checks need; `None` when there is nothing to read.
pub(super) async fn look(config: &Config, gateway: Option<&Running>) -> (Option<Stored>, Vec<Finding>) {
    match config.mongo_uri {
        Some(_) => mongodb(config).await,
        None => sqlite(config, gateway).await,
    }
}

async fn sqlite(config: &Config, gateway: Option<&Running>) -> (Option<Stored>, Vec<Finding>) {
    let dir = &config.data_dir;
    let mut findings = vec![directory(dir)];
    let tried = Tried::new(Part::Store, "sqlite", format!("read {} beside whoever uses it", dir.display()));
    let store = match SqliteStore::open_beside(dir, config.master_key.as_ref()) {
        Ok(store) => Arc::new(store),
        Err(error) => {
            findings.push(unopened(tried, &error, gateway));
            return (None, findings);
        }
    };
    // Beside the gateway the generated key opens too; at a start only those of a given MASTER_KEY do.
    let opens = match keys(config) {
        Ok(given) if config.master_key.is_some() => store.check_keys(given).await,
        _ => Ok(()),
    };
    finish(tried, store, opens, config, findings).await
}

async fn mongodb(config: &Config) -> (Option<Stored>, Vec<Finding>) {
    let tried = Tried::new(Part::Store, "mongodb", "read the database of MONGO_URI");
    let (Some(uri), Ok(keys)) = (&config.mongo_uri, keys(config)) else { return (None, Vec::new()) };
    let store = match MongoStore::new(uri, keys, &Tasks::new(), Clock::default()) {
        Ok(store) => Arc::new(store),
        Err(rule) => return (None, vec![tried.wrong(format!("MONGO_URI {rule}"), "set MONGO_URI right")]),
    };
    let opens = match timeout(LIMIT, store.check()).await.unwrap_or_else(|_| Err(late())) {
        Ok(()) => timeout(LIMIT, store.check_keys()).await.unwrap_or_else(|_| Err(late())),
        Err(error) => return (None, vec![failed(tried, &error)]),
    };
    finish(tried, store, opens, config, Vec::new()).await
}

fn late() -> StoreError {
    StoreError::Unavailable(format!("no answer within {} s", LIMIT.as_secs()))
}

async fn finish(
    tried: Tried,
    store: Arc<dyn Store>,
    opens: Result<(), StoreError>,
    config: &Config,
    mut findings: Vec<Finding>,
) -> (Option<Stored>, Vec<Finding>) {
    let read = timeout(LIMIT, content::read(store, config)).await.unwrap_or_else(|_| Err(late()));
    let (stored, finding) = match (read, opens) {
        (Ok(stored), Ok(())) => {
            let seen = content::told(&stored);
            (Some(stored), tried.ok(seen))
        }
        (Ok(stored), Err(error)) => (Some(stored), failed(tried, &error)),
        (Err(error), _) => (None, failed(tried, &error)),
    };
    findings.push(finding);
    (stored, findings)
}

fn failed(tried: Tried, error: &StoreError) -> Finding {
    let advice = match error {
        StoreError::Unavailable(_) => "see that it runs, and that address, user and password are right",
        StoreError::KeyMissing { .. } => MEND_KEY,
        StoreError::Damaged { .. } => "restore the value from a backup, or delete its row",
        StoreError::ReadOnly { .. } => "change it in CORPS_FILE",
    };
    tried.wrong(error.to_string(), advice)
}

/// The text of each error holds the mend already, where it has one.
fn unopened(tried: Tried, error: &OpenError, gateway: Option<&Running>) -> Finding {
    let advice = match (error, gateway.map(|running| running.place)) {
        (OpenError::Absent { .. }, None) => {
            return tried.skipped("there is none yet: the gateway makes it when it first starts");
        }
        (OpenError::Absent { .. }, Some(Place::Elsewhere)) => {
            let why = "there is none here: run doctor where the gateway runs, to check what its store holds";
            return tried.skipped(why);
        }
        (OpenError::Absent { .. }, Some(Place::Here)) => "give doctor the DATA_DIR that the running gateway has",
        (OpenError::KeyMissing { .. }, _) => MEND_KEY,
        (OpenError::MasterKeyFile { .. }, _) => "restore master.key from a backup",
        (OpenError::Newer { .. } | OpenError::Older { .. }, _) => "use the release that the text names",
        (OpenError::Locked { .. } | OpenError::Io { .. }, _) => {
            "give the directory to the gateway's user, and doctor too"
        }
        (OpenError::Store { .. }, _) => "restore a backup, or move the directory away to begin anew",
    };
    tried.wrong(error.to_string(), advice)
}

/// Whether this user can write there: with a file that is gone again at once.
fn directory(dir: &Path) -> Finding {
    let place = existing(dir);
    let tried = Tried::new(Part::Store, "DATA_DIR", format!("wrote a file into {} and removed it", place.display()));
    if let Err(error) = write(&place) {
        let advice = "it must be a directory that the gateway's user (and doctor's) may write, with free space";
        return tried.wrong(error.to_string(), advice);
    }
    let mode = fs::metadata(dir).map_or(0o700, |data| data.permissions().mode());
    if mode & 0o077 != 0 {
        let advice = format!("chmod 700 {}: the generated keys and tokens lie in it", dir.display());
        return tried.warning(format!("others may look into it (mode {:o})", mode & 0o777), advice);
    }
    tried.ok(if place == dir { "it can be written" } else { "the directory can be created there" })
}

/// The directory, or where it would be created.
fn existing(dir: &Path) -> PathBuf {
    let found = dir.ancestors().find(|path| path.exists()).map(Path::to_owned);
    found.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| PathBuf::from("."))
}

fn write(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".doctor.{:016x}", rand::random::<u64>()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    // Enough to meet a full disk.
    let written = file.write_all(&[0; 64 * 1024]).and_then(|()| file.sync_all());
    fs::remove_file(&path)?;
    written
}

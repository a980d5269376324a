//! `DATA_DIR`: created for its owner alone, locked to one process, home of the generated key.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::OpenError;
use crate::domain::Secret;
use crate::store::sealed::MasterKeys;

pub(super) const DATABASE: &str = "gateway.db";
const LOCK: &str = "gateway.lock";
const MASTER_KEY: &str = "master.key";

/// The directory while it is ours.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Locked for as long as it is open; the system unlocks it however the process ends.
    lock: File,
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing would not do while a child process that another thread starts just now has the file
        // open as well. An error leaves it to that.
        let _ = self.lock.unlock();
    }
}

impl Directory {
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| OpenError::io(path, "be created", error))?;
        let lock = private(OpenOptions::new().create(true).truncate(false))
            .open(path.join(LOCK))
            .map_err(|error| OpenError::io(path, "be written", error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(OpenError::io(path, "be locked", error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The database file, created readable for its owner alone; SQLite gives its further files the
    /// same mode.
    pub(super) fn database(&self) -> Result<PathBuf, OpenError> {
        let path = self.path.join(DATABASE);
        private(OpenOptions::new().create(true).truncate(false)).open(&path).map_err(|error| self.unwritable(error))?;
        Ok(path)
    }

    /// The generated keys, when there are any.
    pub(super) fn master_key(&self) -> Result<Option<MasterKeys>, OpenError> {
        let kept = kept_key(&self.path)?;
        kept.map(|text| parse(&self.path, &text)).transpose()
    }

    /// Keeps a generated key. A crash leaves all of it or nothing.
    pub(super) fn keep_master_key(&self, key: &Secret) -> Result<(), OpenError> {
        let draft = self.path.join("master.key.new");
        let write = || {
            let mut file = private(OpenOptions::new().create(true).truncate(true)).open(&draft)?;
            writeln!(file, "{}", key.expose())?;
            file.sync_all()?;
            fs::rename(&draft, self.path.join(MASTER_KEY))?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| self.unwritable(error))
    }

    fn unwritable(&self, error: io::Error) -> OpenError {
        OpenError::io(&self.path, "be written", error)
    }
}

/// Whether somebody has the directory.
pub(super) fn is_locked(dir: &Path) -> bool {
    let Ok(lock) = File::open(dir.join(LOCK)) else { return false };
    match lock.try_lock_shared() {
        Ok(()) => {
            // An error leaves it to the closing.
            let _ = lock.unlock();
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}

/// What a directory holds, without taking it: the database's path and the keys for its values.
pub(super) fn look_in(dir: &Path, given: Option<&Secret>) -> Result<(PathBuf, MasterKeys), OpenError> {
    let path = dir.join(DATABASE);
    if !path.is_file() {
        return Err(OpenError::Absent { dir: dir.to_owned() });
    }
    let kept = kept_key(dir)?;
    let all: Vec<&str> = kept.iter().chain(given).map(|keys| keys.expose().trim()).collect();
    let keys = if all.is_empty() { MasterKeys::none() } else { parse(dir, &Secret::new(all.join(",")))? };
    Ok((path, keys))
}

fn kept_key(dir: &Path) -> Result<Option<Secret>, OpenError> {
    match fs::read_to_string(dir.join(MASTER_KEY)) {
        Ok(text) => Ok(Some(Secret::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io(dir, "be read", error)),
    }
}

fn parse(dir: &Path, keys: &Secret) -> Result<MasterKeys, OpenError> {
    MasterKeys::parse(keys).map_err(|rule| OpenError::MasterKeyFile { path: dir.join(MASTER_KEY), rule })
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.write(true).mode(0o600)
}

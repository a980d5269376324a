//! SQLite: the suite, and what only the embedded store promises.

mod directory;
mod restart;
mod sealing;

use std::path::Path;
use std::sync::Arc;

use wxkf_gateway::store::sqlite::{KeySource, OpenError, SqliteStore};

use super::conformance::{self, Opened};
use super::samples::at;

pub async fn open() -> Opened {
    let dir = tempfile::tempdir().unwrap();
    Opened { store: Arc::new(open_in(dir.path()).unwrap()), keep: Box::new(dir) }
}

mod conforms {
    super::conformance::conformance!(crate::store::sqlite::open);
}

/// With the generated key.
fn open_in(dir: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(dir, KeySource::Kept, at(0))
}

/// The database without the store, as an attacker or an operator with a shell has it.
fn raw(dir: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(dir.join("gateway.db")).unwrap()
}

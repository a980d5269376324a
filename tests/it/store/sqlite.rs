//! SQLite: the suite, and what only the embedded store promises.

use std::sync::Arc;

use wxkf_gateway::store::sqlite::{KeySource, SqliteStore};

use super::conformance::{self, Opened};
use super::samples::at;

pub async fn open() -> Opened {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), KeySource::Kept, at(0)).unwrap();
    Opened { store: Arc::new(store), keep: Box::new(dir) }
}

mod conforms {
    super::conformance::conformance!(crate::store::sqlite::open);
}

//! The in-process cache: its replicas are one.

use std::sync::Arc;

use wxkf_gateway::access_token::{MemoryCache, TokenCache};
use wxkf_gateway::lifecycle::Tasks;
use wxkf_gateway::store::sqlite::{KeySource, SqliteStore};

use super::conformance::{Opened, conformance};
use super::samples::clock;

async fn open() -> Opened {
    let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
    let store = Arc::new(SqliteStore::open(dir.path(), KeySource::Kept, clock.now()).unwrap());
    let cache: Arc<dyn TokenCache> = Arc::new(MemoryCache::new(store, Tasks::new(), clock.clone()));
    Opened { one: cache.clone(), other: cache, clock, keep: Box::new(dir) }
}

conformance!(super::open; #[doc = "Needs nothing."]);

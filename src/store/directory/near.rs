//! One near cache, and how the store behind it is asked.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{SHARED_FRESHNESS, Sharing};
use crate::store::{Breaker, Result, StoreError, Turn};

/// How long a shared store may take before what was last read serves instead.
pub(super) const READ_LIMIT: Duration = Duration::from_millis(400);
/// After a failed read, a shared store is asked again so often: by one caller, while the others do with
/// what was last read. Whoever knows nothing asks all the same.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// A value that cannot be opened is told of for so long.
const TOLD_FOR: Duration = Duration::from_secs(60);
/// Entries kept at most.
pub(super) const CAPACITY: u64 = 200_000;
const SHARDS: usize = 256;

#[derive(Debug)]
struct Near<T> {
    value: Option<Arc<T>>,
    read_at: Instant,
}

impl<T> Clone for Near<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), read_at: self.read_at }
    }
}

/// One near cache. Changes are counted by shard of keys: a read that began before a change of its key
/// must not fill the cache after it, and the changes of others must not keep it from doing so.
pub(super) struct NearCache<K, T> {
    entries: Cache<K, Near<T>>,
    shards: Box<[Shard]>,
    hasher: RandomState,
}

impl<K, T> std::fmt::Debug for NearCache<K, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NearCache").finish_non_exhaustive()
    }
}

/// The moment before something is read, and how often the keys of each shard had been changed by then.
pub(super) struct Before {
    at: Instant,
    changes: Vec<u64>,
}

#[derive(Debug, Default)]
struct Shard {
    /// Held by the one caller that reads; the others find what it read.
    reading: tokio::sync::Mutex<()>,
    changes: Mutex<u64>,
}

impl<K, T> NearCache<K, T>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    T: PartialEq + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { entries: Cache::new(CAPACITY), shards, hasher: RandomState::new() }
    }

    fn place(&self, key: &K) -> usize {
        usize::try_from(self.hasher.hash_one(key)).unwrap_or(usize::MAX) % SHARDS
    }

    fn shard(&self, key: &K) -> &Shard {
        &self.shards[self.place(key)]
    }

    pub(super) fn before(&self) -> Before {
        Before { at: Instant::now(), changes: self.shards.iter().map(|shard| *shard.changes.lock()).collect() }
    }

    /// The key's value was changed in the store, to what `now` makes of the value that was known. Of a shared store that
    /// serves if the store goes away before it is read; `None`: nothing can be said.
    pub(super) fn changed(&self, key: &K, sharing: Sharing, now: impl FnOnce(Option<Arc<T>>) -> Option<Arc<T>>) {
        let mut changes = self.shard(key).changes.lock();
        *changes += 1;
        // Two changes at a time may come here in another order than to the store: so it is read again in any case.
        let unread = Instant::now().checked_sub(SHARED_FRESHNESS).filter(|_| sharing == Sharing::Replicas);
        let value = unread.and_then(|read_at| Some((now(self.known(key))?, read_at)));
        match value {
            Some((value, read_at)) => self.entries.insert(key.clone(), Near { value: Some(value), read_at }),
            None => self.entries.invalidate(key),
        }
    }

    /// Any value may have been changed.
    pub(super) fn all_changed(&self) {
        for shard in &self.shards {
            *shard.changes.lock() += 1;
        }
        self.entries.invalidate_all();
    }

    fn fresh(&self, key: &K, sharing: Sharing) -> Option<Near<T>> {
        let near = self.entries.get(key)?;
        (sharing == Sharing::Exclusive || near.read_at.elapsed() < SHARED_FRESHNESS).then_some(near)
    }

    pub(super) async fn get(
        &self,
        key: &K,
        source: &Source,
        read: impl AsyncFnOnce() -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        if let Some(near) = self.fresh(key, source.sharing) {
            return Ok(near.value);
        }
        match self.entries.get(key) {
            Some(last_read) => Box::pin(self.refresh(key, last_read, source, read)).await,
            None => Box::pin(self.look_up(key, source, read)).await,
        }
    }

    /// Keeps what was read just now, unless something later is known: it serves while the store is away. It counts as
    /// read some time ago.
    pub(super) fn remember_old(&self, key: K, value: T, before: &Before) {
        let Some(read_at) = before.at.checked_sub(SHARED_FRESHNESS) else { return };
        let place = self.place(&key);
        let changes = self.shards[place].changes.lock();
        let is_news = |known: Near<T>| known.read_at < before.at && known.value.as_deref() != Some(&value);
        if before.changes[place] == *changes && self.entries.get(&key).is_none_or(is_news) {
            self.entries.insert(key, Near { value: Some(Arc::new(value)), read_at });
        }
    }

    /// One caller reads; whoever waits for that finds what he read.
    async fn look_up(
        &self,
        key: &K,
        source: &Source,
        read: impl AsyncFnOnce() -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        let _one_reads = self.shard(key).reading.lock().await;
        match self.fresh(key, source.sharing) {
            Some(near) => Ok(near.value),
            None => self.read(key, source, read).await,
        }
    }

    /// What was last read serves on when the store cannot say soon.
    async fn refresh(
        &self,
        key: &K,
        last_read: Near<T>,
        source: &Source,
        read: impl AsyncFnOnce() -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        if !source.breaker.admits() {
            return Ok(last_read.value);
        }
        match timeout(READ_LIMIT, self.look_up(key, source, read)).await {
            Ok(answer) => Ok(answer.unwrap_or(last_read.value)),
            Err(_) => {
                source.failed("it takes too long");
                Ok(last_read.value)
            }
        }
    }

    /// What is known, however old.
    pub(super) fn known(&self, key: &K) -> Option<Arc<T>> {
        self.entries.get(key)?.value
    }

    /// All that is known.
    pub(super) fn all(&self) -> impl Iterator<Item = (Arc<K>, Arc<T>)> {
        self.entries.iter().filter_map(|(key, near)| Some((key, near.value?)))
    }

    /// Asks the store, whatever is known, and remembers what it says.
    pub(super) async fn read(
        &self,
        key: &K,
        source: &Source,
        read: impl AsyncFnOnce() -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        let shard = self.shard(key);
        let changes = *shard.changes.lock();
        let value = source.ask(read).await?.map(Arc::new);
        // Another replica may register what is unknown now, so only an exclusive store remembers that.
        let is_kept = value.is_some() || source.sharing == Sharing::Exclusive;
        let now = shard.changes.lock();
        match *now == changes {
            true if is_kept => self.entries.insert(key.clone(), Near { value: value.clone(), read_at: Instant::now() }),
            true => self.entries.invalidate(key),
            false => {}
        }
        Ok(value)
    }
}

/// How the store is asked.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) sharing: Sharing,
    breaker: Breaker,
    /// When a value could not be opened, and why: a key is missing here.
    locked: Mutex<Option<(Instant, StoreError)>>,
}

impl Source {
    pub(super) fn new(sharing: Sharing) -> Self {
        Self { sharing, breaker: Breaker::new(ASK_AGAIN), locked: Mutex::default() }
    }

    /// Why a value could not be opened lately.
    pub(super) fn locked(&self) -> Option<StoreError> {
        let locked = self.locked.lock().clone();
        locked.filter(|(at, _)| at.elapsed() < TOLD_FOR).map(|(_, error)| error)
    }

    async fn ask<T>(&self, read: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
        let result = read().await;
        match &result {
            Err(StoreError::Unavailable(reason)) => {
                self.failed(reason);
                return result;
            }
            Err(error @ StoreError::KeyMissing { .. }) => *self.locked.lock() = Some((Instant::now(), error.clone())),
            Err(_) | Ok(_) => {}
        }
        if self.breaker.succeeded() == Turn::Changed {
            info!("the store answers again");
        }
        result
    }

    fn failed(&self, reason: &str) {
        if self.breaker.failed() == Turn::Changed {
            warn!(reason, "the store is away; what was last read serves on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_ahead_replaces_what_was_read_before_and_nothing_later() {
        let near: NearCache<&str, u8> = NearCache::new();
        let known = || near.known(&"bot").map(|value| *value);
        near.remember_old("bot", 1, &near.before());
        assert_eq!(known(), Some(1));
        let earlier = near.before();
        near.remember_old("bot", 2, &near.before());
        assert_eq!(known(), Some(2), "it registered again, at another replica");

        near.entries.insert("bot", Near { value: Some(Arc::new(3)), read_at: Instant::now() });
        near.remember_old("bot", 1, &earlier);
        assert_eq!(known(), Some(3), "it was read since");
        let before = near.before();
        near.changed(&"bot", Sharing::Exclusive, |_| None);
        near.remember_old("bot", 1, &before);
        assert_eq!(known(), None, "it was changed since");
    }

    #[tokio::test]
    async fn what_was_changed_is_read_again_and_serves_while_the_store_is_away() {
        let near: NearCache<&str, u8> = NearCache::new();
        let source = Source::new(Sharing::Replicas);
        let away = async || Err(StoreError::Unavailable("unplugged".to_owned()));
        near.changed(&"bot", source.sharing, |known| known.or(Some(Arc::new(1))));
        assert_eq!(near.get(&"bot", &source, away).await, Ok(Some(Arc::new(1))));
        near.changed(&"bot", source.sharing, |known| known.map(|value| Arc::new(*value + 1)));
        assert_eq!(near.get(&"bot", &source, away).await, Ok(Some(Arc::new(2))));
        tokio::time::sleep(ASK_AGAIN).await;
        assert_eq!(near.get(&"bot", &source, async || Ok(Some(7))).await, Ok(Some(Arc::new(7))));
    }
}

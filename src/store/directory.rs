//! What the hot path asks of the store, kept near: which keys open a corp's callbacks, which proxy its
//! calls take, which bot serves an account. Bounded, written through, and looked up before anything unknown is answered.
//!
//! Entries of a store that only this process writes never grow old; those of a shared store are read
//! again after [`SHARED_FRESHNESS`]. While the store is away, hangs, or holds a value that cannot be
//! opened, what was last read serves on.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Breaker, Corps, PuppetPages, Result, Store, StoreError, Turn};
use crate::domain::{Account, CallbackCredential, Corp, CorpId, OpenKfId, Puppet, Secret, Service};

/// How long another replica's change may go unseen.
pub const SHARED_FRESHNESS: Duration = Duration::from_secs(5);
/// How long a shared store may take before what was last read serves instead.
const READ_LIMIT: Duration = Duration::from_millis(400);
/// After a failed read, a shared store is asked again so often: by one caller, while the others do with
/// what was last read. Whoever knows nothing asks all the same.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// A value that cannot be opened is told of for so long.
const TOLD_FOR: Duration = Duration::from_secs(60);
/// Entries kept of each kind; some 300 bytes each.
const CAPACITY: u64 = 200_000;
const SHARDS: usize = 256;

/// The credentials that may open a corp's callbacks, and who takes what is in them beside its bots.
#[derive(Debug, PartialEq, Eq)]
pub struct CorpKeys {
    /// Tried in this order.
    pub credentials: Vec<CallbackCredential>,
    /// Other services of the app. Here, because every callback asks for both.
    pub services: Vec<Service>,
}

/// Who else writes the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The embedded store: this process alone.
    Exclusive,
    /// Other replicas too.
    Replicas,
}

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
struct NearCache<K, T> {
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
struct Before {
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
    fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { entries: Cache::new(CAPACITY), shards, hasher: RandomState::new() }
    }

    fn place(&self, key: &K) -> usize {
        usize::try_from(self.hasher.hash_one(key)).unwrap_or(usize::MAX) % SHARDS
    }

    fn shard(&self, key: &K) -> &Shard {
        &self.shards[self.place(key)]
    }

    fn before(&self) -> Before {
        Before { at: Instant::now(), changes: self.shards.iter().map(|shard| *shard.changes.lock()).collect() }
    }

    /// The key's value was changed in the store.
    fn changed(&self, key: &K) {
        let mut changes = self.shard(key).changes.lock();
        *changes += 1;
        self.entries.invalidate(key);
    }

    /// Any value may have been changed.
    fn all_changed(&self) {
        for shard in &self.shards {
            *shard.changes.lock() += 1;
        }
        self.entries.invalidate_all();
    }

    fn fresh(&self, key: &K, sharing: Sharing) -> Option<Near<T>> {
        let near = self.entries.get(key)?;
        (sharing == Sharing::Exclusive || near.read_at.elapsed() < SHARED_FRESHNESS).then_some(near)
    }

    async fn get(
        &self,
        key: &K,
        source: &Source,
        read: impl AsyncFnOnce() -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        if let Some(near) = self.fresh(key, source.sharing) {
            return Ok(near.value);
        }
        match self.entries.get(key) {
            Some(last_read) => self.refresh(key, last_read, source, read).await,
            None => self.look_up(key, source, read).await,
        }
    }

    /// Keeps what was read just now, unless something later is known: it serves while the store is away. It counts as
    /// read some time ago.
    fn remember_old(&self, key: K, value: T, before: &Before) {
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
        let shard = self.shard(key);
        let _one_reads = shard.reading.lock().await;
        match self.fresh(key, source.sharing) {
            Some(near) => Ok(near.value),
            None => self.read(key, shard, source, read).await,
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

    /// Asks the store, and remembers what it says.
    async fn read(
        &self,
        key: &K,
        shard: &Shard,
        source: &Source,
        read: impl AsyncFnOnce() -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>> {
        let changes = *shard.changes.lock();
        let value = source.ask(read).await?.map(Arc::new);
        // Another replica may register what is unknown now, so only an exclusive store remembers that.
        if value.is_some() || source.sharing == Sharing::Exclusive {
            let now = shard.changes.lock();
            if *now == changes {
                self.entries.insert(key.clone(), Near { value: value.clone(), read_at: Instant::now() });
            }
        } else {
            self.entries.invalidate(key);
        }
        Ok(value)
    }
}

/// How the store is asked.
#[derive(Debug)]
struct Source {
    sharing: Sharing,
    breaker: Breaker,
    /// When a value could not be opened, and why: a key is missing here.
    locked: Mutex<Option<(Instant, StoreError)>>,
}

impl Source {
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

/// The near caches over the store, and the only way to change what they hold.
#[derive(Debug)]
pub struct Directory {
    corps: Arc<dyn Corps>,
    store: Arc<dyn Store>,
    source: Source,
    keys: NearCache<CorpId, CorpKeys>,
    proxies: NearCache<CorpId, Option<Secret>>,
    puppets: NearCache<OpenKfId, Puppet>,
    /// Held while an operator changes a declaration: what was read must not change before it is written.
    changing: tokio::sync::Mutex<()>,
}

impl Directory {
    /// `corps` are the declared ones, wherever they are declared.
    pub fn new(corps: Arc<dyn Corps>, store: Arc<dyn Store>, sharing: Sharing) -> Self {
        let source = Source { sharing, breaker: Breaker::new(ASK_AGAIN), locked: Mutex::default() };
        let (keys, proxies, puppets) = (NearCache::new(), NearCache::new(), NearCache::new());
        Self { corps, store, source, keys, proxies, puppets, changing: tokio::sync::Mutex::default() }
    }

    /// Whether other replicas work on the same store.
    pub fn is_shared(&self) -> bool {
        self.source.sharing == Sharing::Replicas
    }

    /// Why a value could not be opened lately.
    pub fn locked(&self) -> Option<StoreError> {
        let locked = self.source.locked.lock().clone();
        locked.filter(|(at, _)| at.elapsed() < TOLD_FOR).map(|(_, error)| error)
    }

    /// The keys of the corp: its declared credentials, or without any the pairs of its registrations.
    /// `None` when nobody declared it and no bot of it ever registered.
    pub async fn keys(&self, corp: &CorpId) -> Result<Option<Arc<CorpKeys>>> {
        let read = async || {
            let declared = self.corps.corp(corp).await?;
            if let Some(corp) = declared.as_ref().filter(|corp| !corp.credentials.is_empty()) {
                return Ok(Some(CorpKeys { credentials: corp.credentials.clone(), services: corp.services.clone() }));
            }
            let pairs = self.store.pairs_of(corp).await?;
            if declared.is_none() && pairs.is_empty() {
                return Ok(None);
            }
            let credentials = pairs.into_iter().map(|(token, aes_key)| CallbackCredential::new(token, aes_key));
            let services = declared.map(|corp| corp.services).unwrap_or_default();
            Ok(Some(CorpKeys { credentials: credentials.collect(), services }))
        };
        self.keys.get(corp, &self.source, read).await
    }

    /// The credentials of all corps, so many at most, as the store has them now: not for the hot path.
    pub async fn all_credentials(&self, limit: usize) -> Result<BTreeMap<CorpId, Vec<CallbackCredential>>> {
        const PAGE: usize = 1000;
        let declared = self.corps.corps().await?.into_iter().filter(|corp| !corp.credentials.is_empty());
        let mut all: BTreeMap<_, _> = declared.take(limit).map(|corp| (corp.id, corp.credentials)).collect();
        let is_declared: BTreeSet<CorpId> = all.keys().cloned().collect();
        let mut pages = PuppetPages::of(&*self.store, PAGE);
        while all.len() < limit
            && let Some(page) = pages.next().await?
        {
            for puppet in page.into_iter().filter(|puppet| !is_declared.contains(&puppet.corp_id)) {
                let credential = CallbackCredential::new(puppet.token, puppet.aes_key);
                let known: &mut Vec<_> = all.entry(puppet.corp_id).or_default();
                if !known.contains(&credential) {
                    known.push(credential);
                }
            }
        }
        Ok(all)
    }

    /// The proxy that the corp's calls to WeCom take, when it is declared with one. That there is none is
    /// kept near as well: each call asks.
    pub async fn wecom_proxy(&self, corp: &CorpId) -> Result<Option<Secret>> {
        let read = async || {
            let declared = self.corps.corp(corp).await?;
            Ok(Some(declared.and_then(|corp| corp.wecom_proxy)))
        };
        let proxy = self.proxies.get(corp, &self.source, read).await?;
        Ok(proxy.and_then(|proxy| (*proxy).clone()))
    }

    /// The registration of the account's kf id, online or not, under whatever corp.
    pub async fn puppet(&self, kf: &OpenKfId) -> Result<Option<Arc<Puppet>>> {
        self.puppets.get(kf, &self.source, async || self.store.puppet(kf).await).await
    }

    /// Reads all bots of a shared store, as they registered last, and the keys of corps that are not known here, so that
    /// callbacks for them are taken even if the store goes away before the next one. Returns the number of bots in the
    /// store. They count as read long ago: while the store answers, each is read again when it is needed.
    pub async fn acquaint(&self) -> Result<usize> {
        const PAGE: usize = 1_000;
        let mut corps: BTreeSet<CorpId> = self.corps.corps().await?.into_iter().map(|corp| corp.id).collect();
        let (mut pages, mut read) = (PuppetPages::of(&*self.store, PAGE), 0);
        while read < CAPACITY as usize {
            let before = self.puppets.before();
            let Some(page) = pages.next().await? else { break };
            read += page.len();
            for puppet in page {
                corps.insert(puppet.corp_id.clone());
                self.puppets.remember_old(puppet.kf_id.clone(), puppet, &before);
            }
        }
        for corp in corps.iter().filter(|corp| !self.keys.entries.contains_key(*corp)) {
            self.keys(corp).await?;
        }
        Ok(read)
    }

    /// The same as the store has it now, whatever was read before.
    pub async fn puppet_now(&self, kf: &OpenKfId) -> Result<Option<Arc<Puppet>>> {
        let shard = self.puppets.shard(kf);
        self.puppets.read(kf, shard, &self.source, async || self.store.puppet(kf).await).await
    }

    /// The bot that serves the account: registered under its corp, and online.
    pub async fn bot(&self, account: &Account) -> Result<Option<Arc<Puppet>>> {
        let puppet = self.puppet(&account.kf).await?;
        Ok(puppet.filter(|puppet| puppet.online && puppet.corp_id == account.corp))
    }

    /// Every online bot of the corp.
    pub async fn online_bots(&self, corp: &CorpId) -> Result<Vec<Puppet>> {
        let mut puppets = self.store.puppets_of(corp).await?;
        puppets.retain(|puppet| puppet.online);
        Ok(puppets)
    }

    /// Every online bot that is marked away.
    pub async fn away_puppets(&self) -> Result<Vec<Puppet>> {
        self.store.away_puppets().await
    }

    pub async fn put_puppet(&self, puppet: &Puppet) -> Result<()> {
        let before = self.puppet(&puppet.kf_id).await.ok().flatten();
        self.store.put_puppet(puppet).await?;
        self.puppets.changed(&puppet.kf_id);
        // Bots restart often and bring the same pair: then the corp's keys are what they were.
        let same = |before: &Puppet| before.corp_id == puppet.corp_id && before.pair_id() == puppet.pair_id();
        if !before.as_deref().is_some_and(same) {
            self.keys.changed(&puppet.corp_id);
            if let Some(before) = before {
                self.keys.changed(&before.corp_id);
            }
        }
        Ok(())
    }

    pub async fn set_offline(&self, kf: &OpenKfId, at: Timestamp) -> Result<bool> {
        let found = self.store.set_offline(kf, at).await?;
        self.puppets.changed(kf);
        Ok(found)
    }

    pub async fn set_away(&self, puppet: &Puppet, since: Option<Timestamp>) -> Result<bool> {
        let noted = self.store.set_away(&puppet.kf_id, puppet.registered_at, since).await?;
        self.puppets.changed(&puppet.kf_id);
        Ok(noted)
    }

    pub async fn delete_puppet(&self, kf: &OpenKfId) -> Result<bool> {
        let before = self.puppet(kf).await.ok().flatten();
        let found = self.store.delete_puppet(kf).await?;
        self.puppets.changed(kf);
        if let Some(before) = before {
            self.keys.changed(&before.corp_id);
        }
        Ok(found)
    }

    /// To be held from reading a declaration to writing it back. Changes at other replicas are not kept
    /// off: of two in the same moment the later one stands.
    pub async fn one_change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    pub async fn put_corp(&self, corp: &Corp) -> Result<()> {
        self.corps.put_corp(corp).await?;
        self.keys.changed(&corp.id);
        self.proxies.changed(&corp.id);
        Ok(())
    }

    pub async fn delete_corp(&self, id: &CorpId) -> Result<bool> {
        let found = self.corps.delete_corp(id).await?;
        self.keys.changed(id);
        self.proxies.changed(id);
        Ok(found)
    }

    /// Declarations changed behind the store's back (`CORPS_FILE`): all are read again.
    pub fn corps_changed(&self) {
        self.keys.all_changed();
        self.proxies.all_changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_ahead_replaces_what_was_read_before_and_nothing_later() {
        let near: NearCache<&str, u8> = NearCache::new();
        let known = || near.entries.get("bot").and_then(|near| near.value).map(|value| *value);
        near.remember_old("bot", 1, &near.before());
        assert_eq!(known(), Some(1));
        let earlier = near.before();
        near.remember_old("bot", 2, &near.before());
        assert_eq!(known(), Some(2), "it registered again, at another replica");

        near.entries.insert("bot", Near { value: Some(Arc::new(3)), read_at: Instant::now() });
        near.remember_old("bot", 1, &earlier);
        assert_eq!(known(), Some(3), "it was read since");
        let before = near.before();
        near.changed(&"bot");
        near.remember_old("bot", 1, &before);
        assert_eq!(known(), None, "it was changed since");
    }
}

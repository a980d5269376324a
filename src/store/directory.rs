//! What the hot path asks of the store, kept near: which keys open a corp's callbacks, which bot
//! serves an account. Bounded, written through, and looked up before anything unknown is answered.
//!
//! Entries of a store that only this process writes never grow old; those of a shared store are read
//! again after [`SHARED_FRESHNESS`], and serve on while the store is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moka::sync::Cache;
use parking_lot::RwLock;

use super::{Corps, Result, Store};
use crate::domain::{Account, CallbackCredential, Corp, CorpId, OpenKfId, Puppet};

/// How long another replica's change may go unseen.
pub const SHARED_FRESHNESS: Duration = Duration::from_secs(5);
/// Entries kept of each kind; some 300 bytes each.
const CAPACITY: u64 = 200_000;

/// The credentials that may open a corp's callbacks.
#[derive(Debug, PartialEq, Eq)]
pub struct CorpKeys {
    /// Tried in this order.
    pub credentials: Vec<CallbackCredential>,
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

/// The near caches over the store, and the only way to change what they hold.
#[derive(Debug)]
pub struct Directory {
    corps: Arc<dyn Corps>,
    store: Arc<dyn Store>,
    sharing: Sharing,
    keys: Cache<CorpId, Near<CorpKeys>>,
    puppets: Cache<OpenKfId, Near<Puppet>>,
    /// Counts changes: a read that began before a change must not fill a cache after it.
    changes: AtomicU64,
    filling: RwLock<()>,
}

impl Directory {
    /// `corps` are the declared ones, wherever they are declared.
    pub fn new(corps: Arc<dyn Corps>, store: Arc<dyn Store>, sharing: Sharing) -> Self {
        Self {
            corps,
            store,
            sharing,
            keys: Cache::new(CAPACITY),
            puppets: Cache::new(CAPACITY),
            changes: AtomicU64::new(0),
            filling: RwLock::new(()),
        }
    }

    /// The keys of the corp: its declared credentials, or without any the pairs of its registrations.
    /// `None` when nobody declared it and no bot of it ever registered.
    pub async fn keys(&self, corp: &CorpId) -> Result<Option<Arc<CorpKeys>>> {
        self.near(&self.keys, corp, async || {
            let declared = self.corps.corp(corp).await?;
            if let Some(corp) = declared.as_ref().filter(|corp| !corp.credentials.is_empty()) {
                return Ok(Some(CorpKeys { credentials: corp.credentials.clone() }));
            }
            let pairs = self.store.pairs_of(corp).await?;
            if declared.is_none() && pairs.is_empty() {
                return Ok(None);
            }
            let credentials = pairs.into_iter().map(|(token, aes_key)| CallbackCredential::new(token, aes_key));
            Ok(Some(CorpKeys { credentials: credentials.collect() }))
        })
        .await
    }

    /// The registration of the account's kf id, online or not, under whatever corp.
    pub async fn puppet(&self, kf: &OpenKfId) -> Result<Option<Arc<Puppet>>> {
        self.near(&self.puppets, kf, async || self.store.puppet(kf).await).await
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
        self.changed(|| {
            self.puppets.invalidate(&puppet.kf_id);
            self.keys.invalidate(&puppet.corp_id);
            if let Some(before) = before {
                self.keys.invalidate(&before.corp_id);
            }
        });
        Ok(())
    }

    pub async fn set_offline(&self, kf: &OpenKfId, at: Timestamp) -> Result<bool> {
        let found = self.store.set_offline(kf, at).await?;
        self.changed(|| self.puppets.invalidate(kf));
        Ok(found)
    }

    pub async fn set_away(&self, puppet: &Puppet, since: Option<Timestamp>) -> Result<bool> {
        let noted = self.store.set_away(&puppet.kf_id, puppet.registered_at, since).await?;
        self.changed(|| self.puppets.invalidate(&puppet.kf_id));
        Ok(noted)
    }

    pub async fn delete_puppet(&self, kf: &OpenKfId) -> Result<bool> {
        let before = self.puppet(kf).await.ok().flatten();
        let found = self.store.delete_puppet(kf).await?;
        self.changed(|| {
            self.puppets.invalidate(kf);
            if let Some(before) = before {
                self.keys.invalidate(&before.corp_id);
            }
        });
        Ok(found)
    }

    pub async fn put_corp(&self, corp: &Corp) -> Result<()> {
        self.corps.put_corp(corp).await?;
        self.changed(|| self.keys.invalidate(&corp.id));
        Ok(())
    }

    pub async fn delete_corp(&self, id: &CorpId) -> Result<bool> {
        let found = self.corps.delete_corp(id).await?;
        self.changed(|| self.keys.invalidate(id));
        Ok(found)
    }

    /// Declarations changed behind the store's back (`CORPS_FILE`): all keys are read again.
    pub fn corps_changed(&self) {
        self.changed(|| self.keys.invalidate_all());
    }

    fn changed(&self, invalidate: impl FnOnce()) {
        let _nobody_fills = self.filling.write();
        self.changes.fetch_add(1, Ordering::Release);
        invalidate();
    }

    async fn near<K, T>(
        &self,
        cache: &Cache<K, Near<T>>,
        key: &K,
        read: impl AsyncFnOnce() -> Result<Option<T>>,
    ) -> Result<Option<Arc<T>>>
    where
        K: Clone + Eq + std::hash::Hash + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let near = cache.get(key);
        if let Some(near) = &near
            && (self.sharing == Sharing::Exclusive || near.read_at.elapsed() < SHARED_FRESHNESS)
        {
            return Ok(near.value.clone());
        }
        let changes = self.changes.load(Ordering::Acquire);
        let value = match read().await {
            Ok(value) => value.map(Arc::new),
            Err(error) => return near.map(|near| near.value).ok_or(error),
        };
        // Another replica may register what is unknown now, so only an exclusive store remembers that.
        if value.is_some() || self.sharing == Sharing::Exclusive {
            let _no_change = self.filling.read();
            if self.changes.load(Ordering::Acquire) == changes {
                cache.insert(key.clone(), Near { value: value.clone(), read_at: Instant::now() });
            }
        }
        Ok(value)
    }
}

//! Tokens in this process, written through to the store so that a restart goes on with them.
//!
//! The write happens behind the answer: a crash in between costs one upstream call, while waiting
//! for it would let a slow store hold tokens back.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use moka::future::Cache;
use parking_lot::RwLock;
use tracing::warn;

use super::cache::TokenCache;
use crate::domain::{AppKey, Clock, CorpId, Fingerprint, Secret};
use crate::lifecycle::Tasks;
use crate::store::{self, StoredToken, Tokens};

/// Only apps that obtained a token are kept, so this bounds memory, not use.
const APPS: u64 = 100_000;
/// Two or three tokens an app within two hours, for as many apps as one process will see.
const HASHES: u64 = 50_000;
/// How long the store may take to answer a look-up.
const STORE_LIMIT: Duration = Duration::from_millis(500);
/// How long a superseded token is still known.
const KNOWN_FOR: Duration = Duration::from_secs(2 * 3600);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Owned {
    app: AppKey,
    until: Timestamp,
}

/// The in-process cache over the store's [`Tokens`].
pub struct MemoryCache {
    tokens: Cache<AppKey, Arc<StoredToken>>,
    owners: Cache<Fingerprint, Owned>,
    corps: RwLock<HashSet<CorpId>>,
    store: Arc<dyn Tokens>,
    tasks: Tasks,
    clock: Clock,
}

impl MemoryCache {
    pub fn new(store: Arc<dyn Tokens>, tasks: Tasks, clock: Clock) -> Self {
        let (tokens, owners) = (Cache::new(APPS), Cache::new(HASHES));
        Self { tokens, owners, corps: RwLock::default(), store, tasks, clock }
    }

    /// Takes the token in, unless one fetched later is there; returns the one that stands.
    async fn admit(&self, token: StoredToken) -> Arc<StoredToken> {
        let token = Arc::new(token);
        let entry = self.tokens.entry_by_ref(&token.app).and_upsert_with(|there| {
            let there = there.map(moka::Entry::into_value);
            let stands = there.filter(|there| there.fetched_at > token.fetched_at).unwrap_or_else(|| token.clone());
            std::future::ready(stands)
        });
        let stands = entry.await.into_value();
        let until = token.expires_at.checked_add(KNOWN_FOR).unwrap_or(Timestamp::MAX);
        self.owners.insert(token.access_token.fingerprint(), Owned { app: token.app.clone(), until }).await;
        if !self.corps.read().contains(&token.app.corp_id) {
            self.corps.write().insert(token.app.corp_id.clone());
        }
        stands
    }

    /// From now on the token is known for two hours, not for its whole life and two hours.
    async fn supersede(&self, old: &StoredToken, by: &StoredToken) {
        if old.access_token != by.access_token {
            let until = self.clock.now().checked_add(KNOWN_FOR).unwrap_or(Timestamp::MAX);
            self.owners.insert(old.access_token.fingerprint(), Owned { app: old.app.clone(), until }).await;
        }
    }

    /// Writes the token to the store, however long that takes, while it is the app's latest.
    fn persist(&self, token: Arc<StoredToken>) {
        let (store, tokens, tasks) = (self.store.clone(), self.tokens.clone(), self.tasks.clone());
        self.tasks.spawn(async move {
            let mut pause = FIRST_PAUSE;
            while let Err(error) = store.put_token(&token).await {
                warn!(corp.id = %token.app.corp_id, app.secret = %token.app.secret, %error,
                    "an access token was not saved; a restart would fetch it anew");
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    () = tasks.stopping() => return,
                }
                if tokens.get(&token.app).await.is_some_and(|latest| !Arc::ptr_eq(&latest, &token)) {
                    return;
                }
            }
        });
    }
}

#[async_trait]
impl TokenCache for MemoryCache {
    async fn get(&self, app: &AppKey) -> Option<Arc<StoredToken>> {
        self.tokens.get(app).await
    }

    async fn recall(&self, app: &AppKey) -> Option<Arc<StoredToken>> {
        if let Some(token) = self.tokens.get(app).await {
            return Some(token);
        }
        match tokio::time::timeout(STORE_LIMIT, self.store.token(app)).await {
            Ok(Ok(Some(token))) => Some(self.admit(token).await),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => {
                warn!(corp.id = %app.corp_id, %error, "the store was asked for an access token in vain");
                None
            }
            Err(_) => {
                warn!(corp.id = %app.corp_id, "the store is slow; an access token is fetched without it");
                None
            }
        }
    }

    async fn put(&self, token: StoredToken) -> Arc<StoredToken> {
        let old = self.tokens.get(&token.app).await;
        let fetched_at = token.fetched_at;
        let stands = self.admit(token).await;
        if stands.fetched_at == fetched_at {
            if let Some(old) = old {
                self.supersede(&old, &stands).await;
            }
            self.persist(stands.clone());
        }
        stands
    }

    async fn owner(&self, access_token: &Secret) -> Option<AppKey> {
        let owned = self.owners.get(&access_token.fingerprint()).await?;
        (owned.until > self.clock.now()).then_some(owned.app)
    }

    fn corp_obtained(&self, corp: &CorpId) -> bool {
        self.corps.read().contains(corp)
    }

    fn all(&self) -> Vec<Arc<StoredToken>> {
        self.tokens.iter().map(|(_, token)| token).collect()
    }

    async fn load(&self) -> store::Result<()> {
        for token in self.store.tokens().await? {
            self.admit(token).await;
        }
        Ok(())
    }
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache").field("tokens", &self.tokens.entry_count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testkit::MapStore;
    use super::*;
    use crate::wecom::fake::app;

    fn token(text: &str, fetched: i64) -> StoredToken {
        let at = |second| Timestamp::from_second(second).unwrap();
        StoredToken {
            app: app("ww1", "s").key(),
            access_token: Secret::new(text),
            fetched_at: at(fetched),
            expires_at: at(fetched + 7200),
            renewed_to_same: false,
        }
    }

    fn cache(store: &Arc<MapStore>) -> MemoryCache {
        MemoryCache::new(store.clone(), Tasks::new(), Clock::default())
    }

    #[tokio::test]
    async fn a_late_writer_does_not_displace_a_token_fetched_later() {
        let cache = cache(&Arc::default());
        cache.put(token("later", 200)).await;
        let stands = cache.put(token("earlier", 100)).await;
        assert_eq!(stands.access_token, Secret::new("later"));
        assert_eq!(cache.get(&stands.app).await.unwrap().access_token, Secret::new("later"));
    }

    #[tokio::test]
    async fn the_store_is_asked_only_for_what_this_process_does_not_know() {
        let store = Arc::new(MapStore::default());
        let (app, saved) = (app("ww1", "s").key(), token("saved", 100));
        store.rows.lock().insert(app.clone(), saved);
        let cache = cache(&store);
        assert!(cache.get(&app).await.is_none() && !cache.corp_obtained(&app.corp_id));
        assert_eq!(cache.recall(&app).await.unwrap().access_token, Secret::new("saved"));
        assert!(cache.corp_obtained(&app.corp_id), "even with an expired token");
        store.go_away();
        assert!(cache.recall(&app).await.is_some() && cache.get(&app).await.is_some());
    }
}

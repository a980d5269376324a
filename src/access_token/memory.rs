//! Tokens in this process, written through to the store so that a restart goes on with them.
//!
//! The write happens behind the answer: a crash in between costs one upstream call, while waiting
//! for it would let a slow store hold tokens back.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tracing::warn;

use super::agreement::{Agreement, LocalAgreement};
use super::cache::TokenCache;
use super::near::Near;
use crate::domain::{AppKey, Clock, CorpId, Secret};
use crate::lifecycle::Tasks;
use crate::store::{self, StoredToken, Tokens};

/// How long the store may take to answer a look-up.
const STORE_LIMIT: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The in-process cache over the store's [`Tokens`]. Replicas that share a store, and nothing else,
/// find each other's tokens there before they ask for one.
#[derive(Debug)]
pub struct MemoryCache {
    near: Arc<Near>,
    agreement: LocalAgreement,
    store: Arc<dyn Tokens>,
    tasks: Tasks,
}

impl MemoryCache {
    pub fn new(store: Arc<dyn Tokens>, tasks: Tasks, clock: Clock) -> Self {
        Self { near: Arc::new(Near::new(clock.clone())), agreement: LocalAgreement::new(clock), store, tasks }
    }

    /// Writes the token to the store, however long that takes, while it is the app's latest.
    fn persist(&self, token: Arc<StoredToken>) {
        let (store, near, tasks) = (self.store.clone(), self.near.clone(), self.tasks.clone());
        self.tasks.spawn(async move {
            let mut pause = FIRST_PAUSE;
            while let Err(error) = store.put_token(&token).await {
                warn!(corp.id = %token.app.corp_id, app.secret = %token.app.secret, %error,
                    "an access token was not saved; a restart would fetch it anew");
                if !tasks.pause(pause).await {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                if near.token(&token.app).is_some_and(|latest| latest.fetched_at != token.fetched_at) {
                    return;
                }
            }
        });
    }
}

#[async_trait]
impl TokenCache for MemoryCache {
    async fn get(&self, app: &AppKey) -> Option<Arc<StoredToken>> {
        self.near.token(app)
    }

    async fn recall(&self, app: &AppKey) -> Option<Arc<StoredToken>> {
        match tokio::time::timeout(STORE_LIMIT, self.store.token(app)).await {
            Ok(Ok(Some(token))) => return Some(self.near.admit(token)),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                warn!(corp.id = %app.corp_id, %error, "the store was asked for an access token in vain");
            }
            Err(_) => warn!(corp.id = %app.corp_id, "the store is slow; an access token is fetched without it"),
        }
        self.near.token(app)
    }

    fn known(&self, app: &AppKey) -> Option<Arc<StoredToken>> {
        self.near.token(app)
    }

    async fn put(&self, token: StoredToken) -> Arc<StoredToken> {
        let fetched_at = token.fetched_at;
        let stands = self.near.admit(token);
        if stands.fetched_at == fetched_at {
            self.persist(stands.clone());
        }
        stands
    }

    async fn owner(&self, access_token: &Secret) -> Option<AppKey> {
        self.near.owner(access_token)
    }

    async fn corp_obtained(&self, corp: &CorpId) -> bool {
        self.near.has_obtained(corp)
    }

    async fn all(&self) -> Vec<Arc<StoredToken>> {
        self.near.all()
    }

    async fn load(&self) -> store::Result<()> {
        for token in self.store.tokens().await? {
            self.near.admit(token);
        }
        Ok(())
    }

    fn agreement(&self) -> &dyn Agreement {
        &self.agreement
    }

    async fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testkit::{MapStore, token};
    use super::*;
    use crate::wecom::fake::app;

    fn cache(store: &Arc<MapStore>) -> MemoryCache {
        MemoryCache::new(store.clone(), Tasks::new(), Clock::default())
    }

    #[tokio::test]
    async fn the_store_is_asked_for_what_this_process_does_not_know() {
        let store = Arc::new(MapStore::default());
        let (app, saved) = (app("ww1", "s").key(), token("saved", 100));
        store.rows.lock().insert(app.clone(), saved);
        let cache = cache(&store);
        assert!(cache.get(&app).await.is_none() && !cache.corp_obtained(&app.corp_id).await);
        assert_eq!(cache.recall(&app).await.unwrap().access_token, Secret::new("saved"));
        assert!(cache.corp_obtained(&app.corp_id).await, "even with an expired token");
        store.go_away();
        assert!(cache.recall(&app).await.is_some() && cache.get(&app).await.is_some());
    }

    #[tokio::test]
    async fn a_token_that_another_replica_stored_is_found_before_one_is_fetched() {
        let store = Arc::new(MapStore::default());
        let (one, other) = (cache(&store), cache(&store));
        let app = one.put(token("first", 100)).await.app.clone();
        store.saved(&app, "first").await;
        assert_eq!(other.recall(&app).await.unwrap().access_token, Secret::new("first"));
        other.put(token("second", 200)).await;
        store.saved(&app, "second").await;
        assert_eq!(one.get(&app).await.unwrap().access_token, Secret::new("first"));
        assert_eq!(one.recall(&app).await.unwrap().access_token, Secret::new("second"));
    }
}

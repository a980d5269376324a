//! Tokens in Redis, shared by all replicas; near entries in this process answer for five seconds,
//! and for their whole life while Redis is away.
//!
//! The one decision a reader would question: nothing waits for a Redis that is away. Every replica then
//! fetches on its own, one call each, and writes its token when Redis is back; the fence lets the
//! later one stand, and all others take it over.

mod agreement;
mod budget;
mod failures;
mod inner;
mod keys;
mod link;
mod row;
mod scripts;
mod server;
mod unreadable;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::inner::Inner;
use self::link::Link;
use self::server::Server;
use super::agreement::Agreement;
use super::cache::TokenCache;
use crate::domain::{AppKey, Clock, CorpId, Invalid, Secret};
use crate::lifecycle::Tasks;
use crate::store::sealed::MasterKeys;
use crate::store::{self, StoredToken};

/// What a check writes outlives the longest pause between two of them.
const CHECK: Duration = Duration::from_secs(60);

/// The cache that replicas share.
#[derive(Debug)]
pub struct RedisCache(Arc<Inner>);

impl RedisCache {
    /// The cache at this `REDIS_URL`, in which tokens are sealed with the first of the keys. Connects
    /// when it is first asked.
    pub fn new(url: &Secret, keys: MasterKeys, tasks: Tasks, clock: Clock) -> Result<Self, Invalid> {
        let link = Arc::new(Link::new(Server::parse(url)?, tasks.clone()));
        Ok(Self(Arc::new(Inner::new(link, keys, tasks, clock))))
    }
}

#[async_trait]
impl TokenCache for RedisCache {
    async fn get(&self, app: &AppKey) -> Option<Arc<StoredToken>> {
        match self.0.near.entry(app) {
            Some(entry) if entry.is_fresh(self.0.clock.now()) => Some(entry.token),
            _ => self.0.read_once(app).await,
        }
    }

    async fn recall(&self, app: &AppKey) -> Option<Arc<StoredToken>> {
        self.0.read(app).await
    }

    fn known(&self, app: &AppKey) -> Option<Arc<StoredToken>> {
        self.0.near.token(app)
    }

    async fn put(&self, token: StoredToken) -> Arc<StoredToken> {
        let (old, fetched_at) = (self.0.near.token(&token.app), token.fetched_at);
        let stands = self.0.near.admit(token);
        if stands.fetched_at != fetched_at {
            return stands;
        }
        match self.0.write(stands.clone(), old.as_deref()).await {
            Ok(stands) => stands,
            Err(_) => {
                self.0.save(&stands.app);
                stands
            }
        }
    }

    async fn owner(&self, access_token: &Secret) -> Option<AppKey> {
        match self.0.near.owner(access_token) {
            Some(app) => Some(app),
            None => self.0.owner(access_token).await,
        }
    }

    async fn corp_obtained(&self, corp: &CorpId) -> bool {
        if self.0.near.has_obtained(corp) {
            return true;
        }
        let asked = self.0.link.run::<(bool,)>(redis::pipe().exists(keys::obtained(corp))).await;
        let obtained = asked.is_ok_and(|(obtained,)| obtained);
        if obtained {
            self.0.near.obtained(corp);
        }
        obtained
    }

    async fn all(&self) -> Vec<Arc<StoredToken>> {
        self.0.all().await.unwrap_or_else(|_| self.0.near.all())
    }

    /// Redis outlives the process: each token is read when it is asked for. Here those of later keys are
    /// sealed anew; one that cannot be now, is when the app's next token is fetched.
    async fn load(&self) -> store::Result<()> {
        let _ = self.0.reseal().await;
        Ok(())
    }

    fn agreement(&self) -> &dyn Agreement {
        &self.0.agreement
    }

    /// Writes, because a Redis that is full or a replica only reads well.
    async fn check(&self) -> Result<(), String> {
        let written = self.0.link.run::<()>(redis::pipe().pset_ex(keys::CHECK, 1, keys::millis(CHECK))).await;
        written.map_err(|away| away.to_string())?;
        self.0.unreadable.lately(self.0.clock.now()).map_or(Ok(()), Err)
    }
}

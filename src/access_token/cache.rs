//! Where tokens are kept, as a trait: the seam for a cache that several replicas share.
//!
//! Look-ups never fail: a cache that cannot answer has no token, which costs one upstream call and
//! never keeps a caller waiting for longer than the cache's own limit.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::agreement::Agreement;
use crate::domain::{AppKey, CorpId, Secret};
use crate::store::{self, StoredToken};

#[async_trait]
pub trait TokenCache: Send + Sync + fmt::Debug {
    /// The app's latest token, expired or not. Another replica's later one may go unseen: for five
    /// seconds where the cache is shared, else until [`TokenCache::recall`].
    async fn get(&self, app: &AppKey) -> Option<Arc<StoredToken>>;

    /// As [`TokenCache::get`], but asks whoever keeps tokens beyond this process now. `None`: the app
    /// never obtained a token, as far as anybody can say.
    async fn recall(&self, app: &AppKey) -> Option<Arc<StoredToken>>;

    /// The app's latest token that this process knows, without asking anybody.
    fn known(&self, app: &AppKey) -> Option<Arc<StoredToken>>;

    /// Keeps the token, unless one that was fetched later is there; returns the one that stands. It
    /// is kept in this process at once and beyond it as soon as that can be.
    async fn put(&self, token: StoredToken) -> Arc<StoredToken>;

    /// Whose access token this is, or was until two hours ago at most.
    async fn owner(&self, access_token: &Secret) -> Option<AppKey>;

    /// Whether any app of the corp ever obtained a token.
    async fn corp_obtained(&self, corp: &CorpId) -> bool;

    /// All apps' latest tokens, expired ones too, in no order.
    async fn all(&self) -> Vec<Arc<StoredToken>>;

    /// Gets to know what outlived the last process.
    async fn load(&self) -> store::Result<()>;

    /// What those who share the cache must agree on beside the tokens.
    fn agreement(&self) -> &dyn Agreement;

    /// Whether the cache is all that it should be; otherwise what is wrong, in words for an operator.
    async fn check(&self) -> Result<(), String>;
}

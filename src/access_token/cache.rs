//! Where tokens are kept, as a trait: the seam for a cache that several replicas share.
//!
//! Look-ups never fail: a cache that cannot answer has no token, which costs one upstream call and
//! never keeps a caller waiting for longer than the cache's own limit.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{AppKey, CorpId, Secret};
use crate::store::{self, StoredToken};

#[async_trait]
pub trait TokenCache: Send + Sync + fmt::Debug {
    /// The app's token as this process knows it, expired or not, without waiting for anybody.
    async fn get(&self, app: &AppKey) -> Option<Arc<StoredToken>>;

    /// As [`TokenCache::get`], but asks also whoever keeps tokens beyond this process. `None`: the
    /// app never obtained a token, as far as anybody can say now.
    async fn recall(&self, app: &AppKey) -> Option<Arc<StoredToken>>;

    /// Keeps the token, unless one that was fetched later is there; returns the one that stands.
    async fn put(&self, token: StoredToken) -> Arc<StoredToken>;

    /// Whose access token this is, or was until two hours ago at most.
    async fn owner(&self, access_token: &Secret) -> Option<AppKey>;

    /// Whether any app of the corp ever obtained a token.
    fn corp_obtained(&self, corp: &CorpId) -> bool;

    /// The tokens that this process knows, expired ones too, in no order.
    fn all(&self) -> Vec<Arc<StoredToken>>;

    /// Gets to know what outlived the last process.
    async fn load(&self) -> store::Result<()>;
}

//! Which corps the gateway knows: asked only before a secret that never obtained a token goes to WeCom.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Standing;
use super::cache::TokenCache;
use crate::domain::{App, AppKey, CorpId};
use crate::store::{self, Corps, Puppets};

const STORE_LIMIT: Duration = Duration::from_millis(500);

/// The declared corps and the registered bots.
#[derive(Clone)]
pub(super) struct Directory {
    pub(super) corps: Arc<dyn Corps>,
    pub(super) puppets: Arc<dyn Puppets>,
}

impl Directory {
    /// A corp is known by its credentials, a registration, or a token it obtained. While the store
    /// cannot say, it is unknown: that budget still lets a hundred through.
    pub(super) async fn standing(&self, corp: &CorpId, cache: &dyn TokenCache) -> Standing {
        if cache.corp_obtained(corp).await {
            return Standing::Known;
        }
        match tokio::time::timeout(STORE_LIMIT, self.look_up(corp)).await {
            Ok(Ok(standing)) => standing,
            Ok(Err(_)) | Err(_) => Standing::Unknown,
        }
    }

    async fn look_up(&self, corp: &CorpId) -> store::Result<Standing> {
        let declared = self.corps.corp(corp).await?.is_some_and(|corp| !corp.credentials.is_empty());
        if declared || !self.puppets.puppets_of(corp).await?.is_empty() {
            return Ok(Standing::Known);
        }
        Ok(Standing::Unknown)
    }

    /// The app whose registration shows the secret that the key stands for.
    pub(super) async fn registered_app(&self, key: &AppKey) -> Option<App> {
        let puppets = tokio::time::timeout(STORE_LIMIT, self.puppets.puppets_of(&key.corp_id)).await.ok()?.ok()?;
        puppets.iter().map(crate::domain::Puppet::app).find(|app| app.key() == *key)
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Directory")
    }
}

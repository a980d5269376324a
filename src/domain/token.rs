//! Which access token is meant: WeCom grants one per app, not per corp.

use super::{CorpId, Fingerprint, Secret};

/// An app of a corp, named by the secret that obtains its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub corp_id: CorpId,
    pub secret: Secret,
}

impl App {
    pub fn key(&self) -> AppKey {
        AppKey { corp_id: self.corp_id.clone(), secret: self.secret.fingerprint() }
    }
}

/// The key of an app in caches, stores and the admin API: the secret's fingerprint stands for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppKey {
    pub corp_id: CorpId,
    pub secret: Fingerprint,
}

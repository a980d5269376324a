//! What operators see and do: which tokens there are and how they fare, and a renewal at once.

use std::collections::HashSet;

use jiff::Timestamp;

use super::error::TokenError;
use super::ledger::Counts;
use super::source::Purpose;
use super::{AccessTokens, life};
use crate::domain::{App, AppKey, Fingerprint};
use crate::store::StoredToken;

/// An app's token as operators see it: never the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Names the token in the admin API.
    pub id: Fingerprint,
    pub app: AppKey,
    /// `None`: the app was refused and never obtained one.
    pub fetched_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// Grants that replaced an earlier one, since the start of the process.
    pub renewals: u64,
    /// Calls since the start of the process, without those before the first grant.
    pub upstream_calls: u64,
    pub last_error: Option<String>,
}

impl AccessTokens {
    /// The tokens that live, those that cannot be renewed, and the apps that are refused now; by app.
    pub async fn list(&self) -> Vec<TokenInfo> {
        let (source, now) = (&self.inner.source, self.now());
        let cached = source.cache.all().await;
        let known: HashSet<&AppKey> = cached.iter().map(|token| &token.app).collect();
        let failures = source.agreement().failures().into_iter();
        let refused = failures.filter(|(key, last)| now < last.until && !known.contains(key));
        let mut tokens: Vec<TokenInfo> = refused.map(|(key, last)| TokenInfo::refused(key, &last.error)).collect();
        for token in &cached {
            let counts = source.ledger.get(&token.app).map(|record| record.counts()).unwrap_or_default();
            if life::is_live(token, now) || counts.last_error.is_some() {
                tokens.push(TokenInfo::cached(token, counts));
            }
        }
        tokens.sort_unstable_by(|one, other| one.app.cmp(&other.app));
        tokens
    }

    /// Asks anew whatever was refused before. Within a minute of a forced renewal that succeeded,
    /// nobody is asked.
    pub async fn renew_by_operator(&self, key: &AppKey) -> Result<(), TokenError> {
        let app = self.app_of(key).await;
        self.inner.source.agreement().forget(key).await;
        let app = app.ok_or(TokenError::SecretUnknown)?;
        match self.force(&app, key, Purpose::Operator).await {
            Some(Err(error)) => {
                self.inner.source.agreement().forget_forced(key).await;
                Err(error)
            }
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// The app that the key stands for: known from its callers, from whoever obtained its token, or from a registration.
    pub async fn app_of(&self, key: &AppKey) -> Option<App> {
        let source = &self.inner.source;
        if let Some(app) = source.ledger.app_of(key) {
            return Some(app);
        }
        let secret = source.cache.recall(key).await.and_then(|token| token.corp_secret.clone());
        match secret.map(|secret| App { corp_id: key.corp_id.clone(), secret }).filter(|app| app.key() == *key) {
            Some(app) => Some(app),
            None => source.directory.registered_app(key).await,
        }
    }
}

impl TokenInfo {
    fn cached(token: &StoredToken, counts: Counts) -> Self {
        Self {
            id: id(&token.app),
            app: token.app.clone(),
            fetched_at: Some(token.fetched_at),
            expires_at: Some(token.expires_at),
            renewals: counts.renewals,
            upstream_calls: counts.upstream_calls,
            last_error: counts.last_error,
        }
    }

    fn refused(app: AppKey, error: &TokenError) -> Self {
        let last_error = Some(error.explained());
        Self { id: id(&app), app, fetched_at: None, expires_at: None, renewals: 0, upstream_calls: 0, last_error }
    }
}

fn id(app: &AppKey) -> Fingerprint {
    Fingerprint::of(&[app.corp_id.as_str().as_bytes(), app.secret.as_str().as_bytes()])
}

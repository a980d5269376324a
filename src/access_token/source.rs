//! One flight: looks again, asks upstream if that is allowed, keeps what comes of it.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use metrics::{counter, histogram};
use tracing::{info, warn};

use super::budget::{Budget, Place};
use super::cache::TokenCache;
use super::error::TokenError;
use super::flights::Outcome;
use super::known::Directory;
use super::ledger::{Ledger, Replaced};
use super::life;
use super::refusal::Refusals;
use crate::domain::{App, AppKey, Clock, Secret};
use crate::store::StoredToken;
use crate::wecom::{Class, WecomClient};

/// What a flight is for; it asks upstream only while that is still wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A caller needs a token, any live one.
    Lease,
    /// The token fetched then will expire soon.
    Ahead(Timestamp),
    /// A caller saw this token fail.
    Rejected(Secret),
    /// An operator wishes it.
    Operator,
}

impl Purpose {
    fn is_met_by(&self, token: &StoredToken, now: Timestamp) -> bool {
        let live = life::is_live(token, now);
        match self {
            Self::Lease => live,
            Self::Ahead(fetched_at) => live && token.fetched_at != *fetched_at,
            Self::Rejected(rejected) => live && token.access_token != *rejected,
            Self::Operator => false,
        }
    }

    /// The token that a forced renewal tells upstream is no good.
    fn invalid_token<'a>(&'a self, cached: Option<&'a StoredToken>) -> Option<&'a Secret> {
        match self {
            Self::Lease | Self::Ahead(_) => None,
            Self::Rejected(rejected) => Some(rejected),
            Self::Operator => cached.map(|token| &token.access_token),
        }
    }
}

/// Everything a flight needs.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) wecom: WecomClient,
    pub(super) cache: Arc<dyn TokenCache>,
    pub(super) refusals: Refusals,
    pub(super) budget: Budget,
    pub(super) directory: Directory,
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
}

impl Source {
    pub(super) async fn obtain(&self, app: &App, key: &AppKey, purpose: &Purpose) -> Outcome {
        let cached = self.cache.recall(key).await;
        if let Some(token) = cached.as_ref().filter(|token| purpose.is_met_by(token, self.clock.now())) {
            return Ok(token.clone());
        }
        if let Some(error) = self.refusals.remembered(key, self.clock.now()).await {
            return Err(error);
        }
        // A pair that was good once is always asked, and costs the others nothing.
        let place = match &cached {
            Some(_) => None,
            None => Some(self.place(app).await?),
        };
        self.ask(app, key, purpose, cached.as_deref(), place).await
    }

    async fn place(&self, app: &App) -> Result<Place<'_>, TokenError> {
        let standing = self.directory.standing(&app.corp_id, &*self.cache).await;
        let place = self.budget.take(&app.corp_id, standing, self.clock.now()).await;
        place.ok_or_else(|| {
            counter!("wxkf_access_token_refresh_total", "result" => TokenError::BudgetSpent.label()).increment(1);
            TokenError::BudgetSpent
        })
    }

    async fn ask(
        &self,
        app: &App,
        key: &AppKey,
        purpose: &Purpose,
        cached: Option<&StoredToken>,
        place: Option<Place<'_>>,
    ) -> Outcome {
        let (asked_at, started) = (self.clock.now(), Instant::now());
        let answer = self.wecom.gettoken(app, purpose.invalid_token(cached)).await.map_err(TokenError::from);
        histogram!("wxkf_access_token_refresh_duration_seconds").record(started.elapsed());
        let label = answer.as_ref().map_or_else(TokenError::label, |_| "ok");
        counter!("wxkf_access_token_refresh_total", "result" => label).increment(1);
        match answer {
            Ok(granted) => {
                self.refusals.forget(key).await;
                let replaced = if cached.is_some() { Replaced::Another } else { Replaced::Nothing };
                let token = life::after_grant(key.clone(), cached, granted, asked_at);
                info!(corp.id = %key.corp_id, app.secret = %key.secret, expires_at = %token.expires_at,
                    same = token.renewed_to_same, "obtained an access token");
                let token = self.cache.put(token).await;
                self.ledger.open(app, key).granted(replaced);
                Ok(token)
            }
            Err(error) => {
                self.failed(app, key, &error, place).await;
                Err(error)
            }
        }
    }

    async fn failed(&self, app: &App, key: &AppKey, error: &TokenError, place: Option<Place<'_>>) {
        let now = self.clock.now();
        self.refusals.remember(app, key, error, now).await;
        let counted = !matches!(error.class(), None | Some(Class::Transient | Class::RateLimited));
        if let Some(place) = place.filter(|_| counted) {
            place.refused(now);
        }
        if let Some(record) = self.ledger.get(key) {
            record.failed(error.to_string());
        }
        let advice = error.errcode().advice();
        warn!(corp.id = %key.corp_id, app.secret = %key.secret, %error, advice, "no access token was obtained");
    }
}

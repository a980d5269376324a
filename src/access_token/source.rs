//! One flight: looks again, asks upstream if that is allowed, keeps what comes of it.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use metrics::{counter, histogram};
use tracing::{info, warn};

use super::agreement::{Agreement, Company, Forced};
use super::budget::{Asker, Place};
use super::cache::TokenCache;
use super::error::TokenError;
use super::failure::Failure;
use super::known::Directory;
use super::ledger::{Ledger, Replaced};
use super::life;
use crate::domain::{App, AppKey, Clock, Secret};
use crate::store::StoredToken;
use crate::wecom::{Class, WecomClient};

pub(super) type Outcome = Result<Arc<StoredToken>, TokenError>;

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

    fn is_forced(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::Operator)
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
    pub(super) directory: Directory,
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
}

/// What a look at the cache says to a flight.
enum Look {
    Answered(Outcome),
    /// Upstream is to be asked; with the app's last token.
    Ask(Option<Arc<StoredToken>>),
}

impl Source {
    pub(super) fn agreement(&self) -> &dyn Agreement {
        self.cache.agreement()
    }

    /// The failure to answer with instead of asking.
    pub(super) fn remembered(&self, key: &AppKey) -> Option<TokenError> {
        let last = self.agreement().failure(key)?;
        (self.clock.now() < last.until).then_some(last.error)
    }

    pub(super) async fn obtain(&self, app: &App, key: &AppKey, purpose: &Purpose) -> Outcome {
        let cached = match self.look(key, purpose).await {
            Look::Answered(outcome) => return outcome,
            Look::Ask(cached) => cached,
        };
        // Before the turn, which it could outlast.
        if let Some(wait) = cached.as_deref().and_then(|old| life::until_replaceable(old, self.clock.now())) {
            tokio::time::sleep(wait).await;
        }
        // A pair that was good once is always asked, and costs the others nothing. The place comes
        // before the turn, because waiting for it could outlast a turn.
        let place = match &cached {
            Some(_) => None,
            None => match self.place(app).await {
                Some(place) => Some(place),
                None => return self.unaffordable(key, purpose).await,
            },
        };
        let turn = self.agreement().begin(key).await;
        let look = match turn.company() {
            Company::Nobody => Look::Ask(cached),
            Company::Replicas => self.look(key, purpose).await,
        };
        let outcome = match self.forced(key, purpose, look).await {
            Look::Ask(cached) => self.ask(app, key, purpose, cached.as_deref(), place).await,
            Look::Answered(outcome) => {
                self.give_back(place).await;
                outcome
            }
        };
        self.agreement().end(key, turn).await;
        match outcome {
            // The one before once more, which is over by now: a moment later there is another one.
            Ok(token) if token.renewed_to_same && !life::is_live(&token, self.clock.now()) => {
                Box::pin(self.obtain(app, key, purpose)).await
            }
            outcome => outcome,
        }
    }

    async fn look(&self, key: &AppKey, purpose: &Purpose) -> Look {
        let cached = self.cache.recall(key).await;
        if let Some(token) = cached.as_ref().filter(|token| purpose.is_met_by(token, self.clock.now())) {
            return Look::Answered(Ok(token.clone()));
        }
        self.remembered(key).map_or(Look::Ask(cached), |error| Look::Answered(Err(error)))
    }

    /// Within a minute of a forced renewal the cached token is the answer, if it lives.
    async fn forced(&self, key: &AppKey, purpose: &Purpose, look: Look) -> Look {
        let Look::Ask(cached) = look else { return look };
        if !purpose.is_forced() || self.agreement().begin_forced(key).await == Forced::Begun {
            return Look::Ask(cached);
        }
        match cached {
            Some(token) if life::is_live(&token, self.clock.now()) => Look::Answered(Ok(token)),
            cached => Look::Ask(cached),
        }
    }

    async fn place(&self, app: &App) -> Option<Place> {
        let standing = self.directory.standing(&app.corp_id, &*self.cache).await;
        self.agreement().take_place(Asker { corp: app.corp_id.clone(), standing }).await
    }

    /// Not asked; but a replica that did ask, while a place was waited for, may know the answer.
    async fn unaffordable(&self, key: &AppKey, purpose: &Purpose) -> Outcome {
        match self.look(key, purpose).await {
            Look::Answered(outcome) => outcome,
            Look::Ask(_) => {
                counter!("wxkf_access_token_refresh_total", "result" => TokenError::BudgetSpent.label()).increment(1);
                Err(TokenError::BudgetSpent)
            }
        }
    }

    async fn give_back(&self, place: Option<Place>) {
        if let Some(place) = place {
            self.agreement().give_back(place).await;
        }
    }

    async fn ask(
        &self,
        app: &App,
        key: &AppKey,
        purpose: &Purpose,
        cached: Option<&StoredToken>,
        place: Option<Place>,
    ) -> Outcome {
        let (asked_at, started) = (self.clock.now(), Instant::now());
        let answer = self.wecom.gettoken(app, purpose.invalid_token(cached)).await.map_err(TokenError::from);
        histogram!("wxkf_access_token_refresh_duration_seconds").record(started.elapsed());
        let label = answer.as_ref().map_or_else(TokenError::label, |_| "ok");
        counter!("wxkf_access_token_refresh_total", "result" => label).increment(1);
        match answer {
            Ok(granted) => {
                self.give_back(place).await;
                if self.agreement().failure(key).is_some() {
                    self.agreement().forget(key).await;
                }
                let replaced = if cached.is_some() { Replaced::Another } else { Replaced::Nothing };
                let granted = life::after_grant(key.clone(), cached, granted, asked_at);
                let token = StoredToken { corp_secret: Some(app.secret.clone()), ..granted };
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

    async fn failed(&self, app: &App, key: &AppKey, error: &TokenError, place: Option<Place>) {
        let last = self.agreement().failure(key);
        let failure = Failure::after(last.as_ref(), error.clone(), self.clock.now());
        self.ledger.refused(app, key);
        self.agreement().remember(key, failure).await;
        let counted = !matches!(error.class(), None | Some(Class::Transient | Class::RateLimited));
        match place {
            Some(place) if counted => self.agreement().use_up(place).await,
            place => self.give_back(place).await,
        }
        if let Some(record) = self.ledger.get(key) {
            record.failed(error.explained());
        }
        let advice = error.advice();
        warn!(corp.id = %key.corp_id, app.secret = %key.secret, %error, advice = advice.as_deref(), "no access token was obtained");
    }
}

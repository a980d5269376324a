//! Access tokens: one upstream call per token life, however many ask.
//!
//! The one decision a reader would question: failures are kept as carefully as tokens. WeCom bans
//! the address of whoever keeps asking with a wrong secret, and all corps behind the gateway share
//! that address; so a refusal answers for a while in WeCom's place (`failure`), and refused secrets
//! have a budget (`budget`).
//!
//! A read goes: cache → remembered failure → flight (`flights`), which waits for its turn among the
//! replicas (`agreement`), looks again and asks upstream (`source`). What is handed out are the seconds
//! that remain, never those that were granted.

mod agreement;
mod budget;
mod cache;
mod error;
mod failure;
mod flights;
mod known;
mod ledger;
mod life;
mod memory;
mod meters;
mod near;
mod operators;
pub mod query;
mod redis;
mod renewal;
pub mod routes;
mod source;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;

pub use agreement::{Agreement, Company, Forced, Turn};
pub use budget::{Asker, Place, Standing};
pub use cache::TokenCache;
pub use error::TokenError;
pub use failure::Failure;
pub use memory::MemoryCache;
pub use meters::METRICS;
pub use operators::TokenInfo;
pub use redis::RedisCache;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::counter;

use crate::domain::{App, AppKey, Clock, Secret};
use crate::lifecycle::Tasks;
use crate::observe::Trace;
use crate::store::{Corps, Puppets, StoredToken};
use crate::wecom::WecomClient;
use error::Outlook;
use flights::{Flights, Landing};
use source::{Outcome, Purpose, Source};

/// How tokens are handed out.
#[derive(Debug, Clone)]
pub struct TokenSettings {
    /// `TOKEN_MAX_LEASE`.
    pub max_lease: Option<Duration>,
    /// How long a caller waits for a flight.
    pub wait: Duration,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self { max_lease: None, wait: Duration::from_secs(15) }
    }
}

/// What the service is made of.
#[expect(missing_debug_implementations, reason = "taken apart at once; its parts are trait objects")]
pub struct TokenParts {
    pub wecom: WecomClient,
    pub cache: Arc<dyn TokenCache>,
    /// Which corps are known, and the secrets of registered bots.
    pub corps: Arc<dyn Corps>,
    pub puppets: Arc<dyn Puppets>,
    pub tasks: Tasks,
    pub clock: Clock,
}

/// A token as it is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub access_token: Secret,
    /// Whole seconds that remain, at least 1.
    pub expires_in: u64,
}

/// Whether an access token of this gateway is the app's current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    Current,
    Superseded,
}

/// An access token that this gateway handed out, or cached, within its life and two hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    pub app: AppKey,
    pub state: TokenState,
}

/// The service. Clones share everything.
#[derive(Debug, Clone)]
pub struct AccessTokens {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: TokenSettings,
    source: Source,
    flights: Flights<AppKey, Outcome>,
    tasks: Tasks,
}

impl AccessTokens {
    pub fn new(settings: TokenSettings, parts: TokenParts) -> Self {
        let source = Source {
            wecom: parts.wecom,
            cache: parts.cache,
            directory: known::Directory { corps: parts.corps, puppets: parts.puppets },
            ledger: ledger::Ledger::default(),
            clock: parts.clock,
        };
        Self { inner: Arc::new(Inner { settings, source, flights: Flights::default(), tasks: parts.tasks }) }
    }

    /// The app's token, from the cache while it lives.
    pub async fn lease(&self, app: &App) -> Result<Lease, TokenError> {
        let key = app.key();
        if let Some(token) = self.live(&key).await {
            counter!("wxkf_access_token_requests_total", "result" => "hit").increment(1);
            return Ok(self.lend(app, &key, &token));
        }
        if let Some(error) = self.inner.source.remembered(&key) {
            counter!("wxkf_access_token_requests_total", "result" => "remembered_failure").increment(1);
            return Err(error);
        }
        let outcome = self.fly(app, &key, Purpose::Lease).await;
        let result = if outcome.is_ok() { "miss" } else { "failure" };
        counter!("wxkf_access_token_requests_total", "result" => result).increment(1);
        outcome.map(|token| self.lend(app, &key, &token))
    }

    /// A token other than the rejected one, if there is any. Renews only while the rejected token is
    /// the cached one, and at most once a minute an app; otherwise the answer is the cached token,
    /// also while upstream is down.
    pub async fn renew(&self, app: &App, rejected: &Secret) -> Result<Lease, TokenError> {
        let key = app.key();
        let Some(current) = self.live(&key).await else {
            return self.lease(app).await;
        };
        if current.access_token != *rejected {
            return Ok(self.lend(app, &key, &current));
        }
        let outcome = match self.force(app, &key, Purpose::Rejected(rejected.clone())).await {
            Some(outcome) => outcome,
            // Perhaps renewed since we looked.
            None => Ok(self.live(&key).await.unwrap_or(current.clone())),
        };
        match outcome {
            Err(error) if error.outlook() == Outlook::Passing && life::is_live(&current, self.now()) => {
                Ok(self.lend(app, &key, &current))
            }
            other => other.map(|token| self.lend(app, &key, &token)),
        }
    }

    /// Whether a lease would be answered without asking upstream.
    pub async fn is_cached(&self, app: &App) -> bool {
        let key = app.key();
        if self.live(&key).await.is_some() {
            return true;
        }
        let token = self.inner.source.cache.recall(&key).await;
        token.is_some_and(|token| life::is_live(&token, self.now()))
    }

    /// Whose access token this is, if this gateway's cache ever held it: for the healing of calls.
    pub async fn recognise(&self, access_token: &Secret) -> Option<Recognised> {
        let app = self.inner.source.cache.owner(access_token).await?;
        let current = self.live(&app).await.is_some_and(|current| current.access_token == *access_token);
        let state = if current { TokenState::Current } else { TokenState::Superseded };
        Some(Recognised { app, state })
    }

    /// Whether a request comes from a gateway that takes the same address for WeCom as this one:
    /// from this one itself, or from a replica.
    fn leads_back(&self, headers: &http::HeaderMap) -> bool {
        self.inner.source.wecom.leads_back(headers)
    }

    /// The app's token, if one lives in the cache: nobody is asked for it.
    pub async fn current(&self, key: &AppKey) -> Option<Secret> {
        self.live(key).await.map(|token| token.access_token.clone())
    }

    async fn live(&self, key: &AppKey) -> Option<Arc<StoredToken>> {
        let token = self.inner.source.cache.get(key).await;
        token.filter(|token| life::is_live(token, self.now()))
    }

    fn lend(&self, app: &App, key: &AppKey, token: &StoredToken) -> Lease {
        let now = self.now();
        self.inner.source.ledger.used(app, key, now);
        let longest = self.inner.settings.max_lease.map_or(u64::MAX, |longest| longest.as_secs());
        let expires_in = life::seconds_left(token, now).min(longest).max(1);
        Lease { access_token: token.access_token.clone(), expires_in }
    }

    /// Joins the app's flight or starts one.
    async fn fly(&self, app: &App, key: &AppKey, purpose: Purpose) -> Outcome {
        let flight = self.flight(app, key, purpose);
        self.wait_for(self.inner.flights.join(key, &self.inner.tasks, flight)).await
    }

    /// Joins the app's flight or starts a forced one; `None` when one was forced less than a minute ago.
    async fn force(&self, app: &App, key: &AppKey, purpose: Purpose) -> Option<Outcome> {
        let may_start = || !self.inner.source.agreement().forced_lately(key);
        let flight = self.flight(app, key, purpose);
        let landing = self.inner.flights.join_if(key, &self.inner.tasks, flight, may_start)?;
        Some(self.wait_for(landing).await)
    }

    fn flight(&self, app: &App, key: &AppKey, purpose: Purpose) -> impl Future<Output = Outcome> + use<> {
        let (inner, app, key, trace) = (self.inner.clone(), app.clone(), key.clone(), Trace::current());
        async move { trace.around(pin!(inner.source.obtain(&app, &key, &purpose))).await }
    }

    async fn wait_for(&self, landing: Landing<Outcome>) -> Outcome {
        let wait = self.inner.settings.wait;
        let late = |_| TokenError::Unavailable(format!("no token within {} s", wait.as_secs()).into());
        let broken_off = || Err(TokenError::Unavailable("the gateway broke off while asking for the token".into()));
        tokio::time::timeout(wait, landing).await.map_err(late)?.unwrap_or_else(broken_off)
    }

    fn now(&self) -> Timestamp {
        self.inner.source.clock.now()
    }
}

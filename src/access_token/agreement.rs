//! What everybody who asks upstream for tokens must agree on beside the tokens: whose turn it is,
//! what was refused, how many refusals the address can still afford, when a renewal was forced.
//!
//! Nothing here fails: who cannot reach the others goes on with what this process knows.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use moka::sync::Cache;

use super::budget::{Asker, Budget, Place};
use super::failure::{Failure, Failures};
use crate::domain::{AppKey, Clock};

/// Forced renewals ask at most so often.
pub(super) const BETWEEN_FORCED: Duration = Duration::from_secs(60);
/// Within a minute: more are forced only by whoever has as many good secrets.
const FORCED_APPS: u64 = 100_000;

/// The right to ask upstream for one app's token.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Turn {
    pub(super) owner: u64,
    pub(super) company: Company,
}

/// Who else may have asked until a turn came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    Replicas,
    /// Nobody, or nobody that can be reached: there is nothing to look at again.
    Nobody,
}

impl Turn {
    pub fn company(&self) -> Company {
        self.company
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    Begun,
    TooSoon,
}

#[async_trait]
pub trait Agreement: Send + Sync + fmt::Debug {
    /// Waits until no other replica asks for this app's token. A replica that dies in its turn holds
    /// the others up for ten seconds at most. Within one process flights see to it.
    async fn begin(&self, app: &AppKey) -> Turn;

    /// Ends the turn, unless it lapsed.
    async fn end(&self, app: &AppKey, turn: Turn);

    /// The app's last failure, as it was when a token cache was last asked for the app's token; its
    /// time may be over.
    fn failure(&self, app: &AppKey) -> Option<Failure>;

    /// All last failures that this process knows.
    fn failures(&self) -> Vec<(AppKey, Failure)>;

    async fn remember(&self, app: &AppKey, failure: Failure);

    /// A success, or an operator's wish.
    async fn forget(&self, app: &AppKey);

    /// A place in the budget of refusals, waiting for those whose answer is still open. `None`: it is
    /// spent for this hour. A place that is neither given back nor used up, because its process
    /// died, is free again within a minute.
    async fn take_place(&self, asker: Asker) -> Option<Place>;

    async fn give_back(&self, place: Place);

    /// The answer was a refusal: the place is used up for an hour.
    async fn use_up(&self, place: Place);

    /// Whether a forced renewal may ask now; if so, none may for a minute.
    async fn begin_forced(&self, app: &AppKey) -> Forced;

    /// As far as this process knows, whether none may.
    fn forced_lately(&self, app: &AppKey) -> bool;

    /// The renewal came to nothing; an operator, who may have mended the cause, need not wait.
    async fn forget_forced(&self, app: &AppKey);
}

/// The agreement of one process with itself.
#[derive(Debug)]
pub(super) struct LocalAgreement {
    pub(super) failures: Failures,
    budget: Budget,
    forced: Cache<AppKey, Timestamp>,
    clock: Clock,
}

impl LocalAgreement {
    pub(super) fn new(clock: Clock) -> Self {
        let forced = Cache::builder().max_capacity(FORCED_APPS).time_to_live(BETWEEN_FORCED).build();
        Self { failures: Failures::default(), budget: Budget::default(), forced, clock }
    }

    /// A renewal was forced then.
    pub(super) fn forced_at(&self, app: &AppKey, at: Timestamp) {
        self.forced.insert(app.clone(), at);
    }
}

#[async_trait]
impl Agreement for LocalAgreement {
    async fn begin(&self, _: &AppKey) -> Turn {
        Turn { owner: 0, company: Company::Nobody }
    }

    async fn end(&self, _: &AppKey, _: Turn) {}

    fn failure(&self, app: &AppKey) -> Option<Failure> {
        self.failures.get(app)
    }

    fn failures(&self) -> Vec<(AppKey, Failure)> {
        self.failures.all()
    }

    async fn remember(&self, app: &AppKey, failure: Failure) {
        self.failures.remember(app, failure);
    }

    async fn forget(&self, app: &AppKey) {
        self.failures.forget(app);
    }

    async fn take_place(&self, asker: Asker) -> Option<Place> {
        self.budget.take(asker, &self.clock).await
    }

    async fn give_back(&self, place: Place) {
        drop(place);
    }

    async fn use_up(&self, place: Place) {
        place.use_up(self.clock.now());
    }

    async fn begin_forced(&self, app: &AppKey) -> Forced {
        if self.forced_lately(app) {
            return Forced::TooSoon;
        }
        self.forced_at(app, self.clock.now());
        Forced::Begun
    }

    fn forced_lately(&self, app: &AppKey) -> bool {
        let next = self.forced.get(app).and_then(|last| last.checked_add(BETWEEN_FORCED).ok());
        next.is_some_and(|next| self.clock.now() < next)
    }

    async fn forget_forced(&self, app: &AppKey) {
        self.forced.invalidate(app);
    }
}

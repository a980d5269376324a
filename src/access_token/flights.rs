//! Single flight: per app at most one task asks upstream, and everybody who needs the token awaits it.
//!
//! The flight is a task, not a shared future that its callers drive: a caller who hangs up, even the
//! first one, must not cancel what the others wait for.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::error::TokenError;
use crate::domain::AppKey;
use crate::lifecycle::Tasks;
use crate::store::StoredToken;

pub(super) type Outcome = Result<Arc<StoredToken>, TokenError>;

/// Where everybody awaits a flight's outcome.
pub(super) type Landing = Shared<BoxFuture<'static, Outcome>>;

#[derive(Debug, Default, Clone)]
pub(super) struct Flights(Arc<Mutex<HashMap<AppKey, Landing>>>);

/// Ends the flight, however its task ends.
struct InTheAir {
    flights: Flights,
    app: AppKey,
}

impl Drop for InTheAir {
    fn drop(&mut self) {
        self.flights.0.lock().remove(&self.app);
    }
}

impl Flights {
    /// Joins the app's flight; without any, this one starts.
    pub(super) fn join<F>(&self, app: &AppKey, tasks: &Tasks, flight: F) -> Landing
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (land, landing) = {
            let mut flights = self.0.lock();
            if let Some(landing) = flights.get(app) {
                return landing.clone();
            }
            announce(&mut flights, app)
        };
        self.take_off(app, tasks, flight, land);
        landing
    }

    /// Joins the app's flight; without any, this one starts if `may_start` says so, which decides
    /// while nobody else can start one.
    pub(super) fn join_if<F>(
        &self,
        app: &AppKey,
        tasks: &Tasks,
        flight: F,
        may_start: impl FnOnce() -> bool,
    ) -> Option<Landing>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (land, landing) = {
            let mut flights = self.0.lock();
            if let Some(landing) = flights.get(app) {
                return Some(landing.clone());
            }
            may_start().then(|| announce(&mut flights, app))?
        };
        self.take_off(app, tasks, flight, land);
        Some(landing)
    }

    /// Not under the lock: a runtime that is going down drops the task, and with it [`InTheAir`], at once.
    fn take_off<F>(&self, app: &AppKey, tasks: &Tasks, flight: F, land: oneshot::Sender<Outcome>)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let in_the_air = InTheAir { flights: self.clone(), app: app.clone() };
        tasks.spawn(async move {
            let outcome = flight.await;
            drop(in_the_air);
            // Nobody may be waiting any more; the outcome is in the cache.
            let _ = land.send(outcome);
        });
    }
}

fn announce(flights: &mut HashMap<AppKey, Landing>, app: &AppKey) -> (oneshot::Sender<Outcome>, Landing) {
    let (land, landed) = oneshot::channel();
    let landing = landed.map(|outcome| outcome.unwrap_or_else(|_| Err(broken_off()))).boxed().shared();
    flights.insert(app.clone(), landing.clone());
    (land, landing)
}

/// The task panicked or the process is going down.
fn broken_off() -> TokenError {
    TokenError::Unavailable("the gateway broke off while asking for the token".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wecom::fake::app;

    #[tokio::test]
    async fn a_panic_in_a_flight_fails_its_callers_and_not_the_next_flight() {
        let (flights, tasks, app) = (Flights::default(), Tasks::new(), app("ww1", "s").key());
        let landing = flights.join(&app, &tasks, async { panic!("a fault of ours") });
        assert!(matches!(landing.await, Err(TokenError::Unavailable(_))));
        let next = flights.join(&app, &tasks, async { Err(TokenError::BudgetSpent) });
        assert_eq!(next.await, Err(TokenError::BudgetSpent));
        assert!(flights.join_if(&app, &tasks, std::future::pending(), || false).is_none());
    }
}

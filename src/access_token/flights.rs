//! Single flight: per key at most one task does the work, and everybody who needs its outcome awaits it.
//!
//! The flight is a task, not a shared future that its callers drive: a caller who hangs up, even the
//! first one, must not cancel what the others wait for.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::lifecycle::Tasks;

/// Where everybody awaits a flight's outcome. `None`: it was broken off, because the task panicked or
/// the process is going down.
pub(super) type Landing<T> = Shared<BoxFuture<'static, Option<T>>>;

pub(super) struct Flights<K, T>(Arc<Mutex<HashMap<K, Landing<T>>>>);

/// Ends the flight, however its task ends.
struct InTheAir<K: Eq + Hash, T> {
    flights: Arc<Mutex<HashMap<K, Landing<T>>>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for InTheAir<K, T> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("in_the_air", &self.0.lock().len()).finish_non_exhaustive()
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the key's flight; without any, this one starts.
    pub(super) fn join<F>(&self, key: &K, tasks: &Tasks, flight: F) -> Landing<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (land, landing) = {
            let mut flights = self.0.lock();
            if let Some(landing) = flights.get(key) {
                return landing.clone();
            }
            announce(&mut flights, key)
        };
        self.take_off(key, tasks, flight, land);
        landing
    }

    /// Joins the key's flight; without any, this one starts if `may_start` says so, which decides
    /// while nobody else can start one.
    pub(super) fn join_if<F>(
        &self,
        key: &K,
        tasks: &Tasks,
        flight: F,
        may_start: impl FnOnce() -> bool,
    ) -> Option<Landing<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (land, landing) = {
            let mut flights = self.0.lock();
            if let Some(landing) = flights.get(key) {
                return Some(landing.clone());
            }
            may_start().then(|| announce(&mut flights, key))?
        };
        self.take_off(key, tasks, flight, land);
        Some(landing)
    }

    /// Not under the lock: a runtime that is going down drops the task, and with it [`InTheAir`], at once.
    fn take_off<F>(&self, key: &K, tasks: &Tasks, flight: F, land: oneshot::Sender<T>)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let in_the_air = InTheAir { flights: self.0.clone(), key: key.clone() };
        tasks.spawn(async move {
            let outcome = flight.await;
            drop(in_the_air);
            // Nobody may be waiting any more; the outcome is in the cache.
            let _ = land.send(outcome);
        });
    }
}

fn announce<K, T>(flights: &mut HashMap<K, Landing<T>>, key: &K) -> (oneshot::Sender<T>, Landing<T>)
where
    K: Clone + Eq + Hash,
    T: Clone + Send + Sync + 'static,
{
    let (land, landed) = oneshot::channel();
    let landing = landed.map(Result::ok).boxed().shared();
    flights.insert(key.clone(), landing.clone());
    (land, landing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_flight_fails_its_callers_and_not_the_next_flight() {
        let (flights, tasks) = (Flights::default(), Tasks::new());
        let landing = flights.join(&"key", &tasks, async { panic!("a fault of ours") });
        assert_eq!(landing.await, None);
        assert_eq!(flights.join(&"key", &tasks, async { 7 }).await, Some(7));
        assert!(flights.join_if(&"key", &tasks, std::future::pending(), || false).is_none());
    }
}

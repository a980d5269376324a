//! How many tunnels there are, and may be.

use std::sync::Arc;

use metrics::{Gauge, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::egress::AllowedHost;

#[derive(Debug)]
pub(super) struct Places(Arc<Semaphore>);

/// The place of one tunnel; dropped when it ends.
pub(super) struct Place {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places)))
    }

    /// `None` when all are taken.
    pub(super) fn take(&self, host: &AllowedHost) -> Option<Place> {
        let permit = self.0.clone().try_acquire_owned().ok()?;
        let open = gauge!("wxkf_egress_tunnels", "host" => host.label());
        open.increment(1);
        Some(Place { open, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.decrement(1);
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

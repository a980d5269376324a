//! How many tunnels there are, and may be.

use std::fs;
use std::sync::Arc;

use metrics::{Gauge, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::egress::AllowedHost;

/// A tunnel has two descriptors; together they have half of what the process may open, so that listeners and
/// store keep theirs.
const DESCRIPTORS_A_PLACE: usize = 4;

#[derive(Debug)]
pub(super) struct Places(Arc<Semaphore>);

/// The place of one tunnel; dropped when it ends.
pub(super) struct Place {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many, or fewer where the process may not open enough files.
    pub(super) fn new(places: usize) -> Self {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let affordable = open_files(&limits).map_or(places, |files| files / DESCRIPTORS_A_PLACE);
        Self(Arc::new(Semaphore::new(places.min(affordable))))
    }

    /// `None` when all are taken.
    pub(super) fn take(&self, host: &AllowedHost) -> Option<Place> {
        let permit = self.0.clone().try_acquire_owned().ok()?;
        let open = gauge!("wxkf_egress_tunnels", "host" => host.label());
        open.increment(1);
        Some(Place { open, _permit: permit })
    }
}

/// The limit that holds, as Linux tells it; elsewhere nobody does.
fn open_files(limits: &str) -> Option<usize> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_limit_of_open_files() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max processes             95000                95000                processes \n\
            Max open files            1024                 524288               files     \n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files(&limits.replace("1024 ", "unlimited ")), None);
        assert_eq!(open_files(""), None);
    }
}

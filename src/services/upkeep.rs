//! What nobody asks for: senders for what waits, bounds of backlogs, the sweep of what is old.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::{error, warn};

use super::{Inner, REPEAT_WINDOW};
use crate::domain::ServiceKey;
use crate::store::{QueueBounds, Result};

/// A backlog holds no more than this; the oldest go first.
const BOUNDS: QueueBounds = QueueBounds { events: 100_000, bytes: 256 << 20 };
/// Expired events are kept for the operator for so long.
const KEEP_EXPIRED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Other replicas may die with queues that this one knows nothing of.
const LOOK_EVERY_SHARED: Duration = Duration::from_secs(10);
/// Alone, only queues of services that were withdrawn, and come back, are found so.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// After a failure of the store.
const PAUSE: Duration = Duration::from_secs(1);

impl Inner {
    /// Runs until the gateway stops.
    pub(super) async fn look_after_queues(self: Arc<Self>) {
        let mut next_sweep = Instant::now() + SWEEP_EVERY;
        loop {
            let pause = match self.start_senders().await {
                Ok(()) if self.directory.is_shared() => LOOK_EVERY_SHARED,
                Ok(()) => LOOK_EVERY,
                Err(error) => {
                    warn!(error = %error, "cannot read which services wait for events");
                    PAUSE
                }
            };
            if !self.tasks.pause(pause).await {
                return;
            }
            if Instant::now() >= next_sweep {
                next_sweep = Instant::now() + SWEEP_EVERY;
                let now = self.clock.now();
                if let Err(error) = self.queues.sweep_queues(now - KEEP_EXPIRED, now - REPEAT_WINDOW).await {
                    warn!(error = %error, "cannot sweep old events of services");
                }
            }
        }
    }

    async fn start_senders(self: &Arc<Self>) -> Result<()> {
        for service in self.queues.waiting_services().await? {
            self.look_at(&service);
        }
        Ok(())
    }

    /// An event of so many bytes came into the queue.
    pub(super) fn grown(self: &Arc<Self>, service: &ServiceKey, bytes: usize) {
        if self.senders.has_grown(service, bytes) {
            let (inner, service) = (self.clone(), service.clone());
            self.tasks.spawn(async move { inner.trim(&service).await });
        }
    }

    async fn trim(&self, service: &ServiceKey) {
        match self.queues.trim_queue(service, BOUNDS).await {
            Ok(0) => {}
            Ok(events) => {
                error!(%service, events, "the backlog of a service is full: its oldest events were dropped");
                self.meters.given_up.increment(events);
            }
            Err(error) => warn!(%service, error = %error, "cannot look at the backlog of a service"),
        }
    }
}

//! Stop → drain → abort: the one stop signal, the tracker of every background task, and the phase of
//! life that `/readyz` shows.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

/// Where all tasks of the gateway are spawned, so that a shutdown can wait for what is in flight.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task that the shutdown waits for. A task that loops must watch [`Tasks::stopping`].
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// Completes when the shutdown begins.
    pub fn stopping(&self) -> WaitForCancellationFuture<'_> {
        self.stop.cancelled()
    }

    /// Waits, and ends early when the shutdown begins: false then.
    pub async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.stopping() => false,
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells every loop to end; what is in flight goes on.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// After [`Tasks::stop`]: waits for all tasks, `limit` at most. False when some were left.
    pub async fn drained(&self, limit: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }
}

/// The phase of life that health routes show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The store was not read yet.
    Starting,
    Ready,
    /// Told to stop: load balancers should send elsewhere.
    Draining,
}

/// The gateway's phase; all clones share one. It only ever goes forward.
#[derive(Debug, Clone)]
pub struct Readiness(watch::Sender<Phase>);

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Starting))
    }
}

impl Readiness {
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Starting is over; without effect on a gateway that was told to stop meanwhile.
    pub fn ready(&self) {
        self.0.send_if_modified(|phase| {
            let starting = *phase == Phase::Starting;
            if starting {
                *phase = Phase::Ready;
            }
            starting
        });
    }

    pub fn draining(&self) {
        self.0.send_replace(Phase::Draining);
    }

    /// Waits until the gateway is in that phase.
    pub async fn reached(&self, wanted: Phase) {
        let mut changes = self.0.subscribe();
        // The sender lives in self, so that the channel cannot close meanwhile.
        let _ = changes.wait_for(|&phase| phase == wanted).await;
    }
}

/// SIGTERM (Kubernetes, systemd) and SIGINT (Ctrl-C).
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on the signals no longer end the process by themselves.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_gateway_never_gets_ready_again() {
        let readiness = Readiness::default();
        assert_eq!(readiness.phase(), Phase::Starting);
        readiness.ready();
        assert_eq!(readiness.clone().phase(), Phase::Ready);
        readiness.draining();
        readiness.ready();
        assert_eq!(readiness.phase(), Phase::Draining);
    }

    #[tokio::test]
    async fn draining_waits_for_tasks_and_gives_up_at_the_limit() {
        let tasks = Tasks::new();
        let stopping = tasks.clone();
        tasks.spawn(async move { stopping.stopping().await });
        tasks.stop();
        assert!(tasks.drained(Duration::from_secs(60)).await);
        tasks.spawn(std::future::pending::<()>());
        assert!(!tasks.drained(Duration::from_millis(1)).await);
    }
}

//! A load generator that also proves that nothing was lost.
//!
//! It is WeCom and all bots at once. Every callback's sync token names its account and a number that
//! grows; a bot reads the number from what it is sent. At the end everything heals, and of every
//! account the newest acknowledged event must have arrived, or a later one: that is what the gateway
//! promises (newest wins), and an answer that was given too early does not survive it.
//!
//! The bots are not `simulate bot`: 100,000 of those would be 100,000 ports. One server answers for
//! all of them; only ports that must refuse connections are further ones.

mod bots;
mod calling;
mod condition;
mod crowd;
mod door;
mod fleet;
mod ledger;
mod line;
mod options;
mod outcome;
mod registrar;
mod tally;
#[cfg(test)]
mod testkit;
mod window;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use condition::{Condition, Shares};
pub use options::{Length, LoadOptions, Pace, Registration};
pub use outcome::{Callbacks, Missing, Outcome, Pokes, Proof};
pub use tally::{Lately, Latency};
pub use window::{Window, Windows};

use super::wecom::Wecom;
use crate::domain::Clock;
use crate::lifecycle::Tasks;
use crowd::Crowd;
use fleet::Fleet;
use registrar::Registrar;
use tally::{Latencies, Tally};

/// How often the proof is looked at while it is not complete.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why a run did not come about.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the bots cannot listen: {0}")]
    Listen(#[source] io::Error),
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[source] reqwest::Error),
    #[error("latencies cannot be recorded: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    #[error("the gateway takes no registration: {0}")]
    NoGateway(String),
    #[error("the gateway refuses a registration: {0}")]
    RegistrationRefused(String),
    #[error("the gateway asks for another password")]
    WrongPassword,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Registering,
    /// The bots' grace after registering passes.
    Pausing,
    Calling,
    /// Everything heals, and what was held arrives.
    Settling,
}

/// A look at a running one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    /// How long that phase lasts already.
    pub elapsed: Duration,
    pub registered: u64,
    pub offered: u64,
    pub acknowledged: u64,
    /// Not acknowledged after all repeats.
    pub given_up: u64,
    /// Sendings that were not answered 200.
    pub failed: u64,
    pub pokes: u64,
    pub probes: u64,
}

/// One run.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
}

/// What callers, bots and the run itself share.
#[derive(Debug)]
struct Shared {
    options: LoadOptions,
    crowd: Crowd,
    fleet: Fleet,
    registrar: Registrar,
    tally: Tally,
    latencies: Latencies,
    clock: Clock,
    began: Instant,
    phase: Mutex<(Phase, Instant)>,
    /// Bots that are absent or refusing at times are so now.
    troubled: AtomicBool,
    /// No further callbacks.
    enough: CancellationToken,
    /// Every bot is good from now on.
    healed: CancellationToken,
    /// All servers close.
    over: CancellationToken,
}

impl Shared {
    /// Whatever it is, the end of the run ends it.
    async fn until_over(&self, work: impl Future<Output = ()>) {
        tokio::select! {
            () = self.over.cancelled() => {}
            () = work => {}
        }
    }
}

impl Load {
    /// Takes the ports that the bots will listen on.
    pub fn new(options: LoadOptions) -> Result<Self, LoadError> {
        let shared = Shared {
            crowd: Crowd::new(&options),
            fleet: Fleet::reserve(&options).map_err(LoadError::Listen)?,
            registrar: Registrar::new(&options)?,
            tally: Tally::default(),
            latencies: Latencies::new()?,
            clock: Clock::default(),
            began: Instant::now(),
            phase: Mutex::new((Phase::Registering, Instant::now())),
            troubled: AtomicBool::new(true),
            enough: CancellationToken::new(),
            healed: CancellationToken::new(),
            over: CancellationToken::new(),
            options,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Makes the corps and accounts known to a simulated WeCom, so that registrations can be proven.
    pub fn introduce(&self, wecom: &Wecom) {
        let crowd = &self.shared.crowd;
        for corp in crowd.corps() {
            drop(wecom.corp(&corp.receive_id).secret(crowd::SECRET).sealed_by(corp.clone()));
        }
        for (account, _) in crowd.members() {
            drop(wecom.corp(&crowd.corp_of(account).receive_id).account(&crowd.open_kf_id(account)));
        }
    }

    /// From the registrations to the proof.
    pub async fn run(&self) -> Result<Outcome, LoadError> {
        let (shared, tasks) = (&self.shared, Tasks::new());
        shared.fleet.open(shared, &tasks).map_err(LoadError::Listen)?;
        let outcome = self.phases(&tasks).await;
        shared.over.cancel();
        outcome
    }

    async fn phases(&self, tasks: &Tasks) -> Result<Outcome, LoadError> {
        let shared = &self.shared;
        self.enter(Phase::Registering);
        fleet::register_all(shared).await?;
        self.enter(Phase::Pausing);
        tokio::select! {
            () = sleep(shared.options.pause) => {}
            () = shared.enough.cancelled() => {}
        }
        self.enter(Phase::Calling);
        fleet::keep_restarting(shared, tasks);
        fleet::keep_leaving(shared, tasks);
        let calling = calling::run(shared).await;
        self.enter(Phase::Settling);
        let began = Instant::now();
        // Running out of time is told by the proof itself.
        let _ = timeout(shared.options.settle, self.settle()).await;
        Ok(Outcome::of(shared, calling, began.elapsed()))
    }

    /// Heals everything and waits for the proof.
    async fn settle(&self) {
        self.shared.healed.cancel();
        while outcome::missing(&self.shared) > 0 {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Ends the callbacks ahead of time; the proof follows as ever.
    pub fn enough(&self) {
        self.shared.enough.cancel();
    }

    pub fn progress(&self) -> Progress {
        let (phase, since) = *self.shared.phase.lock();
        let tally = &self.shared.tally;
        let failed = [&tally.refused, &tally.timed_out, &tally.unreachable, &tally.broken];
        Progress {
            phase,
            elapsed: since.elapsed(),
            registered: tally.registered.get(),
            offered: tally.offered.get(),
            acknowledged: tally.acknowledged.get(),
            given_up: tally.given_up.get(),
            failed: failed.iter().map(|count| count.get()).sum(),
            pokes: tally.pokes.get(),
            probes: tally.probes.get(),
        }
    }

    /// What happens from now on, in stretches.
    pub fn windows(&self) -> Windows<'_> {
        Windows::of(self)
    }

    /// How many accounts still wait for their newest acknowledged event.
    pub fn missing(&self) -> usize {
        outcome::missing(&self.shared)
    }

    fn enter(&self, phase: Phase) {
        *self.shared.phase.lock() = (phase, Instant::now());
    }
}

/// Ports close when a run is dropped in the middle.
impl Drop for Load {
    fn drop(&mut self) {
        self.shared.over.cancel();
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::{Path, RawQuery, State};
    use axum::routing::post;
    use bytes::Bytes;
    use http::StatusCode;
    use tokio::net::TcpListener;

    use super::testkit::options;
    use super::*;
    use crate::simulator::port::{KillOnDrop, Port};
    use crate::simulator::wecom::testkit::http;

    /// Something that acknowledges callbacks.
    async fn served(router: Router) -> (url::Url, KillOnDrop) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = Arc::new(Port::new(listener.local_addr().unwrap(), Tasks::new()));
        port.serve(listener, router);
        (format!("http://{}", port.address()).parse().unwrap(), KillOnDrop(port))
    }

    #[tokio::test]
    async fn what_acknowledges_and_forgets_is_found_out() {
        let (gateway, _port) = served(Router::new().route("/callback/{corp}", post(async || "success"))).await;
        let settle = Duration::from_millis(300);
        let load = Load::new(LoadOptions { gateways: vec![gateway], settle, ..options(2, 20) }).unwrap();
        let outcome = load.run().await.unwrap();
        assert_eq!((outcome.callbacks.offered, outcome.callbacks.acknowledged), (50, 50));
        let proof = outcome.proof;
        assert!(!proof.holds && proof.proven == 0 && proof.owed == 20, "{proof:?}");
        assert_eq!(proof.missing.len(), 10, "the first are named");
        assert_eq!(proof.missing[0].arrived, 0);
    }

    #[tokio::test]
    async fn what_forwards_passes_and_every_poke_is_read() {
        let forward = async |State(bot): State<String>, RawQuery(query): RawQuery, body: Bytes| {
            let url = format!("{bot}/callback?{}", query.unwrap());
            http().post(url).body(body).send().await.unwrap().status()
        };
        let listen = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let router = Router::new().route("/callback/{corp}", post(forward)).with_state(format!("http://{listen}/b/0"));
        let (gateway, _port) = served(router).await;
        let load =
            Load::new(LoadOptions { gateways: vec![gateway], listen, pace: Pace::Rate(1_000.0), ..options(1, 1) })
                .unwrap();
        let outcome = load.run().await.unwrap();
        assert!(outcome.proof.holds, "{outcome:?}");
        assert_eq!((outcome.pokes.total, outcome.pokes.unreadable, outcome.proof.proven), (50, 0, 1));
    }

    #[tokio::test]
    async fn callbacks_are_repeated_as_wecom_does_and_what_nobody_acknowledged_is_not_owed() {
        let refuse = async |Path(_): Path<String>| StatusCode::SERVICE_UNAVAILABLE;
        let (gateway, _port) = served(Router::new().route("/callback/{corp}", post(refuse))).await;
        let length = Length::Callbacks(3);
        let load = Load::new(LoadOptions { gateways: vec![gateway], length, repeats: 1, ..options(1, 3) }).unwrap();
        let outcome = load.run().await.unwrap();
        let callbacks = outcome.callbacks;
        assert_eq!((callbacks.not_acknowledged, callbacks.repeats, callbacks.refused), (3, 3, 6));
        assert!(!outcome.proof.holds && outcome.proof.owed == 0, "nothing acknowledged proves nothing");
    }

    #[tokio::test]
    async fn a_refused_registration_is_told_in_the_gateways_words() {
        let refuse = async || r#"{"code":403,"message":"prove it"}"#;
        let (gateway, _port) = served(Router::new().route("/puppetWxkfManager/register", post(refuse))).await;
        let registration = Registration::ByBots;
        let load = Load::new(LoadOptions { gateways: vec![gateway], registration, ..options(1, 3) }).unwrap();
        let error = load.run().await.unwrap_err();
        assert!(matches!(&error, LoadError::RegistrationRefused(why) if why == "prove it"), "{error}");
    }
}

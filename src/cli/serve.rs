//! `serve`: the gateway, from the settings to the end of its drain.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::{info, warn};

use crate::app::{App, BuildError, Runtime};
use crate::config::{Config, Faults, Warning};
use crate::domain::Clock;
use crate::lifecycle::{Readiness, StopSignals, Tasks};
use crate::router::{self, Audience, Routes};
use crate::server::{self, Drained, Lifecycle, Listener};
use crate::store::StoreError;
use crate::store::sqlite::OpenError;
use crate::telemetry::{self, Metrics, Traces};

use super::settings::{SettingFlags, corps_file_faults};
use super::{Exit, Hinted, on_runtime};

/// For the last spans to be sent, after the drain: whoever stops the process (Kubernetes by the chart's values,
/// systemd) waits some seconds longer than `SHUTDOWN_DELAY` and `SHUTDOWN_GRACE`.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// Signals within this time are one wish to stop: a terminal and whoever supervises the process both send theirs.
const SAME_WISH: Duration = Duration::from_secs(1);

pub(super) fn run(settings: &SettingFlags) -> anyhow::Result<Exit> {
    let (config, warnings) = settings.load_with_corps()?;
    telemetry::init_logs(config.log_format, &config.log_filter)?;
    on_runtime(with_traces(config, warnings))
}

/// What the drain recorded as well is sent, before the process ends.
async fn with_traces(config: Config, warnings: Vec<Warning>) -> anyhow::Result<Exit> {
    // Before traces, which count their spans.
    let metrics = Metrics::install()?;
    let traces = config.traces.as_ref().map(Traces::start).transpose()?;
    let exit = serve(config, warnings, metrics).await;
    if let Some(traces) = traces {
        traces.finish(LAST_SPANS).await;
    }
    exit
}

async fn serve(config: Config, warnings: Vec<Warning>, metrics: Metrics) -> anyhow::Result<Exit> {
    // First of all, so that a stop during the start is seen as well.
    let mut signals = StopSignals::listen().context("cannot listen for SIGTERM and SIGINT")?;
    for warning in &warnings {
        warn!("{warning}");
    }
    // Ports before anything else: a second gateway by mistake must not touch the store.
    let listeners = Listeners::bind(&config).await?;
    let life = Lifecycle {
        tasks: Tasks::new(),
        readiness: Readiness::default(),
        delay: config.shutdown_delay,
        grace: config.shutdown_grace,
    };
    metrics.spawn_upkeep(&life.tasks);
    let app = build(&config, &life, metrics).await?;

    let (stop, stopped) = tokio::sync::oneshot::channel();
    let serving = server::serve(listeners.with(&app), &life, async {
        // An error means that the sender is gone, which is a reason to stop as well.
        let _ = stopped.await;
    });
    let mut serving = std::pin::pin!(serving);
    // To its end in any case: nobody is ready without it.
    let starting = async {
        app.starting.finish().await.map_err(build_error)?;
        std::future::pending::<anyhow::Result<std::convert::Infallible>>().await
    };
    let signal = tokio::select! {
        // With the embedded store, the gateway is ready before it answers anybody.
        biased;
        signal = signals.next() => signal,
        failed = starting => match failed? {},
        drained = &mut serving => return Ok(ended(drained)),
    };
    info!(signal, "stopping; another signal, a second from now or later, stops at once");
    let _ = stop.send(());
    let impatient = async {
        let began = Instant::now();
        loop {
            let signal = signals.next().await;
            if began.elapsed() >= SAME_WISH {
                return signal;
            }
        }
    };
    tokio::select! {
        drained = &mut serving => Ok(ended(drained)),
        signal = impatient => {
            warn!(signal, "stopped at once, in the middle of what was in flight");
            Ok(Exit::Failure)
        }
    }
}

/// What is cut off is no failure: it is repeated by WeCom, or held in the store.
fn ended(drained: Drained) -> Exit {
    match drained {
        Drained::Complete => info!("stopped"),
        Drained::Cut => warn!("stopped; the time of SHUTDOWN_GRACE was over and what was in flight is cut off"),
    }
    Exit::Success
}

async fn build(config: &Config, life: &Lifecycle, metrics: Metrics) -> anyhow::Result<App> {
    let runtime =
        Runtime { clock: Clock::default(), tasks: life.tasks.clone(), readiness: life.readiness.clone(), metrics };
    App::build(config, runtime).await.map_err(build_error)
}

fn build_error(error: BuildError) -> anyhow::Error {
    match error {
        BuildError::CorpsFile(error) => corps_file_faults(&error).into(),
        // What only the libraries that take them can tell of.
        BuildError::MongoUri(rule) => Faults::one("MONGO_URI", rule.to_string(), "mongodb://host/database").into(),
        BuildError::RedisUrl(rule) => Faults::one("REDIS_URL", rule.to_string(), "redis://host:6379").into(),
        BuildError::MasterKey(rule) => Faults::one("MASTER_KEY", rule.to_string(), "NEW,OLD").into(),
        BuildError::BaseUrl(error) => {
            Faults::one("WECOM_API_BASE_URL", format!("is no address to call: {error}"), "https://qyapi.weixin.qq.com")
                .into()
        }
        // The store needs a key that MASTER_KEY does not give.
        BuildError::Store(OpenError::KeyMissing { .. }) | BuildError::Unusable(StoreError::KeyMissing { .. }) => {
            Faults::one("MASTER_KEY", error.to_string(), "NEW,OLD").into()
        }
        error => error.into(),
    }
}

struct Listeners {
    main: Listener,
    public: Option<Listener>,
    ops: Option<Listener>,
    egress: Option<Listener>,
}

impl Listeners {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        let main = bind(config, Some(config.port), "PORT").await?.context("PORT always has a value")?;
        let public = bind(config, config.public_port, "PUBLIC_PORT").await?;
        let ops = bind(config, config.ops_port, "OPS_PORT").await?;
        let egress = bind(config, config.egress_port, "EGRESS_PORT").await?;
        Ok(Self { main, public, ops, egress })
    }

    fn with(self, app: &App) -> Vec<(Listener, Routes)> {
        let everybody = if self.ops.is_some() { Audience::Services } else { Audience::Everybody };
        let listeners = [
            Some((self.main, everybody)),
            self.public.map(|listener| (listener, Audience::Public)),
            self.ops.map(|listener| (listener, Audience::Operators)),
        ];
        let listeners = listeners.into_iter().flatten();
        let routed = listeners.map(|(listener, audience)| (listener, router::routes(audience, app)));
        routed.chain(self.egress.map(|listener| (listener, router::forward_proxy(app)))).collect()
    }
}

async fn bind(config: &Config, port: Option<u16>, setting: &'static str) -> anyhow::Result<Option<Listener>> {
    let Some(port) = port else { return Ok(None) };
    let bound = Listener::bind(config.bind_address, port, setting).await;
    let listener = bound.map_err(|error| {
        let hint = match error.source.kind() {
            io::ErrorKind::AddrNotAvailable => {
                "set BIND_ADDRESS to an address of this machine, or leave it unset".to_owned()
            }
            _ => format!("set {setting} to a free port"),
        };
        Hinted::new(error, hint)
    })?;
    let address: SocketAddr = listener.address();
    info!(setting, "listening on http://{address}");
    Ok(Some(listener))
}

//! The gateway of the demo: what `serve` runs, with settings for one machine and one sitting.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Runtime};
use crate::config::{Config, LogFormat, Source};
use crate::domain::Clock;
use crate::lifecycle::{Readiness, Tasks};
use crate::router::{self, Audience};
use crate::server::{self, Drained, Lifecycle, Listener};
use crate::telemetry::{self, Metrics};

/// What differs from demo to demo.
pub(super) struct GatewayPlan {
    pub port: u16,
    pub wecom: String,
}

/// A running gateway.
pub(super) struct Gateway {
    port: u16,
    password: String,
    admin_token: String,
    directory: TemporaryDirectory,
    stop: CancellationToken,
    serving: JoinHandle<Drained>,
}

pub(super) async fn start(plan: GatewayPlan) -> anyhow::Result<Gateway> {
    let directory = TemporaryDirectory::create().context("cannot create a temporary directory")?;
    let (password, admin_token) = (throwaway_secret(), throwaway_secret());
    let config = config(&plan, &password, &admin_token, directory.path())?;
    // Only what goes wrong: the demo tells the rest in its own words.
    telemetry::init_logs(LogFormat::Pretty, "warn")?;
    let listener = Listener::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), plan.port, "PORT").await?;
    let life = Lifecycle {
        tasks: Tasks::new(),
        readiness: Readiness::default(),
        delay: Duration::ZERO,
        grace: Duration::from_secs(5),
    };
    let metrics = Metrics::install()?;
    metrics.spawn_upkeep(&life.tasks);
    let runtime =
        Runtime { clock: Clock::default(), tasks: life.tasks.clone(), readiness: life.readiness.clone(), metrics };
    let app = App::build(&config, runtime).await?;
    let routes = router::routes(Audience::Everybody, &app);
    app.starting.finish().await?;
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    // Apart from the gateway's own tasks, whose end it waits for.
    let serving = Tasks::new().spawn(async move { server::serve(vec![(listener, routes)], &life, stopped).await });
    Ok(Gateway { port: plan.port, password, admin_token, directory, stop, serving })
}

/// Short enough to be read from a line of the terminal; lives as long as the demo.
fn throwaway_secret() -> String {
    format!("{:016x}", rand::random::<u64>())
}

fn config(plan: &GatewayPlan, password: &str, admin_token: &str, directory: &Path) -> anyhow::Result<Config> {
    let directory = directory.to_str().context("the temporary directory's name is no UTF-8")?;
    let settings = [
        ("PORT", plan.port.to_string()),
        ("BIND_ADDRESS", Ipv4Addr::LOCALHOST.to_string()),
        ("PUBLIC_URL", format!("http://127.0.0.1:{}", plan.port)),
        ("DATA_DIR", directory.to_owned()),
        ("WECOM_API_BASE_URL", plan.wecom.clone()),
        ("PUPPET_PASSWORD", password.to_owned()),
        ("ADMIN_TOKEN", admin_token.to_owned()),
        // The demo's bot is ready before it registers, and nobody likes to wait.
        ("REGISTRATION_GRACE", "0s".to_owned()),
    ];
    let (config, _) = Config::load(&Source::of(settings))?;
    Ok(config)
}

impl Gateway {
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// With the password that bots show.
    pub fn base_url_for_bots(&self) -> String {
        format!("http://bot:{}@127.0.0.1:{}", self.password, self.port)
    }

    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Drains, then removes its directory.
    pub async fn stop(self) {
        self.stop.cancel();
        // An error means that it panicked, which has been told already.
        let _ = self.serving.await;
    }
}

/// A directory that goes when it is dropped.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn create() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("wxkf-gateway-demo-{:016x}", rand::random::<u64>()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's own temporary directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

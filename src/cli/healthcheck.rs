//! `healthcheck`: asks the gateway on this machine, for containers without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::config::Config;
use crate::egress::{self, DenyList};

use super::settings::SettingFlags;
use super::{Exit, on_runtime, report};

/// Less than the ten seconds after which container runtimes lose patience.
const LIMIT: Duration = Duration::from_secs(3);

#[derive(Deserialize)]
struct Ready {
    status: String,
}

pub(super) fn run(settings: &SettingFlags) -> anyhow::Result<Exit> {
    let (config, _) = settings.load()?;
    let status = on_runtime(ask(&config))?;
    report::data(status);
    Ok(Exit::Success)
}

async fn ask(config: &Config) -> anyhow::Result<String> {
    let port = config.ops_port();
    if port == 0 {
        bail!("the gateway's port is unknown when it is set to 0: set {}", setting(config));
    }
    let url = format!("http://{}/readyz", SocketAddr::new(local(config.bind_address), port));
    let client = egress::dispatch_client(&DenyList::default(), LIMIT)?;
    let answer = client.get(&url).send().await.map_err(reqwest::Error::without_url);
    let answer = answer.with_context(|| format!("no answer from {url} (by {})", setting(config)))?;
    let code = answer.status();
    let body = answer.bytes().await.map_err(reqwest::Error::without_url)?;
    let status = serde_json::from_slice::<Ready>(&body).map_or_else(|_| "no readiness".to_owned(), |body| body.status);
    if !code.is_success() {
        bail!("the gateway is not ready: {status} ({code} from {url})");
    }
    Ok(status)
}

/// The setting that decides where health is served.
fn setting(config: &Config) -> &'static str {
    if config.ops_port.is_some() { "OPS_PORT" } else { "PORT" }
}

/// Where a listener bound to this address is reached from its own machine.
pub(super) fn local(bound: IpAddr) -> IpAddr {
    match bound {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        bound => bound,
    }
}

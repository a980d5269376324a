//! `healthcheck`: asks the gateway on this machine, for containers without a shell. With `--public` it looks
//! at the public door in place of the readiness: whether WeCom gets in there, and nobody else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::StatusCode;
use serde::Deserialize;

use crate::config::Config;
use crate::egress;

use super::settings::SettingFlags;
use super::{Exit, on_runtime, report};

/// Less than the ten seconds after which container runtimes lose patience.
const LIMIT: Duration = Duration::from_secs(3);

/// What an address that is open to everybody must not lead to.
const CLOSED: [&str; 8] = [
    "/readyz",
    "/metrics",
    "/docs",
    "/console",
    "/api/admin/corps",
    "/api/corp/accessToken",
    "/puppetWxkfManager/getToken",
    "/cgi-bin/gettoken",
];
/// The callback of a corp that nobody has.
const OF_NOBODY: &str = "/callback/wwhealthcheck?msg_signature=0&timestamp=0&nonce=0&echostr=0";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Looks at `PUBLIC_PORT`: an unknown corp is refused there, and nothing but callbacks is served
    #[arg(long)]
    public: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Deserialize)]
struct Ready {
    status: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let (config, _) = args.settings.load()?;
    let seen = if args.public { on_runtime(look_from_outside(&config)) } else { on_runtime(ask(&config)) };
    report::data(seen?);
    Ok(Exit::Success)
}

async fn look_from_outside(config: &Config) -> anyhow::Result<String> {
    let port = config.public_port.filter(|&port| port != 0);
    let Some(port) = port else { bail!("there is no public door to look at: set PUBLIC_PORT, to another port than 0") };
    let base = format!("http://{}", SocketAddr::new(local(config.bind_address), port));
    let client = egress::client(LIMIT)?;
    let get = async |path: &str| {
        let answer = client.get(format!("{base}{path}")).send().await.map_err(reqwest::Error::without_url);
        answer.with_context(|| format!("no answer from {base} (by PUBLIC_PORT)"))
    };
    let answer = get(OF_NOBODY).await?;
    let (code, text) = (answer.status(), answer.text().await.unwrap_or_default());
    if code != StatusCode::NOT_FOUND || !text.starts_with("unknown corp") {
        bail!(
            "the callback of an unknown corp was answered {code} at {base}, not 404 `unknown corp`: is it the gateway's PUBLIC_PORT?"
        );
    }
    for path in CLOSED {
        let code = get(path).await?.status();
        if code != StatusCode::NOT_FOUND {
            bail!("{path} is served to everybody at {base} ({code}): expose PUBLIC_PORT, not PORT or OPS_PORT");
        }
    }
    Ok("callbacks alone".to_owned())
}

async fn ask(config: &Config) -> anyhow::Result<String> {
    let port = config.ops_port();
    if port == 0 {
        bail!("the gateway's port is unknown when it is set to 0: set {}", setting(config));
    }
    let url = format!("http://{}/readyz", SocketAddr::new(local(config.bind_address), port));
    let client = egress::client(LIMIT)?;
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

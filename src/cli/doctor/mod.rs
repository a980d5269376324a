//! `doctor`: checks a set-up, and says of each part what was tried, what was seen and what to do.
//!
//! The one decision a reader would question: it reads the settings and the store itself, as `serve` would, also while
//! the gateway runs. The secrets that it needs are write-only in the admin API, and rightly so; and a gateway that
//! does not start is what a doctor is needed for. The running gateway is asked besides: for its health, and in place
//! of WeCom, so that no token is fetched twice. It changes nothing anywhere.

mod admin;
mod ask;
mod bots;
mod cache;
mod callback;
mod content;
mod deliveries;
mod finding;
mod gateway;
mod page;
mod secret;
mod settings;
mod setup;
mod store;
mod verification;
mod wecom;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Args as ClapArgs;
use futures::{StreamExt as _, stream};
use tokio::time::timeout;

use crate::config::{Config, LogFormat, Warning};
use crate::telemetry;

use super::settings::SettingFlags;
use super::{Exit, on_runtime, report};
use finding::{Check, Finding};
use gateway::GatewayUrl;
use page::Report;
use setup::Setup;

/// No check takes longer: every request in it has a shorter limit of its own.
const LIMIT: Duration = Duration::from_secs(20);
/// Checks under way at the same time: a thousand bots that are all away must not take all day.
const AT_ONCE: usize = 64;

/// The settings that `--help` shows; the others are taken too, as `serve` takes them.
pub(super) const SETTINGS: &[&str] = &[
    "PORT",
    "OPS_PORT",
    "BIND_ADDRESS",
    "PUBLIC_URL",
    "CORPS_FILE",
    "WECOM_API_BASE_URL",
    "ACCESS_TOKEN_URL",
    "HTTPS_PROXY",
    "NO_PROXY",
    "DISPATCH_DENY_NETWORKS",
    "DATA_DIR",
];

const HELP: &str = "\
Run it with the settings of the gateway, on its machine or in its container. It reads the store beside a running \
gateway, or without one, and changes nothing. With a running gateway (--gateway, or the one that listens here by PORT) \
WeCom is asked through it and its token cache; without one, once for each secret of a registered bot.

Callbacks are checked as WeCom would send them: signed with each credential, through PUBLIC_URL when that is set.

Secrets are read from the environment, as `serve` reads them.

Exit codes: 0 all is well, warnings allowed; 1 something is wrong; 78 the settings cannot be used.";

#[derive(Debug, ClapArgs)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// The running gateway; by default the one that these settings would start on this machine
    #[arg(long, value_name = "URL")]
    gateway: Option<GatewayUrl>,
    #[command(flatten)]
    settings: SettingFlags,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    // Rows that cannot be read are named there.
    telemetry::init_logs(LogFormat::Pretty, "error")?;
    let (report, exit) = match args.settings.load_with_corps() {
        Ok((config, warnings)) => {
            let report = on_runtime(examine(config, &warnings, args.gateway.as_ref()))?;
            let exit = if report.is_wrong() { Exit::Failure } else { Exit::Success };
            (report, exit)
        }
        Err(faults) => (Report::new(None, settings::faults(&faults)), Exit::Settings),
    };
    if args.json {
        report::data(report.json()?);
    } else {
        report::data(report.text());
    }
    Ok(exit)
}

async fn examine(config: Config, warnings: &[Warning], named: Option<&GatewayUrl>) -> anyhow::Result<Report> {
    let mut findings = settings::warnings(warnings);
    let http = Setup::client()?;
    report::progress("looking for a running gateway");
    let (gateway, found) = gateway::look(&config, named, &http).await;
    findings.push(found);
    report::progress("reading the store");
    let (stored, found) = store::look(&config, gateway.as_ref()).await;
    findings.extend(found);
    let setup = Setup { config, gateway, stored, http };
    findings.extend(make(all(&setup)).await);
    report::progress("");
    Ok(Report::new(setup.gateway.as_ref().map(|running| running.name().to_owned()), findings))
}

fn all(setup: &Setup) -> Vec<Check<'_>> {
    let parts = [
        gateway::checks(setup),
        cache::checks(setup),
        wecom::checks(setup),
        callback::checks(setup),
        secret::checks(setup),
        bots::checks(setup),
        deliveries::checks(setup),
    ];
    parts.into_iter().flatten().collect()
}

/// Side by side; what they find comes in their order.
async fn make(checks: Vec<Check<'_>>) -> Vec<Finding> {
    let (total, done) = (checks.len(), AtomicUsize::new(0));
    let made = checks.into_iter().map(async |check| {
        let found = timeout(LIMIT, check.run).await.unwrap_or_else(|_| vec![endless(check.what)]);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        report::progress(format_args!("{done} of {total} checks made"));
        found
    });
    stream::iter(made).buffered(AT_ONCE).concat().await
}

fn endless(what: finding::Tried) -> Finding {
    what.wrong(format!("it does not end within {} s", LIMIT.as_secs()), "see that nothing between hangs, and ask again")
}

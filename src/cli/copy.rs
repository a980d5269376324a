//! `copy`: moves a gateway's data to another store, or makes a backup of it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::Args as ClapArgs;

use crate::config::{Config, LogFormat};
use crate::domain::{Clock, Secret};
use crate::lifecycle::Tasks;
use crate::store::Store;
use crate::store::copy::{self, Copied, Kind};
use crate::store::mongodb::MongoStore;
use crate::store::sealed::MasterKeys;
use crate::store::sqlite::{KeySource, SqliteStore};
use crate::telemetry;

use super::settings::SettingFlags;
use super::{Exit, Hinted, on_runtime, report};

const EXAMPLES: &str = "\
From one machine to many replicas, with the same MASTER_KEY that these will have:
  wxkf-gateway copy --from sqlite:./data --to mongodb://mongodb/wxkf
Then switch, and run it once more for what came in meanwhile.

A backup, also while the gateway runs:
  wxkf-gateway copy --from sqlite:./data --to sqlite:/backup/2026-01-31

The source's own key (master.key in its directory), or MASTER_KEY, opens its secrets; the first key of
MASTER_KEY seals them in the target. A source with readable secrets needs `plain` in MASTER_KEY.";

#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What is copied: `sqlite:DIRECTORY` or `mongodb://…`; it stays as it is, and may be in use
    #[arg(long, value_name = "STORE")]
    from: Place,
    /// Where it goes: `sqlite:DIRECTORY` or `mongodb://…`
    #[arg(long, value_name = "STORE")]
    to: Place,
    /// Write secrets readable, for a way back to the original manager
    #[arg(long)]
    unsealed: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

/// Where a store is.
#[derive(Debug, Clone)]
enum Place {
    Sqlite(PathBuf),
    Mongo(Secret),
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("sqlite", directory)) if !directory.is_empty() => Ok(Self::Sqlite(directory.into())),
            Some(("mongodb" | "mongodb+srv", _)) => Ok(Self::Mongo(Secret::new(text))),
            _ => Err("must be sqlite:DIRECTORY or mongodb://…"),
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let (config, _) = args.settings.load()?;
    // What cannot be read is named there.
    telemetry::init_logs(LogFormat::Pretty, "warn")?;
    on_runtime(copy(args, config))
}

async fn copy(args: &Args, config: Config) -> anyhow::Result<Exit> {
    let from = source(&args.from, &config).context("--from")?;
    let to = target(&args.to, args.unsealed, &config).context("--to")?;
    to.prepare().await.context("--to")?;
    let told = |kind, rows| report::progress(format_args!("copying {}: {rows}", name(kind)));
    let copied = copy::copy(&*from, &*to, &told).await;
    report::progress("");
    tell(&copied.context("the copy broke off; run it again when the cause is mended")?);
    Ok(Exit::Success)
}

fn source(place: &Place, config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    match place {
        Place::Sqlite(directory) => Ok(Arc::new(SqliteStore::open_beside(directory, config.master_key.as_ref())?)),
        Place::Mongo(uri) => mongo(uri, keys(config)?),
    }
}

fn target(place: &Place, unsealed: bool, config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    match place {
        Place::Sqlite(directory) => open(directory, unsealed, config),
        Place::Mongo(uri) if unsealed => mongo(uri, MasterKeys::none()),
        Place::Mongo(_) if config.master_key.is_none() => Err(Hinted::new(
            anyhow!("secrets would lie readable there"),
            "set MASTER_KEY as the gateways will have it, or say --unsealed",
        )
        .into()),
        Place::Mongo(uri) => mongo(uri, keys(config)?),
    }
}

fn mongo(uri: &Secret, keys: MasterKeys) -> anyhow::Result<Arc<dyn Store>> {
    let store =
        MongoStore::new(uri, keys, &Tasks::new(), Clock::default()).map_err(|rule| anyhow!("the address {rule}"))?;
    Ok(Arc::new(store))
}

fn open(directory: &Path, unsealed: bool, config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let keys = match (&config.master_key, unsealed) {
        (_, true) => KeySource::Given(MasterKeys::none()),
        (Some(_), false) => KeySource::Given(keys(config)?),
        (None, false) => KeySource::Kept,
    };
    Ok(Arc::new(SqliteStore::open(directory, keys, Clock::default().now())?))
}

/// The keys of `MASTER_KEY`; none when it is unset.
pub(super) fn keys(config: &Config) -> anyhow::Result<MasterKeys> {
    let Some(keys) = &config.master_key else { return Ok(MasterKeys::none()) };
    MasterKeys::parse(keys).map_err(|rule| anyhow!("MASTER_KEY {rule}"))
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Corps => "corps",
        Kind::Bots => "bots",
        Kind::Events => "undelivered events",
        Kind::ServiceEvents => "undelivered events of services",
        Kind::Tokens => "access tokens",
        Kind::Audit => "lines of the audit",
    }
}

fn tell(copied: &Copied) {
    let Copied { corps, later_corps, bots, later_bots, events, service_events, tokens, audit } = copied;
    report::data(format_args!(
        "copied: {corps} corps, {bots} bots, {events} undelivered events, {service_events} of \
         services, {tokens} access tokens, {audit} lines of the audit"
    ));
    if *later_corps > 0 {
        report::note(format_args!("{later_corps} corps were changed at the target later than at the source, and stay"));
    }
    if *later_bots > 0 {
        report::note(format_args!("{later_bots} bots registered at the target later than at the source, and stay"));
    }
}

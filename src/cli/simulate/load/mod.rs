//! `simulate load`.

mod display;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args as ClapArgs;
use jiff::SignedDuration;
use tokio::net::TcpListener;
use url::Url;

use crate::domain::{EncodingAesKey, Invalid, Secret};
use crate::lifecycle::StopSignals;
use crate::simulator::load::{Length, Load, LoadError, LoadOptions, Outcome, Pace, Registration, Shares};
use crate::simulator::wecom::{Limits, Wecom, WecomOptions};

use super::super::report;
use super::super::{Exit, Hinted};

/// WeCom allows a corp so many accounts (document 94661), and the gateway reads no longer list.
const ACCOUNTS_A_CORP: usize = 5_000;
const REDRAW_EVERY: Duration = Duration::from_millis(200);

const EXAMPLES: &str = "\
Against a gateway with REGISTRATION=open, 30 s of 2,000 callbacks a second:
  wxkf-gateway simulate load --rate 2000

As fast as 64 callers can, with bots in every condition; the gateway was started with
WECOM_API_BASE_URL=http://127.0.0.1:8700, so that it proves each registration:
  wxkf-gateway simulate load --callers 64 --accounts 10000 --wecom-listen 127.0.0.1:8700 \\
    --bots up=60,slow=10,refusing=10,absent=10,restarting=10

Kill the gateway meanwhile and start it again: the proof must hold all the same.";

#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The gateway; with a password as `http://bot:PASSWORD@host:port`. Several replicas, comma-separated,
    /// are called in turns
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7777", value_delimiter = ',')]
    gateway: Vec<Url>,
    /// Part of every corp's and account's id: two runs at one gateway need two
    #[arg(long, value_name = "NAME", default_value = "load", value_parser = name)]
    name: String,
    /// Corps that the accounts belong to
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = count)]
    corps: usize,
    /// Accounts, each with a bot of its own
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = count)]
    accounts: usize,
    /// Callbacks a second, however long their answers take (open loop)
    #[arg(long, value_name = "NUMBER", conflicts_with = "callers", value_parser = rate)]
    rate: Option<f64>,
    /// Callers that each wait for their answer, as fast as it comes (closed loop)
    #[arg(long, value_name = "NUMBER", default_value_t = 64, value_parser = count)]
    callers: usize,
    /// How long; with bots that are away throughout, shorter than the gateway's `EVENT_TTL`
    #[arg(long, value_name = "TIME", default_value = "30s", conflicts_with = "callbacks", value_parser = span)]
    duration: Duration,
    /// How many callbacks, in place of how long
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    callbacks: Option<u64>,
    /// Conditions of the bots, in proportion: up, slow, refusing, absent, restarting
    #[arg(long, value_name = "SHARES", default_value = "up=100")]
    bots: Shares,
    /// How long bots are absent or refusing before they are good for as long, and so on [default: until all
    /// heal at the end]
    #[arg(long, value_name = "TIME", value_parser = span)]
    spell: Option<Duration>,
    /// How long a slow bot takes; the gateway waits a second before it stores, and 3 s in all
    #[arg(long, value_name = "TIME", default_value = "1500ms", value_parser = span)]
    slow: Duration,
    /// How often an unacknowledged callback is sent again; WeCom does it 3 times
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    repeats: u32,
    /// Connections to the gateway at most, with --rate
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = count)]
    connections: usize,
    /// From the last registration to the first callback: the gateway's `REGISTRATION_GRACE`
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span)]
    pause: Duration,
    /// How long the proof may take, once everything is healed
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    settle: Duration,
    /// Address of the bots; those that must be away at times take free ports beside it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How the gateway reaches this machine, when not by the address of --listen
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Also be the WeCom that proves the registrations: the gateway's `WECOM_API_BASE_URL`
    #[arg(long, value_name = "ADDRESS")]
    wecom_listen: Option<SocketAddr>,
    /// How long access tokens of that WeCom live
    #[arg(long, value_name = "SECONDS", default_value_t = 7200, requires = "wecom_listen")]
    token_lifetime: u64,
    /// Register nobody: what is called is no gateway, but forwards to --listen by itself
    #[arg(long, conflicts_with = "wecom_listen")]
    unregistered: bool,
    /// Token of the callbacks
    #[arg(long, default_value = "simulatedToken")]
    token: String,
    /// Key of the callbacks: `EncodingAESKey`, 43 characters
    #[arg(long, value_name = "KEY", default_value = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")]
    aes_key: String,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    /// Also print each stretch of the run as one JSON object: rate, latency for bots that are up, pokes,
    /// connections to the bots
    #[arg(long, value_name = "TIME", value_parser = span)]
    every: Option<Duration>,
}

fn name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric());
    fits.then(|| text.to_owned()).ok_or_else(|| "must be letters and digits".to_owned())
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "must be a number from 1".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.001);
    rate.ok_or_else(|| "must be a number from 0.001".to_owned())
}

fn span(text: &str) -> Result<Duration, String> {
    let span = text.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    span.ok_or_else(|| "must be a number with its unit: ms, s, m".to_owned())
}

impl Args {
    fn options(&self) -> anyhow::Result<LoadOptions> {
        anyhow::ensure!(
            self.gateway.iter().all(|gateway| gateway.scheme() == "http" && gateway.host().is_some()),
            "--gateway must be http://host[:port]: callbacks are sent without TLS"
        );
        let corps = self.corps.min(self.accounts);
        if self.wecom_listen.is_some() && self.accounts.div_ceil(corps) > ACCOUNTS_A_CORP {
            return Err(Hinted::new(
                anyhow::anyhow!("{} accounts are too many for {corps} corps", self.accounts),
                format!("WeCom allows {ACCOUNTS_A_CORP} a corp: give more with --corps"),
            )
            .into());
        }
        let wrong = |Invalid(rule)| anyhow::anyhow!("--aes-key {rule}");
        Ok(LoadOptions {
            gateways: self.gateway.clone(),
            registration: if self.unregistered { Registration::None } else { Registration::ByBots },
            name: self.name.clone(),
            corps,
            accounts: self.accounts,
            token: Secret::new(self.token.as_str()),
            aes_key: EncodingAesKey::parse(&self.aes_key).map_err(wrong)?,
            pace: self.rate.map_or(Pace::Callers(self.callers), Pace::Rate),
            length: self.callbacks.map_or(Length::Time(self.duration), Length::Callbacks),
            bots: self.bots,
            listen: self.listen,
            host: self.host.clone(),
            spell: self.spell,
            slow: self.slow,
            repeats: self.repeats,
            connections: self.connections,
            pause: self.pause,
            settle: self.settle,
        })
    }

    /// The WeCom of this run, if there is to be one. Its limits are off: proving thousands of accounts
    /// within seconds is nobody's everyday.
    async fn wecom(&self) -> anyhow::Result<Option<Wecom>> {
        let Some(address) = self.wecom_listen else { return Ok(None) };
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Hinted::new(
                anyhow::anyhow!("cannot listen on {address}: {error}"),
                "choose another address with --wecom-listen",
            )
        })?;
        let token_lifetime = Duration::from_secs(self.token_lifetime);
        let limits = Limits { calls_per_minute: usize::MAX, ..Limits::default() };
        // A gateway that was under load before still holds the tokens of that time: none may be another app's now.
        let seed = rand::random();
        let options = WecomOptions { limits, seed, token_lifetime, ..WecomOptions::default() };
        Ok(Some(Wecom::serve(listener, options)?))
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let mut signals = StopSignals::listen().context("cannot listen for SIGTERM and SIGINT")?;
    let wecom = args.wecom().await?;
    let load = Load::new(args.options()?).map_err(|error| explained(error, &args))?;
    if let Some(wecom) = &wecom {
        load.introduce(wecom);
    }
    let outcome = tokio::select! {
        outcome = load.run() => Some(outcome),
        () = display::follow(&load, REDRAW_EVERY) => None,
        error = in_stretches(&load, args.every) => return Err(error.into()),
        () = interrupted(&mut signals, &load) => None,
    };
    report::progress("");
    let Some(outcome) = outcome else { return Ok(Exit::Failure) };
    let outcome = outcome.map_err(|error| explained(error, &args))?;
    if args.json {
        report::data(serde_json::to_string(&outcome)?);
    } else {
        display::outcome(&outcome);
    }
    Ok(verdict(&outcome))
}

async fn in_stretches(load: &Load, every: Option<Duration>) -> serde_json::Error {
    match every {
        Some(every) => display::windows(load, every).await,
        None => std::future::pending().await,
    }
}

fn verdict(outcome: &Outcome) -> Exit {
    if outcome.proof.holds { Exit::Success } else { Exit::Failure }
}

/// The first signal ends the callbacks and goes on to the proof; the second ends everything.
async fn interrupted(signals: &mut StopSignals, load: &Load) {
    signals.next().await;
    load.enough();
    report::progress("");
    report::note("no further callbacks; once more ends it without the proof");
    signals.next().await;
}

fn explained(error: LoadError, args: &Args) -> anyhow::Error {
    let hint = match &error {
        LoadError::Listen(_) => "choose another address with --listen".to_owned(),
        LoadError::NoGateway(_) => "name the gateway with --gateway; is it running?".to_owned(),
        LoadError::WrongPassword => "name PUPPET_PASSWORD as --gateway http://bot:PASSWORD@host:port".to_owned(),
        LoadError::RegistrationRefused(_) => match args.wecom_listen {
            Some(address) => format!("start the gateway with WECOM_API_BASE_URL=http://{address}"),
            None => "start the gateway with REGISTRATION=open, or give --wecom-listen and let its \
                     WECOM_API_BASE_URL lead there"
                .to_owned(),
        },
        LoadError::Client(_) | LoadError::Histogram(_) => return error.into(),
    };
    Hinted::new(error, hint).into()
}

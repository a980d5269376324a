//! `simulate`: the outside world on the desk, one program each.

mod bot;
mod load;
mod rules;
mod service;
mod wecom;

use clap::{Args as ClapArgs, Subcommand};
use jiff::Timestamp;

use crate::domain::Invalid;
use crate::simulator::wecom::Credential;

use super::{Exit, on_runtime, on_threads};

/// What to simulate.
#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// A fake WeCom: its APIs, and encrypted callbacks to your server
    Wecom(wecom::Args),
    /// A small bot that registers, shows what is dispatched to it, and answers customers
    Bot(bot::Args),
    /// Another service of the app: shows each event that it receives, and checks its signature
    Service(service::Args),
    /// WeCom and many bots at once: a load generator that also proves that nothing was lost
    Load(load::Args),
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    match args {
        Args::Wecom(args) => on_runtime(wecom::run(args)),
        Args::Bot(args) => on_runtime(bot::run(args)),
        Args::Service(args) => on_runtime(service::run(args)),
        Args::Load(args) => {
            // Half of the machine is for what is measured; callers on more threads only wake one another.
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            on_threads(cores.div_ceil(2), load::run(args))
        }
    }
}

/// The corp that the simulated programs agree on unless they are told otherwise.
#[derive(Debug, ClapArgs)]
struct CorpArgs {
    /// Corp id
    #[arg(long, value_name = "ID", default_value = "ww_simulated")]
    corp: String,
    /// Secret of the corp's app
    #[arg(long, default_value = "simulated-secret")]
    secret: String,
    /// Token of its callbacks
    #[arg(long, default_value = "simulatedToken")]
    token: String,
    /// Key of its callbacks: `EncodingAESKey`, 43 characters
    #[arg(long, value_name = "KEY", default_value = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")]
    aes_key: String,
}

impl CorpArgs {
    fn credential(&self) -> anyhow::Result<Credential> {
        let wrong = |Invalid(rule)| anyhow::anyhow!("--aes-key {rule}");
        Credential::new(&self.corp, &self.token, &self.aes_key).map_err(wrong)
    }
}

/// The time of day, to the millisecond, as the journals show it (UTC).
fn time_of_day(at: Timestamp) -> String {
    format!("{at:.3}").chars().skip("2026-01-01T".len()).take("00:00:00.000".len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_every_digit_of_the_time() {
        assert_eq!(time_of_day(Timestamp::from_millisecond(1_700_000_000_100).unwrap()), "22:13:20.100");
    }
}

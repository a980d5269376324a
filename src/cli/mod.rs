//! The command line: one file a command, and the outcome of each as an exit code.

mod admin_token;
mod copy;
mod demo;
mod doctor;
mod explain;
mod healthcheck;
mod openapi;
pub mod report;
mod serve;
mod settings;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Faults;

use settings::{SettingFlags, help_footer, only};

const ABOUT: &str = "The manager gateway between WeCom customer service (微信客服) and its bots.\n\n\
    It receives WeCom's callbacks, passes each event on to the bot that is registered for the account, and \
    hands out the access tokens that all bots of a corp share. Without a command it serves.\n\n\
    Each setting is a flag or an environment variable: `--event-ttl 5m` is the same as `EVENT_TTL=5m`.";

/// The command line as clap reads it.
#[derive(Debug, Parser)]
#[command(
    name = "wxkf-gateway",
    version,
    about = ABOUT,
    long_about = None,
    max_term_width = 120,
    args_conflicts_with_subcommands = true,
    after_help = help_footer()
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the gateway until SIGTERM or Ctrl-C, then lets what is in flight end
    #[command(after_help = help_footer())]
    Serve(SettingFlags),
    /// Prints the OpenAPI document of the HTTP interface
    Openapi,
    /// Exits with 0 when the gateway on this machine is ready or degraded, with 1 when it is not
    #[command(mut_args = only(&["PORT", "PUBLIC_PORT", "OPS_PORT", "BIND_ADDRESS"]))]
    Healthcheck(healthcheck::Args),
    /// Prints the admin token that the gateway generated, and the link of the console
    #[command(mut_args = only(&["DATA_DIR", "PORT", "OPS_PORT", "BIND_ADDRESS"]))]
    AdminToken(SettingFlags),
    /// Tells, offline, why a callback fails verification: which one input is wrong, and what to do
    Explain(explain::Args),
    /// Copies everything to another store: to many replicas, back, or to a backup; also while it is in use
    Copy(copy::Args),
    /// Checks a set-up: settings, store, cache, WeCom, callbacks, secrets, bots; says what is wrong and what to do
    #[command(mut_args = only(doctor::SETTINGS))]
    Doctor(doctor::Args),
    /// A part of the outside world, to work without a company, a public address or a trusted IP
    #[command(subcommand)]
    Simulate(Box<simulate::Args>),
    /// Everything at once on this machine: the gateway, a simulated WeCom, a bot and a customer who writes
    Demo(demo::Args),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Success,
    /// Something did not work; the user may not be to blame.
    Failure,
    /// A mistake on the command line that clap cannot see.
    Usage,
    /// The settings are wrong (`EX_CONFIG` of sysexits.h).
    Settings,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::FAILURE,
            Exit::Usage => Self::from(2),
            Exit::Settings => Self::from(78),
        }
    }
}

/// The program: reads the command line and runs the command. A mistake on the command line itself ends
/// the process with exit code 2, as clap does it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = cli.command.unwrap_or(Command::Serve(cli.settings)).run().unwrap_or_else(|error| failed(&error));
    exit.into()
}

impl Command {
    fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Serve(settings) => serve::run(&settings),
            Self::Openapi => openapi::run(),
            Self::Healthcheck(args) => healthcheck::run(&args),
            Self::AdminToken(settings) => admin_token::run(&settings),
            Self::Explain(args) => explain::run(&args),
            Self::Copy(args) => copy::run(&args),
            Self::Doctor(args) => doctor::run(&args),
            Self::Simulate(args) => simulate::run(*args),
            Self::Demo(args) => demo::run(args),
        }
    }
}

/// A failure that the user can mend.
#[derive(Debug, thiserror::Error)]
#[error("{error:#}")]
struct Hinted {
    error: anyhow::Error,
    hint: String,
}

impl Hinted {
    fn new(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> Self {
        Self { error: error.into(), hint: hint.into() }
    }
}

/// Says what went wrong: wrong settings one line each, anything else with its causes.
fn failed(error: &anyhow::Error) -> Exit {
    let Some(faults) = error.downcast_ref::<Faults>() else {
        report::error(format_args!("{error:#}"));
        if let Some(Hinted { hint, .. }) = error.downcast_ref() {
            report::hint(hint);
        }
        return Exit::Failure;
    };
    for fault in &faults.0 {
        report::error(fault);
    }
    report::hint("`wxkf-gateway serve --help` lists every setting");
    Exit::Settings
}

/// The runtime of the commands that need one. Dropped without waiting for blocking work, which nobody
/// may interrupt.
fn on_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    block_on(tokio::runtime::Builder::new_multi_thread(), work)
}

/// The same with so many threads.
fn on_threads<T>(threads: usize, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(threads);
    block_on(runtime, work)
}

fn block_on<T>(
    mut runtime: tokio::runtime::Builder,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let runtime = runtime.enable_all().build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_are_flags_with_and_without_serve() {
        for line in [&["wxkf-gateway", "--port", "1"][..], &["wxkf-gateway", "serve", "--port=1"]] {
            let cli = Cli::try_parse_from(line).unwrap();
            let settings = match cli.command {
                Some(Command::Serve(settings)) => settings,
                _ => cli.settings,
            };
            assert_eq!(settings.load().unwrap().0.port, 1);
        }
        let secret = Cli::try_parse_from(["wxkf-gateway", "--master-key", "x"]).unwrap_err();
        assert_eq!(secret.exit_code(), 2);
    }
}

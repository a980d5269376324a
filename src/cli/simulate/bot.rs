//! `simulate bot`.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::{Args as ClapArgs, ValueEnum};
use tokio::sync::broadcast::error::RecvError;

use crate::lifecycle::StopSignals;
use crate::simulator::Entry;
use crate::simulator::bot::{Answer, Bot, BotHappening, BotOptions, Mode, TokenSource};

use super::super::report::{self, BOLD, DIM, GREEN, RED};
use super::super::{Exit, Hinted};
use super::{CorpArgs, time_of_day};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AnswerKind {
    Echo,
    Canned,
    Silent,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Args {
    /// The gateway; with a password as `http://bot:PASSWORD@host:port`
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7777")]
    manager: String,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8701")]
    listen: SocketAddr,
    /// The address to register, when it is another than it listens on
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// WeCom's API
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8700")]
    wecom: String,
    #[command(flatten)]
    corp: CorpArgs,
    /// The account that it works for (`open_kfid`)
    #[arg(long = "kf", value_name = "ID", default_value = "wk_simulated")]
    kf: String,
    /// Ready before it registers, and no dispatch kills it; otherwise it behaves as the unmodified one
    #[arg(long)]
    robust: bool,
    /// What customers get
    #[arg(long, value_enum, value_name = "KIND", default_value = "echo")]
    answer: AnswerKind,
    /// The answer of `--answer canned`
    #[arg(long, default_value = "Thank you, we will be back soon.")]
    text: String,
}

impl Args {
    fn options(&self) -> anyhow::Result<BotOptions> {
        let trimmed = |url: &str| url.trim_end_matches('/').to_owned();
        Ok(BotOptions {
            manager: trimmed(&self.manager),
            wecom: trimmed(&self.wecom),
            listen: self.listen,
            endpoint: self.endpoint.as_deref().map(trimmed),
            mode: if self.robust { Mode::Robust } else { Mode::Unmodified },
            answer: match self.answer {
                AnswerKind::Echo => Answer::Echo,
                AnswerKind::Canned => Answer::Canned(self.text.clone()),
                AnswerKind::Silent => Answer::Silent,
            },
            ..BotOptions::new(&self.corp.corp, &self.corp.secret, self.corp.credential()?, &self.kf)
        })
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let mut signals = StopSignals::listen().context("cannot listen for SIGTERM and SIGINT")?;
    let bot = Bot::start(args.options()?).await.map_err(|error| {
        Hinted::new(
            anyhow::anyhow!("cannot listen on {}: {error}", args.listen),
            "choose another address with --listen",
        )
    })?;
    let kind = if args.robust { "A robust bot" } else { "A bot that behaves as the unmodified one" };
    report::data(format_args!("{BOLD}{kind} listens on http://{}{BOLD:#}", bot.address()));
    report::data(format_args!("  It works for the account {} of the corp {}.", args.kf, args.corp.corp));
    report::data("  Ctrl-C deregisters it; SIGTERM ends it without a word.");
    tokio::select! {
        signal = signals.next() => {
            if signal == "SIGTERM" {
                bot.terminate().await;
            } else {
                bot.stop().await;
                report::data("deregistered");
            }
            Ok(Exit::Success)
        }
        () = show(&bot) => {
            let reason = bot.died().map_or_else(|| "it stopped".to_owned(), |death| death.to_string());
            Err(Hinted::new(anyhow::anyhow!("the bot died: {reason}"), "--robust survives every dispatch").into())
        }
    }
}

/// One line for each thing that happens, until it dies.
async fn show(bot: &Bot) {
    let (before, mut news) = bot.journal().follow_from_start();
    before.iter().for_each(line);
    while bot.died().is_none() {
        match news.recv().await {
            Ok(entry) => line(&entry),
            Err(RecvError::Lagged(missed)) => report::data(format_args!("… {missed} lines left out")),
            Err(RecvError::Closed) => return,
        }
    }
}

fn line(entry: &Entry<BotHappening>) {
    let source = |from: &TokenSource| match from {
        TokenSource::Wecom => "WeCom",
        TokenSource::Manager => "the gateway",
    };
    let (good, text) = match &entry.what {
        BotHappening::TokenFetched { from, expires_in } => {
            (true, format!("token from {}, good for {expires_in} s", source(from)))
        }
        BotHappening::TokenRefused { from, why } => (false, format!("no token from {}: {why}", source(from))),
        BotHappening::Registered => (true, "registered".to_owned()),
        BotHappening::RegistrationFailed { why } => (false, format!("not registered: {why}")),
        BotHappening::Ready => (true, "ready".to_owned()),
        BotHappening::Dispatched { path, status, poke: Some(poke) } => {
            let token = if poke.token.is_some() { "with a sync token" } else { "without a token" };
            (true, format!("dispatched to {path}: news for {}, {token}; answered {status}", poke.open_kf_id))
        }
        BotHappening::Dispatched { path, status, poke: None } => {
            (*status < 500, format!("request for {path}; answered {status}"))
        }
        BotHappening::Synced { messages, tokenless } => {
            let by_itself = if *tokenless { ", by itself" } else { "" };
            (true, format!("sync_msg: {messages} new{by_itself}"))
        }
        BotHappening::Answered { customer, text } => (true, format!("to {customer}: {text}")),
        BotHappening::CallFailed { api, why } => (false, format!("{api} failed: {why}")),
        BotHappening::Deregistered => (true, "deregistered".to_owned()),
        BotHappening::Died { reason } => (false, format!("died: {reason}")),
    };
    let (time, ms, style) = (time_of_day(entry.at), entry.took_ms, if good { GREEN } else { RED });
    report::data(format_args!("{DIM}{time}{DIM:#} {style}●{style:#} {text} {DIM}{ms} ms{DIM:#}"));
}

//! `demo`: everything at once in one process and a temporary directory, told hop by hop.
//!
//! All parts are the real ones and talk over real sockets: the gateway is what `serve` runs, WeCom and
//! the bot are those of `simulate`. What is told comes from the journals of WeCom and the bot, who stand
//! on both sides of the gateway; the gateway itself is not touched.

mod gateway;
mod narrator;
mod news;
mod sum;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args as ClapArgs;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::lifecycle::StopSignals;
use crate::simulator::Customer;
use crate::simulator::bot::{Bot, BotOptions, Mode};
use crate::simulator::wecom::{Credential, Verification, Wecom, WecomOptions};

use super::{Exit, on_runtime, report};
use gateway::{Gateway, GatewayPlan};
use narrator::Narrator;
use sum::Sum;

const CORP: &str = "ww_demo";
const SECRET: &str = "demo-secret";
const ACCOUNT: &str = "wk_demo";
const CUSTOMER: &str = "Ling";
const CALLBACK_TOKEN: &str = "demoCallbackToken";
const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// Ports a newcomer remembers; when they are taken, any others.
const WECOM_PORT: u16 = 8700;
const BOT_PORT: u16 = 8701;
/// After that, the demo says that no answer came, and goes on.
const PATIENCE: Duration = Duration::from_secs(10);

const QUESTIONS: &[&str] = &[
    "Hello, is anybody there?",
    "Where is my parcel?",
    "Can I change the address?",
    "Which colours are there?",
    "Do you open on Sundays?",
    "Thank you!",
];

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Seconds between the customer's messages
    #[arg(long, value_name = "SECONDS", default_value_t = 4)]
    every: u64,
    /// Ends after so many messages; without it, Ctrl-C ends the demo
    #[arg(long, value_name = "NUMBER")]
    messages: Option<usize>,
    /// The gateway's port; when it is taken, a free one
    #[arg(long, default_value_t = 7777)]
    port: u16,
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    on_runtime(show(args))
}

async fn show(args: Args) -> anyhow::Result<Exit> {
    let mut signals = StopSignals::listen().context("cannot listen for SIGTERM and SIGINT")?;
    let stage = Stage::set(&args).await?;
    let narrator = Narrator::new(&stage);
    let sum = Mutex::new(Sum::default());
    narrator.introduce().await;
    let outcome = tokio::select! {
        _ = signals.next() => Ok(()),
        outcome = stage.play(&args, &narrator, &sum) => outcome,
        () = narrator.tell() => Ok(()),
    };
    narrator.end(&sum.lock());
    stage.clear().await;
    report::data("  The bot has deregistered, the gateway has stopped, its directory is gone.");
    outcome.map(|()| Exit::Success)
}

/// Who plays: everything that runs.
struct Stage {
    wecom: Wecom,
    gateway: Gateway,
    bot: Bot,
}

impl Stage {
    /// Starts WeCom, the gateway and the bot, in this order.
    async fn set(args: &Args) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(free(WECOM_PORT).await?).await.context("cannot listen for WeCom's part")?;
        let wecom = Wecom::serve(listener, WecomOptions::default())?;
        let credential = Credential::new(CORP, CALLBACK_TOKEN, AES_KEY)?;
        wecom.corp(CORP).secret(SECRET).account(ACCOUNT).sealed_by(credential.clone());
        let plan = GatewayPlan { port: free(args.port).await?.port(), wecom: wecom.base_url() };
        let gateway = gateway::start(plan).await?;
        wecom.set_callback_url(CORP, &format!("{}/callback/{CORP}", gateway.base_url()));
        let bot = Bot::start(BotOptions {
            manager: gateway.base_url_for_bots(),
            wecom: wecom.base_url(),
            listen: free(BOT_PORT).await?,
            mode: Mode::Robust,
            // So that each message shows where its token comes from.
            keeps_token: false,
            poll_every: None,
            ..BotOptions::new(CORP, SECRET, credential, ACCOUNT)
        });
        Ok(Self { wecom, gateway, bot: bot.await.context("cannot listen for the bot's part")? })
    }

    /// The plot: the bot registers, the administrator saves the callback URL, the customer writes.
    async fn play(&self, args: &Args, narrator: &Narrator<'_>, sum: &Mutex<Sum>) -> anyhow::Result<()> {
        ensure!(self.bot.registered(PATIENCE).await, "the bot could not register with the gateway");
        let verification = self.wecom.verify_url(CORP).await;
        ensure!(verification == Verification::Passed, "the gateway did not verify: {verification:?}");
        let customer = Customer::new(&self.wecom, CORP, ACCOUNT, CUSTOMER);
        let questions = QUESTIONS.iter().cycle().enumerate();
        for (number, question) in questions.take(args.messages.unwrap_or(usize::MAX)) {
            if number > 0 {
                tokio::time::sleep(Duration::from_secs(args.every)).await;
            }
            let talk = customer.asks(question, PATIENCE).await;
            narrator.caught_up().await;
            if talk.answer.is_none() {
                narrator.no_answer(PATIENCE);
            }
            sum.lock().add(talk.answer.map(|(_, took)| took));
        }
        Ok(())
    }

    /// Everybody leaves in the order in which nothing is missed: the bot deregisters, the gateway
    /// drains, its directory goes.
    async fn clear(self) {
        self.bot.stop().await;
        self.gateway.stop().await;
        drop(self.wecom);
    }
}

/// The wanted port of this machine, or any other when it is taken.
async fn free(port: u16) -> anyhow::Result<SocketAddr> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = match TcpListener::bind(wanted).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port is free")?,
    };
    Ok(listener.local_addr()?)
}

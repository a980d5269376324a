//! The rows, in the order in which they are measured.

mod dispatch;
mod proxy;
mod services;
mod stored;
mod tokens;

use std::time::Duration;

use crate::bot::Bot;
use crate::callers::Measured;
use crate::events::{self, News};
use crate::gateway::Gateway;
use crate::process::Bare;
use crate::report::Report;

/// Accounts that events are spread over.
const ACCOUNTS: usize = 10_000;
/// Callers at the same time.
const CALLERS: usize = 64;
/// Downloaders at the same time.
const FILE_CALLERS: usize = 8;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

pub async fn compare() -> anyhow::Result<()> {
    let mut report = Report::new(ROUNDS, ROUND);
    let bot = Bot::start().await?;
    let forwarder = Bare::start("bare-forwarder", &bot.url()).await?;
    let handler = Bare::start("bare-handler", "").await?;

    let gateway = Gateway::start(&[]).await?;
    report.start(gateway.ready_after, gateway.resident_memory()?);
    gateway.register_bots(ACCOUNTS, &bot.url()).await?;

    let news = News::accounts(ACCOUNTS);
    let sides = dispatch::Sides { gateway: &gateway, forwarder: &forwarder, bot: &bot };
    dispatch::row(&mut report, "callbacks with dispatch, 64 callers", (news, CALLERS), &sides).await?;
    dispatch::row(&mut report, "callbacks with dispatch, one caller", (news, 1), &sides).await?;
    let hot = News::accounts(1);
    dispatch::row(&mut report, "callbacks of one hot account, 64 callers", (hot, CALLERS), &sides).await?;
    tokens::row(&mut report, &gateway, &handler).await?;
    proxy::rows(&mut report, &gateway).await?;
    report.memory("after load", gateway.resident_memory()?);

    stored::rows(&mut report, &forwarder).await?;
    stored::on_mongodb(&mut report).await?;

    services::row(&mut report, "callbacks that 10 services take", (1, 10), &forwarder, &bot).await?;
    services::row(&mut report, "callbacks that 1,000 services of 200 corps take", (200, 5), &forwarder, &bot).await?;
    report.print();
    Ok(())
}

/// A row of rounds that are the same on both sides, whose addresses these are: the gateway's, and the bare program's.
async fn in_turns(
    report: &mut Report,
    row: &str,
    (gateway, program): (&str, &str),
    round: impl AsyncFn(&str) -> anyhow::Result<Measured>,
) -> anyhow::Result<()> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(round(program).await?);
        ours.push(round(gateway).await?);
    }
    report.compare(row, &ours, &bare, None);
    Ok(())
}

/// A gateway that knows the corp and no bot: all is stored.
async fn without_bots(extra: &[(&str, &str)]) -> anyhow::Result<Gateway> {
    let gateway = Gateway::start(extra).await?;
    gateway.declare_corp(events::CORP).await?;
    Ok(gateway)
}

//! What the guarantees cost: the gateway against bare programs that give none, side by side in one
//! run, on the same machine, called by the same callers.
//!
//! `cargo bench` prints the table as Markdown, `cargo bench -- proxied` only the rows whose names hold
//! that word. Every comparison runs its two sides in turns and shows the ratio of their medians, because
//! machines are noisy and ratios less so.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod baseline;
mod bot;
mod callers;
mod events;
mod process;
mod report;

use std::time::Duration;

use callers::Measured;
use events::News;
use process::Gateway;
use report::Report;

/// Accounts that events are spread over.
pub const ACCOUNTS: usize = 2_000;
/// Callers at the same time.
const CALLERS: usize = 64;
/// Downloaders at the same time.
const FILE_CALLERS: usize = 8;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

fn main() -> anyhow::Result<()> {
    wxkf_gateway::egress::install_tls_provider();
    // The bare programs run in processes of their own, as the gateway does.
    if let Some(kind) = std::env::args().nth(1).filter(|kind| kind.starts_with("bare-")) {
        return baseline::run(&kind);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(compare())
}

async fn compare() -> anyhow::Result<()> {
    let mut report = Report::new(ROUNDS, ROUND);
    let bot = bot::Bot::start().await?;
    let forwarder = process::Bare::start("bare-forwarder", &bot.url()).await?;
    let handler = process::Bare::start("bare-handler", "").await?;

    let gateway = Gateway::start(&[]).await?;
    report.start(gateway.ready_after, gateway.resident_memory()?);
    gateway.register_bots(&bot.url()).await?;

    dispatch(&mut report, "callbacks with dispatch, 64 callers", CALLERS, &gateway, &forwarder, &bot).await?;
    dispatch(&mut report, "callbacks with dispatch, one caller", 1, &gateway, &forwarder, &bot).await?;
    token_reads(&mut report, &gateway, &handler).await?;
    proxied(&mut report, &gateway).await?;
    report.memory("after load", gateway.resident_memory()?);

    let absent = Gateway::start(&[]).await?;
    absent.declare_corp(events::CORP).await?;
    stored(&mut report, &absent, &forwarder).await?;
    report.memory("with held events", absent.resident_memory()?);
    drop(absent);

    services(&mut report, "callbacks that 10 services take", (1, 10), &forwarder, &bot).await?;
    services(&mut report, "callbacks that 1,000 services of 200 corps take", (200, 5), &forwarder, &bot).await?;
    report.print();
    Ok(())
}

/// All rows are wanted, unless words are given.
fn is_wanted(row: &str) -> bool {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    words.is_empty() || words.iter().any(|word| row.contains(word))
}

async fn dispatch(
    report: &mut Report,
    name: &str,
    callers: usize,
    gateway: &Gateway,
    forwarder: &process::Bare,
    bot: &bot::Bot,
) -> anyhow::Result<()> {
    if !is_wanted(name) {
        return Ok(());
    }
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut pokes = 0;
    for _ in 0..ROUNDS {
        bare.push(callers::callbacks(&forwarder.url, News::Accounts, callers, ROUND).await?);
        let before = bot.pokes();
        ours.push(callers::callbacks(&gateway.url, News::Accounts, callers, ROUND).await?);
        pokes += bot.pokes() - before;
    }
    let acknowledged: u64 = ours.iter().map(|round: &Measured| round.answered).sum();
    report.compare(name, &ours, &bare, Some(pokes as f64 / acknowledged as f64));
    Ok(())
}

async fn stored(report: &mut Report, gateway: &Gateway, forwarder: &process::Bare) -> anyhow::Result<()> {
    const ROW: &str = "stored callbacks (bots absent, full sync)";
    if !is_wanted(ROW) {
        return Ok(());
    }
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(callers::callbacks(&forwarder.url, News::Accounts, CALLERS, ROUND).await?);
        ours.push(callers::callbacks(&gateway.url, News::Accounts, CALLERS, ROUND).await?);
    }
    report.compare(ROW, &ours, &bare, None);
    Ok(())
}

/// Stored, acknowledged, and sent on in their order: a round ends when every event has arrived.
async fn services(
    report: &mut Report,
    row: &str,
    (corps, each): (usize, usize),
    forwarder: &process::Bare,
    bot: &bot::Bot,
) -> anyhow::Result<()> {
    if !is_wanted(row) {
        return Ok(());
    }
    let gateway = Gateway::start(&[]).await?;
    gateway.declare_services(corps, each, &format!("{}/callback", bot.url())).await?;
    report.memory(&format!("with {} services", corps * each), gateway.resident_memory()?);
    let news = News::Services { corps, each };
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut arrived_after = Vec::new();
    for _ in 0..ROUNDS {
        bare.push(callers::callbacks(&forwarder.url, News::Accounts, CALLERS, ROUND).await?);
        let before = bot.pokes();
        let round = callers::callbacks(&gateway.url, news, CALLERS, ROUND).await?;
        arrived_after.push(bot.has_taken(before + round.answered).await?);
        ours.push(round);
    }
    report.compare(row, &ours, &bare, None);
    report.arrived(row, &arrived_after);
    report.memory(&format!("after load on {} services", corps * each), gateway.resident_memory()?);
    Ok(())
}

/// Calls with the corp's own token, which the gateway looks at before and after; and a file.
async fn proxied(report: &mut Report, gateway: &Gateway) -> anyhow::Result<()> {
    gateway.obtain_token().await?;
    let proxy = process::Bare::start("bare-proxy", &gateway.upstream).await?;
    let path = |api: &str| format!("/cgi-bin/{api}?access_token={}", events::ACCESS_TOKEN);
    let (call, file) = (path("kf/send_msg"), path("media/get"));
    let call = async |url: &str| callers::calls(url, &call, CALLERS, ROUND).await;
    compare_proxies(report, "proxied calls (JSON)", gateway, &proxy, call).await?;
    let download = async |url: &str| callers::reads(url, &file, FILE_CALLERS, ROUND).await;
    compare_proxies(report, "proxied downloads (2 MiB)", gateway, &proxy, download).await
}

async fn compare_proxies(
    report: &mut Report,
    row: &str,
    gateway: &Gateway,
    bare_proxy: &process::Bare,
    round: impl AsyncFn(&str) -> anyhow::Result<Measured>,
) -> anyhow::Result<()> {
    if !is_wanted(row) {
        return Ok(());
    }
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(round(&bare_proxy.url).await?);
        ours.push(round(&gateway.url).await?);
    }
    report.compare(row, &ours, &bare, None);
    Ok(())
}

async fn token_reads(report: &mut Report, gateway: &Gateway, handler: &process::Bare) -> anyhow::Result<()> {
    const ROW: &str = "token reads";
    if !is_wanted(ROW) {
        return Ok(());
    }
    let path = format!("/api/corp/accessToken?corpid={}&corpsecret={}", events::CORP, events::SECRET);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(callers::reads(&handler.url, &path, CALLERS, ROUND).await?);
        ours.push(callers::reads(&gateway.url, &path, CALLERS, ROUND).await?);
    }
    report.compare(ROW, &ours, &bare, None);
    Ok(())
}

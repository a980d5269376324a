//! Callbacks that services take: stored, acknowledged, and sent on in their order. A round ends when
//! every event has arrived.

use super::{ACCOUNTS, CALLERS, ROUND, ROUNDS};
use crate::bot::Bot;
use crate::callers;
use crate::events::News;
use crate::gateway::Gateway;
use crate::is_wanted;
use crate::process::Bare;
use crate::report::Report;

pub async fn row(
    report: &mut Report,
    row: &str,
    (corps, each): (usize, usize),
    forwarder: &Bare,
    bot: &Bot,
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
        bare.push(callers::callbacks(&forwarder.url, News::accounts(ACCOUNTS), CALLERS, ROUND).await?);
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

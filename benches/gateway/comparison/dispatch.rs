//! Callbacks that bots take at once.

use super::{ROUND, ROUNDS};
use crate::bot::Bot;
use crate::callers::{self, Measured};
use crate::events::News;
use crate::gateway::Gateway;
use crate::is_wanted;
use crate::process::Bare;
use crate::report::Report;

pub struct Sides<'a> {
    pub gateway: &'a Gateway,
    pub forwarder: &'a Bare,
    pub bot: &'a Bot,
}

pub async fn row(
    report: &mut Report,
    row: &str,
    (news, callers): (News, usize),
    Sides { gateway, forwarder, bot }: &Sides<'_>,
) -> anyhow::Result<()> {
    if !is_wanted(row) {
        return Ok(());
    }
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut pokes = 0;
    for _ in 0..ROUNDS {
        bare.push(callers::callbacks(&forwarder.url, news, callers, ROUND).await?);
        let before = bot.pokes();
        ours.push(callers::callbacks(&gateway.url, news, callers, ROUND).await?);
        pokes += bot.pokes() - before;
    }
    let acknowledged: u64 = ours.iter().map(|round: &Measured| round.answered).sum();
    report.compare(row, &ours, &bare, Some(pokes as f64 / acknowledged as f64));
    Ok(())
}

//! Callbacks that are acknowledged because they are kept: their bots are absent.

use super::{ACCOUNTS, CALLERS, ROUND, ROUNDS, in_turns, without_bots};
use crate::callers;
use crate::events::News;
use crate::is_wanted;
use crate::mongo::Mongo;
use crate::process::Bare;
use crate::report::Report;

const NEWS: News = News::Accounts { accounts: ACCOUNTS, corps: 1 };

/// Against what keeps nothing, and against what keeps everything, in the same rounds.
pub async fn rows(report: &mut Report, forwarder: &Bare) -> anyhow::Result<()> {
    const FORWARDED: &str = "stored callbacks (bots absent, full sync)";
    const COMMITTED: &str = "stored callbacks, bare group commit beside them";
    if !is_wanted(FORWARDED) && !is_wanted(COMMITTED) {
        return Ok(());
    }
    let gateway = without_bots(&[]).await?;
    let directory = tempfile::tempdir()?;
    let keeper = Bare::start("bare-group-commit", &directory.path().to_string_lossy()).await?;
    let (mut ours, mut forwarded, mut committed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        forwarded.push(callers::callbacks(&forwarder.url, NEWS, CALLERS, ROUND).await?);
        committed.push(callers::callbacks(&keeper.url, NEWS, CALLERS, ROUND).await?);
        ours.push(callers::callbacks(&gateway.url, NEWS, CALLERS, ROUND).await?);
    }
    report.compare(FORWARDED, &ours, &forwarded, None);
    report.compare(COMMITTED, &ours, &committed, None);
    report.memory("with held events", gateway.resident_memory()?);
    Ok(())
}

/// Against the driver's own batched inserts, where there is a server.
pub async fn on_mongodb(report: &mut Report) -> anyhow::Result<()> {
    const ROW: &str = "stored callbacks on MongoDB's protocol, the driver's batched inserts beside them";
    if !is_wanted(ROW) {
        return Ok(());
    }
    let mongo = match Mongo::find().await {
        Ok(mongo) => mongo,
        Err(why) => {
            report.leave_out(ROW, &format!("{why:#}"));
            return Ok(());
        }
    };
    let measured = beside_inserts(report, ROW, &mongo).await;
    mongo.drop_databases().await?;
    measured
}

async fn beside_inserts(report: &mut Report, row: &str, mongo: &Mongo) -> anyhow::Result<()> {
    let gateway = without_bots(&[("MONGO_URI", &mongo.uri("gateway"))]).await?;
    let keeper = Bare::start("bare-batched-inserts", &mongo.uri("bare")).await?;
    let call = async |url: &str| callers::callbacks(url, NEWS, CALLERS, ROUND).await;
    in_turns(report, row, (&gateway.url, &keeper.url), call).await
}

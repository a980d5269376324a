//! Calls with the corp's own token, which the gateway looks at before and after; and a file.

use super::{CALLERS, FILE_CALLERS, ROUND, ROUNDS};
use crate::callers::{self, Measured};
use crate::events;
use crate::gateway::Gateway;
use crate::is_wanted;
use crate::process::Bare;
use crate::report::Report;

pub async fn rows(report: &mut Report, gateway: &Gateway) -> anyhow::Result<()> {
    gateway.obtain_token().await?;
    let proxy = Bare::start("bare-proxy", &gateway.upstream).await?;
    let path = |api: &str| format!("/cgi-bin/{api}?access_token={}", events::ACCESS_TOKEN);
    let (call, file) = (path("kf/send_msg"), path("media/get"));
    let call = async |url: &str| callers::calls(url, &call, CALLERS, ROUND).await;
    row(report, "proxied calls (JSON)", gateway, &proxy, call).await?;
    let download = async |url: &str| callers::reads(url, &file, FILE_CALLERS, ROUND).await;
    row(report, "proxied downloads (2 MiB)", gateway, &proxy, download).await
}

async fn row(
    report: &mut Report,
    row: &str,
    gateway: &Gateway,
    bare_proxy: &Bare,
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

//! Calls with the corp's own token, which the gateway looks at before and after; and a file.

use super::{CALLERS, FILE_CALLERS, ROUND, in_turns};
use crate::callers;
use crate::events;
use crate::gateway::Gateway;
use crate::is_wanted;
use crate::process::Bare;
use crate::report::Report;

pub async fn rows(report: &mut Report, gateway: &Gateway) -> anyhow::Result<()> {
    const CALLS: &str = "proxied calls (JSON)";
    const DOWNLOADS: &str = "proxied downloads (2 MiB)";
    gateway.obtain_token().await?;
    let proxy = Bare::start("bare-proxy", &gateway.upstream).await?;
    let path = |api: &str| format!("/cgi-bin/{api}?access_token={}", events::ACCESS_TOKEN);
    let (call, file) = (path("kf/send_msg"), path("media/get"));
    let sides = (&*gateway.url, &*proxy.url);
    if is_wanted(CALLS) {
        let call = async |url: &str| callers::calls(url, &call, CALLERS, ROUND).await;
        in_turns(report, CALLS, sides, call).await?;
    }
    if is_wanted(DOWNLOADS) {
        let download = async |url: &str| callers::reads(url, &file, FILE_CALLERS, ROUND).await;
        in_turns(report, DOWNLOADS, sides, download).await?;
    }
    Ok(())
}

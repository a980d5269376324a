//! Reads of an access token that the gateway has.

use super::{CALLERS, ROUND, in_turns};
use crate::callers;
use crate::events::{CORP, SECRET};
use crate::gateway::Gateway;
use crate::is_wanted;
use crate::process::Bare;
use crate::report::Report;

pub async fn row(report: &mut Report, gateway: &Gateway, handler: &Bare) -> anyhow::Result<()> {
    const ROW: &str = "token reads";
    if !is_wanted(ROW) {
        return Ok(());
    }
    let path = format!("/api/corp/accessToken?corpid={CORP}&corpsecret={SECRET}");
    let read = async |url: &str| callers::reads(url, &path, CALLERS, ROUND).await;
    in_turns(report, ROW, (&gateway.url, &handler.url), read).await
}

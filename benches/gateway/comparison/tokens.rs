//! Reads of an access token that the gateway has.

use super::{CALLERS, ROUND, ROUNDS};
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
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(callers::reads(&handler.url, &path, CALLERS, ROUND).await?);
        ours.push(callers::reads(&gateway.url, &path, CALLERS, ROUND).await?);
    }
    report.compare(ROW, &ours, &bare, None);
    Ok(())
}

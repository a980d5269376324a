//! `openapi`: the document of the HTTP interface, the same bytes as `GET /openapi.json`.

use super::{Exit, report};
use crate::router;

pub(super) fn run() -> anyhow::Result<Exit> {
    report::data(router::document().text().trim_end());
    Ok(Exit::Success)
}

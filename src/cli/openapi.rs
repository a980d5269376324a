//! `openapi`: the document of the HTTP interface, the same bytes as `GET /openapi.json`.

use anyhow::Context as _;

use super::{Exit, report};
use crate::openapi::DOCUMENT;

pub(super) fn run() -> anyhow::Result<Exit> {
    report::document(DOCUMENT.trim_end()).context("cannot write the document")?;
    Ok(Exit::Success)
}

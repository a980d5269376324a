//! `openapi`: the document of the HTTP interface, the same bytes as `GET /openapi.json`.

use super::{Exit, report};

pub(super) fn run() -> anyhow::Result<Exit> {
    report::data(document()?.trim_end());
    Ok(Exit::Success)
}

/// STAND-IN until `openapi.rs` is there: replace with its document.
fn document() -> anyhow::Result<String> {
    let info = serde_json::json!({ "title": "wxkf-gateway", "version": env!("CARGO_PKG_VERSION") });
    let document = serde_json::json!({ "openapi": "3.1.0", "info": info, "paths": {} });
    Ok(serde_json::to_string_pretty(&document)?)
}

//! What happened, and the clock.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Refused, Sim};
use crate::simulator::Entry;
use crate::simulator::wecom::Happening;

#[derive(Deserialize, IntoParams)]
pub(super) struct After {
    /// Only entries with a greater number.
    #[serde(default)]
    pub after: u64,
}

/// One thing that happened.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JournalEntry {
    /// Counts from 1, without gaps.
    pub number: u64,
    /// RFC 3339, by the simulator's clock.
    at: String,
    /// Real milliseconds.
    took_ms: u64,
    #[serde(flatten)]
    what: Happening,
}

impl From<Entry<Happening>> for JournalEntry {
    fn from(entry: Entry<Happening>) -> Self {
        let Entry { number, at, took_ms, what } = entry;
        Self { number, at: format!("{at:.3}"), took_ms, what }
    }
}

/// Everything that happened, and why it was answered so
#[utoipa::path(
    get, path = "/simulator/journal", operation_id = "journal", tag = "Time", params(After),
    responses((status = 200, description = "In order", body = Vec<JournalEntry>)),
)]
pub(super) async fn journal(State(shared): Sim, Query(query): Query<After>) -> Json<Vec<JournalEntry>> {
    Json(shared.journal.after(query.after).into_iter().map(JournalEntry::from).collect())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "advanceSeconds": 600 }))]
pub(super) struct Advance {
    advance_seconds: u64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Now {
    /// RFC 3339.
    now: String,
}

/// Let time pass
///
/// Tokens, codes, messages and penalties age at once; the gateway's own clock stays.
#[utoipa::path(
    post, path = "/simulator/clock", operation_id = "advanceClock", tag = "Time",
    responses((status = 200, description = "WeCom's new time", body = Now)),
)]
pub(super) async fn advance(
    State(shared): Sim,
    body: Result<Json<Advance>, JsonRejection>,
) -> Result<Json<Now>, Refused> {
    let Json(Advance { advance_seconds }) = body?;
    shared.options.clock.advance(Duration::from_secs(advance_seconds));
    shared.tell(format!("{advance_seconds} s pass at once"));
    Ok(Json(Now { now: shared.options.clock.now().to_string() }))
}

//! Customers, and what else makes WeCom call.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::corps::OneCorp;
use super::time::JournalEntry;
use super::{Refused, Sim};
use crate::simulator::wecom::api::messages;
use crate::simulator::wecom::{Delivery, EventFields, Happening, Verification, inner_xml};

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewMessage {
    corp: String,
    open_kf_id: String,
    /// The external user id; it comes into being when it first writes.
    customer: String,
    text: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Delivered {
    delivery: Delivery,
}

/// Let a customer write
///
/// The message is stored and a `kf_msg_or_event` goes to the corp's callback URL; the answer comes when
/// that was accepted or given up after three repeats.
#[utoipa::path(
    post, path = "/simulator/messages", operation_id = "writeMessage", tag = "Talk",
    responses((status = 200, description = "What became of the callback", body = Delivered), (status = 404, description = "No such corp or account")),
)]
pub(super) async fn write(
    State(shared): Sim,
    body: Result<Json<NewMessage>, JsonRejection>,
) -> Result<Json<Delivered>, Refused> {
    let Json(NewMessage { corp, open_kf_id, customer, text }) = body?;
    shared.knows_account(&corp, &open_kf_id)?;
    let event = shared.store_message(&corp, &open_kf_id, &customer, &text);
    Ok(Json(Delivered { delivery: shared.call_back(&corp, &event).await }))
}

#[derive(Deserialize, IntoParams)]
pub(super) struct Whose {
    customer: String,
}

/// What a customer was sent
#[utoipa::path(
    get, path = "/simulator/answers", operation_id = "answers", tag = "Talk", params(Whose),
    responses((status = 200, description = "In order", body = Vec<JournalEntry>)),
)]
pub(super) async fn answers(State(shared): Sim, Query(whose): Query<Whose>) -> Json<Vec<JournalEntry>> {
    let told =
        |what: &Happening| matches!(what, Happening::CustomerAnswered { customer, .. } if *customer == whose.customer);
    let entries = shared.journal.entries().into_iter().filter(|entry| told(&entry.what));
    Json(entries.map(JournalEntry::from).collect())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewEvent {
    corp: String,
    /// Its name by WeCom, such as `kf_account_auth_change`, `suite_ticket`, `text`.
    event: Option<String>,
    /// Or the inner XML itself.
    xml: Option<String>,
    #[serde(default)]
    open_kf_id: String,
    /// The text, key or ticket of events that have one.
    #[serde(default)]
    content: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventSent {
    delivery: Delivery,
    /// The sync token of a `kf_msg_or_event`, good for ten minutes.
    sync_token: String,
}

/// Send an event of any kind to the corp's callback URL
#[utoipa::path(
    post, path = "/simulator/events", operation_id = "sendEvent", tag = "Talk",
    responses((status = 200, description = "What became of the callback", body = EventSent), (status = 404, description = "No such corp")),
)]
pub(super) async fn send_event(
    State(shared): Sim,
    body: Result<Json<NewEvent>, JsonRejection>,
) -> Result<Json<EventSent>, Refused> {
    let Json(event) = body?;
    shared.knows_corp(&event.corp)?;
    let now = shared.options.clock.now();
    let sync_token = messages::sync_token(&mut shared.world.lock(), &event.corp, &event.open_kf_id, now);
    let fields = EventFields {
        corp: &event.corp,
        open_kf_id: &event.open_kf_id,
        token: &sync_token,
        create_time: now.as_second(),
        suite: "dk_simulated_suite",
        content: &event.content,
    };
    let xml = match (event.event, event.xml) {
        (Some(name), None) => inner_xml(&name, &fields),
        (None, Some(xml)) => xml,
        _ => return Err(Refused(StatusCode::BAD_REQUEST, "give either event or xml".to_owned())),
    };
    let delivery = shared.call_back(&event.corp, &xml).await;
    Ok(Json(EventSent { delivery, sync_token }))
}

#[derive(Serialize, ToSchema)]
pub(super) struct Verified {
    verification: Verification,
}

/// Press "save" on the corp's callback URL
///
/// Sends the encrypted echo that WeCom sends; the URL must answer within a second with exactly its
/// plaintext.
#[utoipa::path(
    post, path = "/simulator/verify", operation_id = "verifyUrl", tag = "Talk",
    responses((status = 200, description = "Whether WeCom would save it", body = Verified), (status = 404, description = "No such corp")),
)]
pub(super) async fn verify(
    State(shared): Sim,
    body: Result<Json<OneCorp>, JsonRejection>,
) -> Result<Json<Verified>, Refused> {
    let Json(OneCorp { corp }) = body?;
    shared.knows_corp(&corp)?;
    Ok(Json(Verified { verification: shared.verify_url(&corp).await }))
}

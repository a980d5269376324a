//! Customers, and what else makes WeCom call.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::corps::OneCorp;
use super::time::JournalEntry;
use super::{Refused, Sim};
use crate::simulator::wecom::api::messages;
use crate::simulator::wecom::{Delivery, EventFields, Happening, Verification, inner_xml};

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "corp": "ww_simulated", "openKfId": "wk_simulated", "customer": "customer-1", "text": "hello" }))]
pub(super) struct NewMessage {
    corp: String,
    open_kf_id: String,
    /// The external user id; it comes into being when it first writes.
    customer: String,
    text: Option<String>,
    /// Or a message of any kind, as `kf/sync_msg` returns it: `{"msgtype":"image","image":{"media_id":"…"}}`.
    #[schema(value_type = Option<Object>)]
    content: Option<Value>,
}

impl NewMessage {
    /// What the journal says, and what `kf/sync_msg` returns.
    fn content(&self) -> Result<(String, Value), Refused> {
        match (&self.text, &self.content) {
            (Some(text), None) => Ok((text.clone(), json!({ "msgtype": "text", "text": { "content": text } }))),
            (None, Some(content)) => {
                let kind = content.get("msgtype").and_then(Value::as_str);
                let kind = kind.ok_or_else(|| Refused::slip("content needs a msgtype and an object of that name"))?;
                Ok((format!("[{kind}]"), content.clone()))
            }
            _ => Err(Refused::slip("give either text or content")),
        }
    }
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
    let Json(message) = body?;
    let NewMessage { corp, open_kf_id, customer, .. } = &message;
    shared.knows_account(corp, open_kf_id)?;
    let (text, content) = message.content()?;
    let event = shared.store_content(corp, open_kf_id, customer, &text, content);
    Ok(Json(Delivered { delivery: shared.call_back(corp, &event).await }))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "corp": "ww_simulated", "openKfId": "wk_simulated", "customer": "customer-1" }))]
pub(super) struct Entrance {
    corp: String,
    open_kf_id: String,
    customer: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entered {
    delivery: Delivery,
    /// For `kf/send_msg_on_event`, once and within 20 seconds.
    welcome_code: String,
}

/// Let a customer open the conversation
///
/// `kf/sync_msg` returns an `enter_session` event with a welcome code, and a `kf_msg_or_event` goes out.
#[utoipa::path(
    post, path = "/simulator/enter", operation_id = "enterSession", tag = "Talk",
    responses((status = 200, description = "What became of the callback", body = Entered), (status = 404, description = "No such corp or account")),
)]
pub(super) async fn enter(
    State(shared): Sim,
    body: Result<Json<Entrance>, JsonRejection>,
) -> Result<Json<Entered>, Refused> {
    let Json(Entrance { corp, open_kf_id, customer }) = body?;
    shared.knows_account(&corp, &open_kf_id)?;
    let (welcome_code, event) = shared.store_entrance(&corp, &open_kf_id, &customer);
    let delivery = shared.call_back(&corp, &event).await;
    Ok(Json(Entered { delivery, welcome_code }))
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
#[schema(example = json!({ "corp": "ww_simulated", "event": "kf_account_auth_change", "openKfId": "wk_simulated" }))]
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
        _ => return Err(Refused::slip("give either event or xml")),
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

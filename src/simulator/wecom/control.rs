//! `/simulator/*`: everything that a handle can do, by HTTP, for programs in other languages.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::callbacks::Credential;
use super::events::{EventFields, inner_xml};
use super::faults::{Fault, Target, When};
use super::world::KfAccount;
use super::{Happening, Shared};
use crate::simulator::Entry;

type Sim = State<Arc<Shared>>;

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/simulator/journal", get(journal))
        .route("/simulator/corps", post(put_corp))
        .route("/simulator/messages", post(write))
        .route("/simulator/answers", get(answers))
        .route("/simulator/events", post(send_event))
        .route("/simulator/verify", post(verify))
        .route("/simulator/tokens/revoke", post(revoke))
        .route("/simulator/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/simulator/clock", post(advance))
        .with_state(shared)
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn journal(State(shared): Sim, Query(query): Query<After>) -> Json<Vec<Entry<Happening>>> {
    Json(shared.journal.after(query.after))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewCorp {
    corp: String,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    accounts: Vec<String>,
    token: Option<String>,
    #[serde(rename = "encodingAESKey")]
    aes_key: Option<String>,
    callback_url: Option<String>,
}

async fn put_corp(State(shared): Sim, Json(new): Json<NewCorp>) -> Response {
    let credential = match (&new.token, &new.aes_key) {
        (Some(token), Some(key)) => match Credential::new(&new.corp, token, key) {
            Ok(credential) => Some(credential),
            Err(error) => return (StatusCode::BAD_REQUEST, format!("encodingAESKey {error}")).into_response(),
        },
        (None, None) => None,
        _ => return (StatusCode::BAD_REQUEST, "token and encodingAESKey go together").into_response(),
    };
    let mut world = shared.world.lock();
    let corp = world.corps.entry(new.corp).or_default();
    for secret in new.secrets {
        corp.apps.entry(secret).or_default();
    }
    for id in new.accounts {
        let name = format!("account {id}");
        corp.accounts.entry(id).or_insert(KfAccount { name, manage_privilege: true, ..KfAccount::default() });
    }
    corp.credential = credential.or(corp.credential.take());
    corp.callback_url = new.callback_url.or(corp.callback_url.take());
    StatusCode::NO_CONTENT.into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewMessage {
    corp: String,
    open_kf_id: String,
    customer: String,
    text: String,
}

async fn write(State(shared): Sim, Json(message): Json<NewMessage>) -> Json<Value> {
    let NewMessage { corp, open_kf_id, customer, text } = message;
    let event = shared.store_message(&corp, &open_kf_id, &customer, &text);
    Json(json!({ "delivery": shared.call_back(&corp, &event).await }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whose {
    customer: String,
}

async fn answers(State(shared): Sim, Query(whose): Query<Whose>) -> Json<Vec<Entry<Happening>>> {
    let mut entries = shared.journal.entries();
    entries.retain(
        |entry| matches!(&entry.what, Happening::CustomerAnswered { customer, .. } if *customer == whose.customer),
    );
    Json(entries)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewEvent {
    corp: String,
    /// A name of reference 4.2, or the inner XML itself in `xml`.
    #[serde(default)]
    event: String,
    xml: Option<String>,
    #[serde(default)]
    open_kf_id: String,
    #[serde(default)]
    content: String,
}

async fn send_event(State(shared): Sim, Json(event): Json<NewEvent>) -> Json<Value> {
    let now = shared.options.clock.now();
    let token = super::api::messages::sync_token(&mut shared.world.lock(), &event.corp, &event.open_kf_id, now);
    let fields = EventFields {
        corp: &event.corp,
        open_kf_id: &event.open_kf_id,
        token: &token,
        create_time: now.as_second(),
        suite: "dk_simulated_suite",
        content: &event.content,
    };
    let xml = event.xml.clone().unwrap_or_else(|| inner_xml(&event.event, &fields));
    Json(json!({ "delivery": shared.call_back(&event.corp, &xml).await, "token": token }))
}

#[derive(Deserialize)]
struct OneCorp {
    corp: String,
}

async fn verify(State(shared): Sim, Json(one): Json<OneCorp>) -> Json<Value> {
    Json(json!({ "verification": shared.verify_url(&one.corp).await }))
}

async fn revoke(State(shared): Sim, Json(one): Json<OneCorp>) -> StatusCode {
    shared.revoke_tokens(&one.corp);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct NewFault {
    target: Target,
    fault: Fault,
    when: When,
}

async fn faults(State(shared): Sim) -> Json<Vec<super::Rule>> {
    Json(shared.faults.lock().rules())
}

async fn add_fault(State(shared): Sim, Json(new): Json<NewFault>) -> StatusCode {
    shared.faults.lock().add(new.target, new.fault, new.when);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(shared): Sim) -> StatusCode {
    shared.faults.lock().clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Advance {
    advance_seconds: u64,
}

async fn advance(State(shared): Sim, Json(by): Json<Advance>) -> Json<Value> {
    shared.options.clock.advance(Duration::from_secs(by.advance_seconds));
    Json(json!({ "now": shared.options.clock.now().to_string() }))
}

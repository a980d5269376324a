//! What goes wrong, on request.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;

use super::{Refused, Sim};
use crate::simulator::wecom::{NewRule, Rule};

/// The fault rules that still apply
#[utoipa::path(
    get, path = "/simulator/faults", operation_id = "listFaults", tag = "Faults",
    responses((status = 200, description = "In the order in which they are asked", body = Vec<Rule>)),
)]
pub(super) async fn list(State(shared): Sim) -> Json<Vec<Rule>> {
    Json(shared.faults.lock().rules())
}

/// Add a fault rule
///
/// "The next 3 `gettoken` answer -1" is
/// `{"target":{"api":"get_token"},"fault":{"errcode":-1},"when":{"next":3}}`.
#[utoipa::path(
    post, path = "/simulator/faults", operation_id = "addFault", tag = "Faults",
    responses((status = 204, description = "Asked behind those that exist")),
)]
pub(super) async fn add(State(shared): Sim, body: Result<Json<NewRule>, JsonRejection>) -> Result<StatusCode, Refused> {
    let Json(NewRule { target, fault, when }) = body?;
    shared.tell(format!("fault: {target}, {fault}, {when}"));
    shared.faults.lock().add(target, fault, when);
    Ok(StatusCode::NO_CONTENT)
}

/// Remove every fault rule
#[utoipa::path(
    delete, path = "/simulator/faults", operation_id = "clearFaults", tag = "Faults",
    responses((status = 204, description = "All is well")),
)]
pub(super) async fn clear(State(shared): Sim) -> StatusCode {
    shared.faults.lock().clear();
    shared.tell("every fault rule is gone".to_owned());
    StatusCode::NO_CONTENT
}

/// Let all be well again
///
/// No fault rules; every address is trusted; tokens that were revoked are good again, as if that had
/// never been, until they expire.
#[utoipa::path(
    post, path = "/simulator/heal", operation_id = "heal", tag = "Faults",
    responses((status = 204, description = "All is well")),
)]
pub(super) async fn heal(State(shared): Sim) -> StatusCode {
    shared.faults.lock().clear();
    shared.trust_every_address();
    let corps: Vec<String> = shared.world.lock().corps.keys().cloned().collect();
    corps.iter().for_each(|corp| shared.restore_tokens(corp));
    shared.tell("all is well again".to_owned());
    StatusCode::NO_CONTENT
}

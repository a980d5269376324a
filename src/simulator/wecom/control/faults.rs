//! What goes wrong, on request.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Refused, Sim};
use crate::simulator::wecom::{Fault, Rule, Target, When};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFault {
    target: Target,
    fault: Fault,
    when: When,
}

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
pub(super) async fn add(
    State(shared): Sim,
    body: Result<Json<NewFault>, JsonRejection>,
) -> Result<StatusCode, Refused> {
    let Json(NewFault { target, fault, when }) = body?;
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
    StatusCode::NO_CONTENT
}

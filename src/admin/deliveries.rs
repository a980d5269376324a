//! `/api/admin/deliveries`: events that were not delivered yet, or given up.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Page, Paging};
use crate::dispatcher::Dispatcher;
use crate::domain::{Action, CorpId, EventId, OpenKfId, Trust};
use crate::http::audit::{Act, Auditor};
use crate::http::problem::Problem;
use crate::store::{HeldEvent, HeldFilter, HeldState, Store};

/// An undelivered event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    #[schema(value_type = String, example = "019a0b1c2d3e4f5061728394a5b6")]
    id: EventId,
    state: HeldState,
    #[schema(example = "ww1234567890abcdef")]
    corp_id: String,
    #[schema(example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw")]
    open_kf_id: String,
    /// Whether WeCom's signature or the gateway's password vouches for it.
    signed: bool,
    #[schema(example = "2026-01-31T12:00:00Z")]
    received_at: String,
    /// When it is given up; for an expired one, when that would have been.
    expires_at: String,
    /// When it is looked at next; absent when expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    attempts: u32,
    /// Why it is still here.
    #[schema(example = "the bot is away")]
    last_error: Option<String>,
}

impl From<HeldEvent> for DeliveryView {
    fn from(held: HeldEvent) -> Self {
        Self {
            corp_id: held.event.account.corp.to_string(),
            open_kf_id: held.event.account.kf.to_string(),
            signed: held.event.trust == Trust::Signed,
            received_at: held.event.arrival().to_string(),
            expires_at: held.expires_at.to_string(),
            next_attempt_at: (held.state == HeldState::Live).then(|| held.due_at.to_string()),
            id: held.event.id,
            state: held.state,
            attempts: held.attempts,
            last_error: held.last_error,
        }
    }
}

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct DeliveryFilter {
    /// `live` or `expired`; both without it.
    #[serde(default, deserialize_with = "super::filled")]
    #[param(required = false)]
    state: Option<HeldState>,
    /// Of this corp only.
    #[serde(default, deserialize_with = "super::filled")]
    #[param(required = false)]
    corp_id: Option<String>,
    /// Of this account only.
    #[serde(default, deserialize_with = "super::filled")]
    #[param(required = false)]
    open_kf_id: Option<String>,
    /// The `next` of the page before.
    #[serde(default, deserialize_with = "super::filled")]
    #[param(required = false)]
    cursor: Option<String>,
    /// Items a page, 1 to 1000.
    #[param(required = false, example = 100, minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// List undelivered events
///
/// Live ones are retried or wait for their bot; expired ones were given up and are kept for 7 days
/// (not those that nobody vouches for: unsigned ones of an account that has no bot).
#[utoipa::path(
    get, path = "/api/admin/deliveries", operation_id = "listDeliveries", tag = "Admin", params(DeliveryFilter),
    responses(
        (status = 200, description = "A page of events, the oldest first", body = Page<DeliveryView>),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn list(
    State(store): State<Arc<dyn Store>>,
    filter: Result<Query<DeliveryFilter>, QueryRejection>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let rule = "state must be live or expired, limit 1 to 1000, and no parameter may be repeated";
    let wanted = super::read_query(filter, rule)?;
    let limit = Paging { cursor: None, limit: wanted.limit }.limit()?;
    let corp = wanted.corp_id.as_deref().map(CorpId::parse).transpose();
    let kf = wanted.open_kf_id.as_deref().map(OpenKfId::parse).transpose();
    let filter = HeldFilter {
        state: wanted.state,
        corp: corp.map_err(|error| Problem::invalid(format!("corpId {error}")))?,
        kf: kf.map_err(|error| Problem::invalid(format!("openKfId {error}")))?,
    };
    let after = wanted.cursor.map(EventId::from_text);
    let held = store.list_held(&filter, after.as_ref(), limit + 1).await?;
    let views = held.into_iter().map(DeliveryView::from).collect();
    Ok(Json(Page::of(views, limit, |view| view.id.to_string())))
}

/// Send an undelivered event now
///
/// Live or expired. What is expired, or older than its sync token, goes without the token, at most
/// once a minute an account.
#[utoipa::path(
    post, path = "/api/admin/deliveries/{id}/redeliver", operation_id = "redeliver", tag = "Admin",
    params(("id" = String, Path, description = "Its id", example = "019a0b1c2d3e4f5061728394a5b6")),
    responses(
        (status = 202, description = "It goes as soon as its bot can take it"),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such event: delivered by now, superseded, or never there", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn redeliver(
    State(store): State<Arc<dyn Store>>,
    State(dispatcher): State<Dispatcher>,
    auditor: Auditor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = EventId::from_text(id);
    let held = store.held(&id).await?.ok_or_else(gone)?;
    if !dispatcher.redeliver(&id).await? {
        return Err(gone());
    }
    auditor.record(act(Action::DELIVERY_REDELIVER, &held)).await;
    Ok(StatusCode::ACCEPTED)
}

/// Delete an undelivered event
///
/// It is not sent any more.
#[utoipa::path(
    delete, path = "/api/admin/deliveries/{id}", operation_id = "deleteDelivery", tag = "Admin",
    params(("id" = String, Path, description = "Its id", example = "019a0b1c2d3e4f5061728394a5b6")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such event", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn delete(
    State(store): State<Arc<dyn Store>>,
    State(dispatcher): State<Dispatcher>,
    auditor: Auditor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = EventId::from_text(id);
    let held = store.held(&id).await?.ok_or_else(gone)?;
    if !dispatcher.forget(&id).await? {
        return Err(gone());
    }
    auditor.record(act(Action::DELIVERY_DELETE, &held)).await;
    Ok(StatusCode::NO_CONTENT)
}

fn act(action: Action, held: &HeldEvent) -> Act {
    let account = &held.event.account;
    let state = match held.state {
        HeldState::Live => "live",
        HeldState::Expired => "expired",
    };
    Act::new(action, &held.event.id, format!("{state}, corp {}, account {}", account.corp, account.kf))
}

fn gone() -> Problem {
    Problem::not_found("no undelivered event has this id: it was delivered, superseded, or never there")
}

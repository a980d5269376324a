//! `/api/admin/deliveries`: events of bots and of services that were not delivered yet, or given up.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Desk, Page, Paging};
use crate::domain::{Action, CorpId, EventId, OpenKfId, ServiceEvent, ServiceName, Trust};
use crate::http::audit::{Act, Auditor};
use crate::http::problem::Problem;
use crate::store::{HeldEvent, HeldFilter, HeldState, QueueFilter, QueuedEvent};

/// An undelivered event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    #[schema(value_type = String, example = "019a0b1c2d3e4f5061728394a5b6")]
    pub id: EventId,
    pub state: HeldState,
    #[schema(example = "ww1234567890abcdef")]
    pub corp_id: String,
    /// Of a bot's event: its account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw")]
    pub open_kf_id: Option<String>,
    /// Of a service's event: the service's name, and WeCom's name of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Whether WeCom's signature or the gateway's password vouches for it.
    pub signed: bool,
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub received_at: String,
    /// When it is given up; for an expired one, when that would have been.
    pub expires_at: String,
    /// When it is looked at next; absent when expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
    pub attempts: u32,
    /// Why it is still here.
    #[schema(example = "the bot is away")]
    pub last_error: Option<String>,
}

impl From<HeldEvent> for DeliveryView {
    fn from(held: HeldEvent) -> Self {
        Self {
            corp_id: held.event.account.corp.to_string(),
            open_kf_id: Some(held.event.account.kf.to_string()),
            service: None,
            event: None,
            signed: held.event.trust == Trust::Signed,
            received_at: held.event.arrival().to_string(),
            expires_at: held.expires_at.to_string(),
            next_attempt_at: (held.state == HeldState::Live).then(|| held.due_at.to_string()),
            id: held.event.id.clone(),
            state: held.state,
            attempts: held.attempts,
            last_error: held.last_error,
        }
    }
}

impl From<QueuedEvent> for DeliveryView {
    fn from(queued: QueuedEvent) -> Self {
        Self {
            corp_id: queued.event.service.corp.to_string(),
            open_kf_id: None,
            service: Some(queued.event.service.name.to_string()),
            event: Some(queued.event.name.to_string()),
            signed: true,
            received_at: queued.event.arrived_at.to_string(),
            expires_at: queued.expires_at.to_string(),
            next_attempt_at: (queued.state == HeldState::Live).then(|| queued.due_at.to_string()),
            id: queued.event.id,
            state: queued.state,
            attempts: queued.attempts,
            last_error: queued.last_error,
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
    #[param(required = false, example = "live")]
    pub state: Option<HeldState>,
    /// Of this corp only.
    #[serde(default, deserialize_with = "super::filled")]
    #[param(required = false, example = "ww1234567890abcdef", pattern = "^[A-Za-z0-9_-]{0,64}$")]
    pub corp_id: Option<String>,
    /// Of this account only.
    #[serde(default, deserialize_with = "super::filled")]
    #[param(required = false, example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw", pattern = "^[!-~]{0,128}$")]
    pub open_kf_id: Option<String>,
    /// Of services of this name only.
    #[serde(default, deserialize_with = "super::filled")]
    #[param(required = false, example = "contacts", pattern = "^[A-Za-z0-9_-]{0,64}$")]
    pub service: Option<String>,
    /// The `next` of the page before.
    #[serde(default, deserialize_with = "super::filled")]
    #[param(required = false, example = "019a0b1c2d3e4f5061728394a5b6")]
    pub cursor: Option<String>,
    /// Items a page, 1 to 1000.
    #[param(required = false, example = 100, minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
}

/// List undelivered events
///
/// Of bots and of services. Live ones are retried or wait for their bot; expired ones were given up and are kept for 7 days
/// (not those that nobody vouches for: unsigned ones of an account that has no bot).
#[utoipa::path(
    get, path = "/api/admin/deliveries", operation_id = "listDeliveries", tag = "Admin", params(DeliveryFilter),
    responses(
        (status = 200, description = "A page of events, the oldest first", body = Page<DeliveryView>),
        (status = 400, description = "A parameter is wrong"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub async fn list(
    State(desk): State<Arc<Desk>>,
    filter: Result<Query<DeliveryFilter>, QueryRejection>,
) -> Result<Json<Page<DeliveryView>>, Problem> {
    let rule = "state must be live or expired, limit 1 to 1000, and no parameter may be repeated";
    let wanted = super::read_query(filter, rule)?;
    Ok(Json(desk.list_deliveries(wanted).await?))
}

/// Send an undelivered event now
///
/// Live or expired. A bot's event that is expired, or older than its sync token, goes without the token, at
/// most once a minute an account. A service's event goes before all that came after it.
#[utoipa::path(
    post, path = "/api/admin/deliveries/{id}/redeliver", operation_id = "redeliver", tag = "Admin",
    params(("id" = String, Path, description = "Its id", example = "019a0b1c2d3e4f5061728394a5b6")),
    responses(
        (status = 202, description = "It goes as soon as its bot can take it"),
        (status = 404, description = "No such event: delivered by now, superseded, or never there"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub async fn redeliver(
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    desk.redeliver(&auditor, &id).await?;
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
        (status = 404, description = "No such event"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub async fn delete(
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    desk.delete_delivery(&auditor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Desk {
    pub async fn list_deliveries(&self, wanted: DeliveryFilter) -> Result<Page<DeliveryView>, Problem> {
        let limit = Paging { cursor: None, limit: wanted.limit }.limit()?;
        let corp = wanted.corp_id.as_deref().map(CorpId::parse).transpose();
        let corp = corp.map_err(|error| Problem::invalid(format!("corpId {error}")))?;
        let kf = wanted.open_kf_id.as_deref().map(OpenKfId::parse).transpose();
        let kf = kf.map_err(|error| Problem::invalid(format!("openKfId {error}")))?;
        let service = wanted.service.as_deref().map(ServiceName::parse).transpose();
        let service = service.map_err(|error| Problem::invalid(format!("service {error}")))?;
        let after = wanted.cursor.map(EventId::from_text);
        let (after, more) = (after.as_ref(), limit + 1);
        let mut views: Vec<DeliveryView> = Vec::new();
        if service.is_none() {
            let filter = HeldFilter { state: wanted.state, corp: corp.clone(), kf: kf.clone() };
            views.extend(self.store.list_held(&filter, after, more).await?.into_iter().map(DeliveryView::from));
        }
        if kf.is_none() {
            let filter = QueueFilter { state: wanted.state, corp, service };
            views.extend(self.store.list_queued(&filter, after, more).await?.into_iter().map(DeliveryView::from));
        }
        // The ids of both begin with the time of arrival.
        views.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(Page::of(views, limit, |view| view.id.to_string()))
    }

    pub async fn redeliver(&self, auditor: &Auditor, id: &str) -> Result<(), Problem> {
        let id = EventId::from_text(id);
        let Some(held) = self.store.held(&id).await? else {
            let queued = self.services.redeliver(&id).await?.ok_or_else(gone)?;
            auditor.record(act_on_queued(Action::DELIVERY_REDELIVER, &queued)).await;
            return Ok(());
        };
        if !self.dispatcher.redeliver(&id).await? {
            return Err(gone());
        }
        auditor.record(act(Action::DELIVERY_REDELIVER, &held)).await;
        Ok(())
    }

    pub async fn delete_delivery(&self, auditor: &Auditor, id: &str) -> Result<(), Problem> {
        let id = EventId::from_text(id);
        let Some(held) = self.store.held(&id).await? else {
            let queued = self.services.forget(&id).await?.ok_or_else(gone)?;
            auditor.record(act_on_queued(Action::DELIVERY_DELETE, &queued)).await;
            return Ok(());
        };
        if !self.dispatcher.forget(&id).await? {
            return Err(gone());
        }
        auditor.record(act(Action::DELIVERY_DELETE, &held)).await;
        Ok(())
    }
}

fn act(action: Action, held: &HeldEvent) -> Act {
    let account = &held.event.account;
    Act::new(action, &held.event.id, format!("{}, corp {}, account {}", word(held.state), account.corp, account.kf))
}

fn act_on_queued(action: Action, queued: &QueuedEvent) -> Act {
    let ServiceEvent { id, service, name, .. } = &queued.event;
    Act::new(action, id, format!("{}, service {service}, event {name}", word(queued.state)))
}

fn word(state: HeldState) -> &'static str {
    match state {
        HeldState::Live => "live",
        HeldState::Expired => "expired",
    }
}

fn gone() -> Problem {
    Problem::not_found("no undelivered event has this id: it was delivered, superseded, or never there")
}

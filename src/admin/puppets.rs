//! `/api/admin/puppets`: the registered bots.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Desk, Page, Paging};
use crate::dispatcher::{Dispatcher, FailedAttempt, LastAttempts};
use crate::domain::{Action, OpenKfId, Puppet};
use crate::http::audit::{Act, Auditor};
use crate::http::problem::Problem;

/// A registered bot.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PuppetView {
    #[schema(value_type = String, example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw")]
    pub kf_open_id: OpenKfId,
    #[schema(example = "support")]
    pub name: String,
    #[schema(example = "http://bot-1:8080")]
    pub bot_endpoint: String,
    #[schema(example = "ww1234567890abcdef")]
    pub corp_id: String,
    /// Changed by register and deregister only.
    pub online: bool,
    /// When it registered or deregistered last.
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub last_online_date: Option<String>,
    /// Since when no connection to it comes about.
    pub away_since: Option<String>,
    /// The last attempt that this replica made on it.
    pub last_attempt: Option<LastAttemptView>,
    /// When this replica delivered to it last.
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub last_delivery_at: Option<String>,
    /// The last attempt of this replica that failed, whatever was delivered since.
    pub last_error: Option<LastErrorView>,
}

/// The last attempt on a bot.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastAttemptView {
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub at: String,
    /// Absent when it was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "the bot answered 500 Internal Server Error")]
    pub error: Option<String>,
}

/// An attempt that failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastErrorView {
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub at: String,
    #[schema(example = "the bot answered 500 Internal Server Error")]
    pub error: String,
}

impl From<&FailedAttempt> for LastErrorView {
    fn from(failed: &FailedAttempt) -> Self {
        Self { at: failed.at.to_string(), error: failed.error.clone() }
    }
}

/// Of both, the later one.
fn last_attempt(last: &LastAttempts) -> Option<LastAttemptView> {
    if let Some(failed) = last.standing_failure() {
        return Some(LastAttemptView { at: failed.at.to_string(), error: Some(failed.error.clone()) });
    }
    last.delivered_at.map(|at| LastAttemptView { at: at.to_string(), error: None })
}

fn view(puppet: Puppet, dispatcher: &Dispatcher) -> PuppetView {
    let last = dispatcher.last_attempts(&puppet.account());
    PuppetView {
        name: puppet.name,
        bot_endpoint: puppet.endpoint.to_string(),
        corp_id: puppet.corp_id.to_string(),
        online: puppet.online,
        last_online_date: puppet.last_online_at.map(|at| at.to_string()),
        away_since: puppet.away_since.map(|at| at.to_string()),
        kf_open_id: puppet.kf_id,
        last_attempt: last_attempt(&last),
        last_delivery_at: last.delivered_at.map(|at| at.to_string()),
        last_error: last.failed.as_deref().map(LastErrorView::from),
    }
}

/// List the registered bots
///
/// By kf id, online or not.
#[utoipa::path(
    get, path = "/api/admin/puppets", operation_id = "listPuppets", tag = "Admin", params(Paging),
    responses(
        (status = 200, description = "A page of bots", body = Page<PuppetView>),
        (status = 400, description = "A parameter is wrong"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub async fn list(
    State(desk): State<Arc<Desk>>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Page<PuppetView>>, Problem> {
    let paging = super::read_query(paging, Paging::RULE)?;
    Ok(Json(desk.list_puppets(&paging).await?))
}

/// Forget a registered bot
///
/// Its undelivered events stay until they expire. The bot can register again.
#[utoipa::path(
    delete, path = "/api/admin/puppets/{kfId}", operation_id = "deletePuppet", tag = "Admin",
    params(("kfId" = String, Path, description = "Its OpenKfId", example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw")),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 404, description = "No such bot"),
        (status = 503, description = "The store is unavailable"),
    ),
)]
pub async fn delete(
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path(kf_id): Path<String>,
) -> Result<StatusCode, Problem> {
    desk.delete_puppet(&auditor, &kf_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Desk {
    pub async fn list_puppets(&self, paging: &Paging) -> Result<Page<PuppetView>, Problem> {
        let limit = paging.limit()?;
        let after = paging.cursor()?.map(OpenKfId::parse).transpose();
        let after = after.map_err(|error| Problem::invalid(format!("cursor {error}")))?;
        let puppets = self.store.puppets(after.as_ref(), limit + 1).await?;
        let views = puppets.into_iter().map(|puppet| view(puppet, &self.dispatcher)).collect();
        Ok(Page::of(views, limit, |view| view.kf_open_id.to_string()))
    }

    pub async fn delete_puppet(&self, auditor: &Auditor, kf_id: &str) -> Result<(), Problem> {
        let unknown = || Problem::not_found("no bot is registered for this kfId");
        let kf_id = OpenKfId::parse(kf_id).map_err(|_| unknown())?;
        let known = self.directory.puppet_now(&kf_id).await?;
        if !self.directory.delete_puppet(&kf_id).await? {
            return Err(unknown());
        }
        let detail = known.map(|bot| format!("corp {}, endpoint {}", bot.corp_id, bot.endpoint));
        auditor.record(Act::new(Action::PUPPET_DELETE, &kf_id, detail.unwrap_or_default())).await;
        Ok(())
    }
}

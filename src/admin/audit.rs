//! `/api/admin/audit`: who changed what, when and from where.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Desk, Page, Paging};
use crate::domain::{Actor, AuditEntry, AuditId};
use crate::http::problem::Problem;

/// A change that was made, or an attempt that was refused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditView {
    #[schema(value_type = String, example = "019a0b1c2d3e0000000a5f606172")]
    pub id: AuditId,
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub at: String,
    pub who: Actor,
    /// Where the connection came from; absent where several addresses are told of at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "10.0.3.7")]
    pub address: Option<IpAddr>,
    /// One of `corp.put`, `corp.delete`, `service.put`, `service.delete`, `service.test`, `puppet.register`, `puppet.deregister`, `puppet.delete`,
    /// `delivery.redeliver`, `delivery.delete`, `token.renew`; or refused: `puppet.register.refused`,
    /// `puppet.deregister.refused`, `admin.refused` (a wrong `ADMIN_TOKEN`), `puppet.refused` (a wrong
    /// `PUPPET_PASSWORD`). Further ones may come.
    #[schema(example = "puppet.register")]
    pub action: String,
    /// The id of the corp, bot, event or token; of a wrong password the route.
    #[schema(example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw")]
    pub subject: String,
    /// What exactly, for people; no secrets.
    #[schema(example = "endpoint http://bot-1:8080 -> http://bot-2:8080")]
    pub detail: String,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at.to_string(),
            who: entry.actor,
            address: entry.address,
            action: entry.action.to_string(),
            subject: entry.subject,
            detail: entry.detail,
        }
    }
}

/// List the changes
///
/// Of the last 90 days, at most 100,000. A call that changed nothing is not among them. Repeated
/// refusals are told as their number, at most 20 entries an hour.
#[utoipa::path(
    get, path = "/api/admin/audit", operation_id = "listAudit", tag = "Admin", params(Paging),
    responses(
        (status = 200, description = "A page of entries, the newest first", body = Page<AuditView>),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The store is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn list(
    State(desk): State<Arc<Desk>>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Page<AuditView>>, Problem> {
    let paging = super::read_query(paging, Paging::RULE)?;
    Ok(Json(desk.list_audit(&paging).await?))
}

impl Desk {
    pub async fn list_audit(&self, paging: &Paging) -> Result<Page<AuditView>, Problem> {
        let limit = paging.limit()?;
        let before = paging.cursor.clone().map(AuditId::from_text);
        let entries = self.store.list_audit(before.as_ref(), limit + 1).await?;
        let views = entries.into_iter().map(AuditView::from).collect();
        Ok(Page::of(views, limit, |view| view.id.to_string()))
    }
}

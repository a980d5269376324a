//! `/api/admin/tokens`: cached access tokens, never the tokens themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Desk;
use crate::access_token::{TokenError, TokenInfo};
use crate::domain::Action;
use crate::http::audit::{Act, Auditor};
use crate::http::problem::Problem;

/// A cached access token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenView {
    #[schema(example = "3f2a9c0d1e4b5867")]
    pub id: String,
    #[schema(example = "ww1234567890abcdef")]
    pub corp_id: String,
    /// Tells the corp's secrets apart, gives none away.
    #[schema(example = "9c0d1e4b58673f2a")]
    pub secret_fingerprint: String,
    /// Absent while its app is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub fetched_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-31T14:00:00Z")]
    pub expires_at: Option<String>,
    /// Since this replica started.
    pub renewals: u64,
    /// Calls to WeCom for it, since this replica started.
    pub upstream_calls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl From<TokenInfo> for TokenView {
    fn from(info: TokenInfo) -> Self {
        Self {
            id: info.id.to_string(),
            corp_id: info.app.corp_id.to_string(),
            secret_fingerprint: info.app.secret.to_string(),
            fetched_at: info.fetched_at.map(|at| at.to_string()),
            expires_at: info.expires_at.map(|at| at.to_string()),
            renewals: info.renewals,
            upstream_calls: info.upstream_calls,
            last_error: info.last_error,
        }
    }
}

/// A list of tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenList {
    items: Vec<TokenView>,
}

/// List the cached access tokens
///
/// Those that live, and those whose renewal fails, by corp.
#[utoipa::path(
    get, path = "/api/admin/tokens", operation_id = "listTokens", tag = "Admin",
    responses(
        (status = 200, description = "The tokens, without the tokens themselves", body = TokenList),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn list(State(desk): State<Arc<Desk>>) -> Json<TokenList> {
    Json(TokenList { items: desk.list_tokens().await })
}

/// Renew an access token
///
/// Forgets a remembered refusal too. Within a minute of a renewal that succeeded, WeCom is not asked.
#[utoipa::path(
    post, path = "/api/admin/tokens/{id}/renew", operation_id = "renewToken", tag = "Admin",
    params(("id" = String, Path, description = "Its id", example = "3f2a9c0d1e4b5867")),
    responses(
        (status = 204, description = "Renewed"),
        (status = 401, description = "No or a wrong `ADMIN_TOKEN`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such token, or its secret is not known here", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "WeCom refused or cannot be reached", body = Problem, content_type = "application/problem+json"),
    ),
    security(("adminToken" = [])),
)]
pub async fn renew(
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    desk.renew_token(&auditor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Desk {
    pub async fn list_tokens(&self) -> Vec<TokenView> {
        self.tokens.list().await.into_iter().map(TokenView::from).collect()
    }

    pub async fn renew_token(&self, auditor: &Auditor, id: &str) -> Result<(), Problem> {
        let found = self.tokens.list().await.into_iter().find(|token| token.id.as_str() == id);
        let token = found.ok_or_else(|| Problem::not_found("no cached token has this id"))?;
        let renewed = self.tokens.renew_by_operator(&token.app).await;
        if let Err(error @ TokenError::SecretUnknown) = renewed {
            return Err(Problem::not_found(error.to_string()));
        }
        // One that WeCom refused forgot a remembered refusal: that is a change too.
        let outcome = renewed.as_ref().map_or_else(ToString::to_string, |()| "renewed".to_owned());
        let detail = format!("corp {}, secret {}: {outcome}", token.app.corp_id, token.app.secret);
        auditor.record(Act::new(Action::TOKEN_RENEW, &token.id, detail)).await;
        renewed.map_err(|error| Problem::upstream(error.explained()))
    }
}

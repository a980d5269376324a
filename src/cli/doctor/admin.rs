//! The running gateway's admin API, as far as the doctor asks it.

use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::AppKey;

use super::ask::ask;
use super::gateway::Running;
use super::setup::{LIMIT, Setup};

/// Why it gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminFault {
    #[error("no ADMIN_TOKEN is known here, neither given nor generated in DATA_DIR")]
    NoToken,
    #[error("the admin API does not answer: {0}")]
    Unreachable(String),
    #[error("the admin API answers {0}")]
    Refused(StatusCode),
    #[error("the admin API answers in another form")]
    OtherForm,
}

pub(super) async fn get<T: DeserializeOwned>(setup: &Setup, running: &Running, path: &str) -> Result<T, AdminFault> {
    let token = setup.admin_token().ok_or(AdminFault::NoToken)?;
    let url = running.ops_url(&format!("/api/admin{path}"));
    let request = setup.http.get(url).bearer_auth(token.expose()).timeout(LIMIT);
    let answer = ask(request).await.map_err(AdminFault::Unreachable)?;
    if answer.status != StatusCode::OK {
        return Err(AdminFault::Refused(answer.status));
    }
    serde_json::from_slice(&answer.body).map_err(|_| AdminFault::OtherForm)
}

#[derive(Deserialize)]
struct TokenList {
    items: Vec<Token>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    corp_id: String,
    secret_fingerprint: String,
    last_error: Option<String>,
}

/// Why the gateway cannot renew the app's token, if it cannot and tells.
pub(super) async fn last_error(setup: &Setup, app: &AppKey) -> Option<String> {
    let list: TokenList = get(setup, setup.gateway.as_ref()?, "/tokens").await.ok()?;
    let is_it =
        |token: &Token| token.corp_id == app.corp_id.as_str() && token.secret_fingerprint == app.secret.as_str();
    list.items.into_iter().find(is_it)?.last_error
}

//! `/puppetWxkfManager/*`, as far as it concerns the registry.
//!
//! Bots judge an answer by its `code`, so a refusal is 200 with a code other than 0.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tracing::warn;
use utoipa::ToSchema;

use super::registration::{self, Registration};
use super::{Change, Manager, Refusal};
use crate::domain::{Action, OpenKfId, Puppet};
use crate::http::audit::{Act, Auditor};
use crate::http::body::{self, Fields, Refused};

/// How a registration or deregistration went.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    /// 0: done. 400: invalid fields. 403: not proven. 503: WeCom or the store is unreachable.
    #[schema(example = 0)]
    code: u16,
    /// `success`, or every wrong field and the mend.
    #[schema(example = "success")]
    message: String,
}

impl From<Result<Change, Refusal>> for Answer {
    fn from(result: Result<Change, Refusal>) -> Self {
        let Err(refusal) = result else {
            return Self { code: 0, message: "success".to_owned() };
        };
        let code = match refusal {
            Refusal::Invalid(_) => 400,
            Refusal::NotProven(_) => 403,
            Refusal::Unavailable(_) => 503,
        };
        warn!(code, reason = %refusal, "refused a bot");
        Self { code, message: refusal.to_string() }
    }
}

/// A registration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; it is read field by field, to name every wrong one")]
pub struct RegisterBody {
    /// The account (`open_kfid`) that the bot serves.
    #[schema(example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw")]
    kf_id: String,
    /// The account's name, for people.
    #[schema(example = "support")]
    kf_name: String,
    /// `http(s)://host[:port][/path]`: events are posted to `{endpoint}/callback`.
    #[schema(example = "http://bot-1:8080")]
    endpoint: String,
    #[schema(example = "ww1234567890abcdef")]
    corp_id: String,
    /// The secret of the app; proves that the bot may speak for the account.
    #[schema(example = "the-secret-of-the-app-as-WeCom-shows-it")]
    corp_secret: String,
    /// The Token of the callback configuration.
    #[schema(example = "QDG6eK")]
    token: String,
    /// The EncodingAESKey of the callback configuration.
    #[serde(rename = "encodingAESKey")]
    #[schema(example = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C")]
    encoding_aes_key: String,
}

/// Register a bot
///
/// Once, at its start; the registration lasts until it deregisters. Always 200: the `code` says how
/// it went.
#[utoipa::path(
    post, path = "/puppetWxkfManager/register", operation_id = "registerBot", tag = "Bots",
    request_body(description = "JSON, or the same fields urlencoded", content(
        (RegisterBody = "application/json"),
        (RegisterBody = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "Registered, or refused with a code other than 0", body = Answer),
    ),
)]
pub async fn register(State(manager): State<Arc<Manager>>, auditor: Auditor, Fields(fields): Fields) -> Json<Answer> {
    let registration = match fields.and_then(|fields| Registration::read(&fields)) {
        Ok(registration) => registration,
        Err(message) => return Json(Err(Refusal::Invalid(message)).into()),
    };
    let kf = registration.kf_id.clone();
    let who = format!("corp {}, endpoint {}", registration.corp_id, registration.endpoint);
    let result = manager.register(registration).await;
    match &result {
        Ok(Change::Made(changes)) => auditor.record(Act::new(Action::PUPPET_REGISTER, kf, changes)).await,
        Err(Refusal::NotProven(reason)) => {
            auditor.refused(Act::new(Action::PUPPET_REGISTER_REFUSED, kf, format!("{who}: {reason}")));
        }
        Ok(Change::Nothing) | Err(_) => {}
    }
    Json(result.into())
}

/// A deregistration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body; it is read field by field, to name every wrong one")]
pub struct DeregisterBody {
    #[schema(example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw")]
    kf_id: String,
    /// Must be the one it registered under.
    #[schema(example = "ww1234567890abcdef")]
    corp_id: String,
    /// Ignored.
    kf_name: Option<String>,
}

/// Deregister a bot
///
/// Its events are held from now on. An unknown `kfId` is success.
#[utoipa::path(
    post, path = "/puppetWxkfManager/deregister", operation_id = "deregisterBot", tag = "Bots",
    request_body(description = "JSON, or the same fields urlencoded", content(
        (DeregisterBody = "application/json"),
        (DeregisterBody = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "Deregistered, or refused with a code other than 0", body = Answer),
    ),
)]
pub async fn deregister(State(manager): State<Arc<Manager>>, auditor: Auditor, Fields(fields): Fields) -> Json<Answer> {
    let (kf, corp) = match fields.and_then(|fields| registration::read_deregistration(&fields)) {
        Ok(wish) => wish,
        Err(message) => return Json(Err(Refusal::Invalid(message)).into()),
    };
    let result = manager.deregister(&kf, &corp).await;
    match &result {
        Ok(Change::Made(changes)) => auditor.record(Act::new(Action::PUPPET_DEREGISTER, kf, changes)).await,
        Err(Refusal::NotProven(reason)) => {
            auditor.refused(Act::new(Action::PUPPET_DEREGISTER_REFUSED, kf, format!("corp {corp}: {reason}")));
        }
        Ok(Change::Nothing) | Err(_) => {}
    }
    Json(result.into())
}

/// A registered bot, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    #[schema(example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw")]
    kf_open_id: String,
    #[schema(example = "support")]
    name: String,
    #[schema(example = "http://bot-1:8080")]
    bot_endpoint: String,
    #[schema(example = "ww1234567890abcdef")]
    corp_id: String,
    /// Changed by register and deregister only.
    online: bool,
    /// When it registered or deregistered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-31T12:00:00Z")]
    last_online_date: Option<String>,
}

impl From<&Puppet> for Info {
    fn from(puppet: &Puppet) -> Self {
        Self {
            kf_open_id: puppet.kf_id.to_string(),
            name: puppet.name.clone(),
            bot_endpoint: puppet.endpoint.to_string(),
            corp_id: puppet.corp_id.to_string(),
            online: puppet.online,
            last_online_date: puppet.last_online_at.map(|at| at.to_string()),
        }
    }
}

/// Look a bot up
///
/// By the account it serves, online or not, without its secrets.
#[utoipa::path(
    get, path = "/puppetWxkfManager/puppetWxkfInfo/{kfId}", operation_id = "getBot", tag = "Bots",
    params(("kfId" = String, Path, description = "The account", example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw")),
    responses(
        (status = 200, description = "The bot", body = Info),
        (status = 400, description = "The account is not percent-encoded UTF-8", body = String, content_type = "text/plain"),
        (status = 404, description = "No bot ever registered for the account", body = Refused),
        (status = 503, description = "The store is unavailable", body = Refused),
    ),
)]
pub async fn info(State(manager): State<Arc<Manager>>, Path(kf_id): Path<String>) -> Response {
    let unknown = || body::refused(StatusCode::NOT_FOUND, "no bot is registered for this kfId");
    let Ok(kf) = OpenKfId::parse(&kf_id) else { return unknown() };
    match manager.info(&kf).await {
        Ok(Some(puppet)) => Json(Info::from(puppet.as_ref())).into_response(),
        Ok(None) => unknown(),
        Err(error) => {
            warn!(kf.id = %kf, error = %error, "cannot look a bot up");
            body::refused(StatusCode::SERVICE_UNAVAILABLE, "the store is unavailable; try again")
        }
    }
}

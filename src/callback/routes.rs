//! `/callback/{corpId}` and `/callback/decrypted/{corpId}`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;
use tracing::warn;
use utoipa::ToSchema;

use super::envelope::EnvelopeFault;
use super::query::SignedQuery;
use super::{Callbacks, DecryptedEvent, Failed, Kind, OpenFault, Refusal};
use crate::domain::Trust;
use crate::http::audit::Peer;
use crate::http::auth::Caller;
use crate::http::body::{self, BodyFault, Fields, Refused};

/// WeCom's envelopes are a few hundred bytes; what is larger is read and dropped, so that the answer arrives.
const BODY_LIMIT: usize = 1024 * 1024;
const DROPPED_LIMIT: usize = 8 * 1024 * 1024;

/// Answer WeCom's URL verification
///
/// WeCom sends this when an administrator saves the callback URL. The answer is the decrypted
/// `echostr`, to the byte, within a second. No `PUPPET_PASSWORD` is asked for: the signature proves the caller.
#[utoipa::path(
    get, path = "/callback/{corpId}", operation_id = "verifyCallbackUrl", tag = "WeCom",
    params(
        ("corpId" = String, Path, description = "The corp id (or suite id) the URL was configured for", example = "ww1234567890abcdef"),
        ("msg_signature" = String, Query, min_length = 1, description = "`sha1` over the sorted token, timestamp, nonce and echostr", example = "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3"),
        ("timestamp" = String, Query, min_length = 1, description = "As WeCom sent it", example = "1409659589"),
        ("nonce" = String, Query, min_length = 1, description = "As WeCom sent it", example = "263014780"),
        ("echostr" = String, Query, min_length = 1, description = "The encrypted text, percent-encoded base64", example = "P9nAzCzyDtyTWESHep1vC5X9xho%2FqYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp%2B4RPcs8TgAE7OaBO%2BFZXvnaqQ%3D%3D"),
    ),
    responses(
        (status = 200, description = "The decrypted text", body = String, content_type = "text/plain", example = "1616140317555161061"),
        (status = 400, description = "The query is incomplete or repeats a parameter, or the text does not decrypt", body = String, content_type = "text/plain", example = "query incomplete or repeated: forward WeCom's query string"),
        (status = 403, description = "The signature or the receive id is wrong", body = String, content_type = "text/plain", example = "wrong signature"),
        (status = 404, description = "Nobody declared this corp, and no bot of it ever registered", body = String, content_type = "text/plain", example = "unknown corp"),
        (status = 503, description = "The corp cannot be looked up just now", body = String, content_type = "text/plain", example = "try again"),
    ),
)]
pub async fn verify(
    State(callbacks): State<Arc<Callbacks>>,
    Path(corp): Path<String>,
    RawQuery(query): RawQuery,
    Peer(from): Peer,
) -> Response {
    let began = Instant::now();
    let query = query.unwrap_or_default();
    let verified = async {
        let corp = callbacks.corp(&corp).await?;
        callbacks.verify(&corp, &query)
    };
    match verified.await {
        Ok(text) => taken(&callbacks, text, Kind::Verify, began),
        Err(refusal) => refuse(&callbacks, refusal, Came { corp, kind: Kind::Verify, query, body: None, from }),
    }
}

/// What WeCom sends: the event, sealed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(xml(name = "xml"))]
#[expect(dead_code, reason = "describes the body; it is read by the walk of `xml`")]
pub struct SealedBody {
    /// The corp id; not looked at, because nothing vouches for it.
    #[schema(example = "ww1234567890abcdef")]
    to_user_name: Option<String>,
    /// The app's id; not looked at.
    #[serde(rename = "AgentID")]
    #[schema(example = "1000002")]
    agent_id: Option<String>,
    /// The event, encrypted: base64.
    #[schema(example = "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5", min_length = 1)]
    encrypt: String,
}

/// Take a callback of WeCom
///
/// A genuine callback is answered `success`, whatever it holds; a `kf_msg_or_event` only once it is
/// delivered to its bot or stored. WeCom repeats what is not answered 200 within 5 s.
#[utoipa::path(
    post, path = "/callback/{corpId}", operation_id = "receiveCallback", tag = "WeCom",
    params(
        ("corpId" = String, Path, description = "The corp id (or suite id) the URL was configured for", example = "ww1234567890abcdef"),
        ("msg_signature" = String, Query, min_length = 1, description = "`sha1` over the sorted token, timestamp, nonce and Encrypt", example = "477715d11cdb4164915debcba66cb864d751f3e6"),
        ("timestamp" = String, Query, min_length = 1, description = "As WeCom sent it", example = "1409659813"),
        ("nonce" = String, Query, min_length = 1, description = "As WeCom sent it", example = "1372623149"),
    ),
    request_body(description = "Any content type is accepted", content(
        (SealedBody = "text/xml"),
        (SealedBody = "application/xml"),
    )),
    responses(
        (status = 200, description = "Acknowledged", body = String, content_type = "text/plain", example = "success"),
        (status = 400, description = "The query is incomplete, the body is no XML with `Encrypt`, or the text does not decrypt", body = String, content_type = "text/plain", example = "query incomplete or repeated: forward WeCom's query string"),
        (status = 403, description = "The signature or the receive id is wrong", body = String, content_type = "text/plain", example = "wrong signature"),
        (status = 404, description = "Nobody declared this corp, and no bot of it ever registered", body = String, content_type = "text/plain", example = "unknown corp"),
        (status = 413, description = "The body is larger than 1 MiB", body = String, content_type = "text/plain", example = "body larger than 1 MiB"),
        (status = 503, description = "The event can neither be delivered nor stored: send it again", body = String, content_type = "text/plain", example = "try again"),
    ),
)]
pub async fn receive(
    State(callbacks): State<Arc<Callbacks>>,
    Path(corp): Path<String>,
    RawQuery(query): RawQuery,
    Peer(from): Peer,
    body: Body,
) -> Response {
    let began = Instant::now();
    let query = query.unwrap_or_default();
    // The order of the checks is a promise, so the body is read after the corp is looked up.
    let known = callbacks.corp(&corp).await;
    let signed = known.and_then(|known| Ok((known, SignedQuery::parse(&query)?)));
    let body = body::read(body, BODY_LIMIT, DROPPED_LIMIT).await;
    let kept = body.as_ref().ok().cloned();
    let received = async {
        let ((known, signed), body) = (signed?, body?);
        callbacks.receive(&known, &signed, body).await
    };
    match received.await {
        Ok(()) => taken(&callbacks, "success", Kind::Message, began),
        Err(refusal) => refuse(&callbacks, refusal, Came { corp, kind: Kind::Message, query, body: kept, from }),
    }
}

/// Plain text, exactly: WeCom compares it.
fn taken(callbacks: &Callbacks, text: impl IntoResponse, kind: Kind, began: Instant) -> Response {
    callbacks.taken(kind, began.elapsed());
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// A call, for whoever explains why it was refused.
struct Came {
    corp: String,
    kind: Kind,
    query: String,
    body: Option<Bytes>,
    from: Option<IpAddr>,
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge => Self::TooLarge,
            BodyFault::BrokeOff => Self::BrokeOff,
            BodyFault::Crowded => Self::Crowded,
        }
    }
}

/// The public answer is the class of fault; the log line has the rest.
fn refuse(callbacks: &Callbacks, refusal: Refusal, came: Came) -> Response {
    let (status, class) = match &refusal {
        Refusal::UnknownCorp => (StatusCode::NOT_FOUND, "unknown corp"),
        Refusal::StoreUnavailable | Refusal::Crowded | Refusal::NotTaken => {
            (StatusCode::SERVICE_UNAVAILABLE, "try again")
        }
        Refusal::Query(_) => (StatusCode::BAD_REQUEST, "query incomplete or repeated: forward WeCom's query string"),
        Refusal::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body larger than 1 MiB"),
        Refusal::BrokeOff | Refusal::Envelope(EnvelopeFault::Xml(_) | EnvelopeFault::NoEncrypt) => {
            (StatusCode::BAD_REQUEST, "body is not WeCom's XML with an Encrypt element")
        }
        Refusal::Open(OpenFault::NoCredential | OpenFault::Signature) => (StatusCode::FORBIDDEN, "wrong signature"),
        Refusal::Open(OpenFault::Decrypt(_)) => (StatusCode::BAD_REQUEST, "not base64 or not decryptable"),
        Refusal::Open(OpenFault::ReceiveId) => (StatusCode::FORBIDDEN, "wrong receive id"),
    };
    let Came { corp, kind, query, body, from } = came;
    callbacks.failed(Failed { corp, kind, status: status.as_u16(), query, body, from, refusal });
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], class).into_response()
}

/// An event that another gateway decrypted. Further fields are passed on to the bot unchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; it is read field by field, so that further fields survive")]
pub struct DecryptedBody {
    /// The event's sync token, good for ten minutes.
    #[schema(example = "ENCApHxnGDNAVNY4AaSJKj4Tb5mwsEMzxhFmHVGcra996NR")]
    token: Option<String>,
    /// The account that has news.
    #[serde(rename = "openKfId")]
    #[schema(example = "wkAJ2GCAAAZSfhHCt7IFSvLKtMPxyJTw")]
    open_kf_id: String,
}

/// Take an event that another gateway decrypted
///
/// Answered `roger` once the event is delivered or stored. Without `PUPPET_PASSWORD` anybody can
/// send it, so it never displaces an event that WeCom signed.
#[utoipa::path(
    post, path = "/callback/decrypted/{corpId}", operation_id = "receiveDecrypted", tag = "Bots",
    params(("corpId" = String, Path, description = "The corp the account belongs to", example = "ww1234567890abcdef")),
    request_body(description = "JSON, or the same fields urlencoded", content(
        (DecryptedBody = "application/json"),
        (DecryptedBody = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 200, description = "Delivered or stored", body = String, content_type = "text/plain", example = "roger"),
        (status = 400, description = "`openKfId` is missing or the body is no JSON object", body = Refused),
        (status = 404, description = "Unknown corp", body = Refused),
        (status = 503, description = "It can neither be delivered nor stored: send it again", body = Refused),
    ),
)]
pub async fn receive_decrypted(
    State(callbacks): State<Arc<Callbacks>>,
    caller: Caller,
    Path(corp): Path<String>,
    fields: Fields,
) -> Response {
    let began = Instant::now();
    let known = match callbacks.corp(&corp).await {
        Ok(known) => known,
        Err(Refusal::UnknownCorp) => return body::refused(StatusCode::NOT_FOUND, "unknown corp"),
        Err(_) => return body::refused(StatusCode::SERVICE_UNAVAILABLE, "the corp cannot be looked up; try again"),
    };
    let trust = if caller.is_proven() { Trust::Signed } else { Trust::Unsigned };
    let event = match fields.0.and_then(|fields| DecryptedEvent::read(fields, trust)) {
        Ok(event) => event,
        Err(message) => return body::refused(StatusCode::BAD_REQUEST, &message),
    };
    match callbacks.receive_decrypted(&known, event).await {
        Ok(()) => taken(&callbacks, "roger", Kind::Decrypted, began),
        Err(refusal) => {
            callbacks.refused(Kind::Decrypted, &corp, &refusal);
            warn!(corp.id = corp, reason = %refusal, "did not take a decrypted event");
            body::refused(StatusCode::SERVICE_UNAVAILABLE, "neither delivered nor stored; send it again")
        }
    }
}

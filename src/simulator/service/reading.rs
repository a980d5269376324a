//! What a service reads in a request: the form of the event, its name, its number.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::callback::crypto;
use crate::callback::envelope::Envelope;
use crate::callback::query::SignedQuery;
use crate::services::filter::EventName;
use crate::services::format;
use crate::simulator::wecom::Credential;

/// The form that an event came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// WeCom's own envelope, with WeCom's query.
    AsReceived,
    /// The XML that was in it.
    DecryptedXml,
    Json,
}

impl Form {
    /// The name of it in a service's `format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsReceived => "as-received",
            Self::DecryptedXml => "decrypted-xml",
            Self::Json => "json",
        }
    }
}

/// What was read.
pub(super) struct Reading {
    pub form: Form,
    pub event: Option<String>,
    /// The number of an event that stands in a row of them: one whose `EventKey` or `Content` is nothing
    /// but a number.
    pub number: Option<u64>,
    pub opened: Option<Bytes>,
}

#[derive(Deserialize)]
struct JsonBody {
    event: String,
    message: Map<String, Value>,
}

pub(super) fn read(headers: &HeaderMap, query: &str, body: &Bytes, credential: Option<&Credential>) -> Reading {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        let read: Option<JsonBody> = serde_json::from_slice(body).ok();
        let number = read.as_ref().and_then(|body| number(&body.message));
        return Reading { form: Form::Json, event: read.map(|body| body.event), number, opened: None };
    }
    let sealed = SignedQuery::parse(query).ok();
    let form = if sealed.is_some() { Form::AsReceived } else { Form::DecryptedXml };
    let opened = sealed.zip(credential).and_then(|(query, credential)| open(&query, body, credential));
    let message = format::json(opened.as_ref().unwrap_or(body));
    let event = message.as_ref().map(|message| EventName::in_message(message).to_string());
    Reading { form, event, number: message.as_ref().and_then(number), opened }
}

fn open(query: &SignedQuery<'_>, body: &Bytes, credential: &Credential) -> Option<Bytes> {
    let encrypted = Envelope::parse(body).ok()?.encrypted;
    let token = credential.token.expose();
    if !crypto::verify(&query.msg_signature, token, &query.timestamp, &query.nonce, &encrypted) {
        return None;
    }
    crypto::decrypt(credential.aes_key.key(), &encrypted).ok().map(|opened| opened.message)
}

fn number(message: &Map<String, Value>) -> Option<u64> {
    ["EventKey", "Content"].iter().find_map(|name| message.get(*name)?.as_str()?.parse().ok())
}

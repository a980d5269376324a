//! What a bot did and saw.

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde::Serialize;

/// What a dispatch said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Poke {
    pub token: Option<String>,
    pub open_kf_id: String,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Timestamp,
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What the bot read in it, when it was a dispatch that it accepts.
    pub poke: Option<Poke>,
}

/// What ended the process of an unmodified bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    #[error("a dispatch came before it was ready")]
    NotReady,
    #[error("the content type of /callback was neither application/xml nor text/xml")]
    ContentType,
    #[error("the body of /callback was no XML")]
    NotXml,
    #[error("the body of /callback had no Encrypt")]
    NoEncrypt,
    #[error("the decrypted event was no XML")]
    EventNotXml,
    #[error("the event had no ToUserName")]
    NoToUserName,
    #[error("the event had no Event")]
    NoEvent,
    #[error("the event had no OpenKfId")]
    NoOpenKfId,
}

/// Where a token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    Wecom,
    Manager,
}

/// One thing that the bot did or saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BotHappening {
    TokenFetched { from: TokenSource, expires_in: u64 },
    TokenRefused { from: TokenSource, why: String },
    Registered,
    RegistrationFailed { why: String },
    Ready,
    Dispatched { path: String, status: u16, poke: Option<Poke> },
    Synced { messages: usize, tokenless: bool },
    Answered { customer: String, text: String },
    CallFailed { api: String, why: String },
    Deregistered,
    Died { reason: Death },
}

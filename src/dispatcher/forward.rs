//! The bot contract: what an unmodified bot (wechaty-puppet-wxkf) is sent, and what its answers mean.
//!
//! Such a bot's process dies on a raw callback that it cannot read, so the raw form goes only where
//! [`KfEvent`]'s payload has one *and* the bot holds the pair that opens it.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Map, Value};

use crate::domain::{KfEvent, Puppet};
use crate::egress::{self, DenyList};
use crate::observe::Trace;

/// `DISPATCH_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The raw callback where the bot can open it, else decrypted.
    #[default]
    AsReceived,
    /// Always decrypted JSON.
    Decrypted,
}

/// How much of the event is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Normal,
    /// The sync token is dead: only `{"openKfId"}`, on which a bot syncs as its timer does.
    WithoutToken,
}

/// What came of an attempt. The texts are for operators and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempted {
    /// The bot answered 2xx.
    Delivered,
    /// No connection came about: the bot may be restarting, and dies on a poke before it is ready.
    NoConnection(String),
    /// The bot answered otherwise, or not in time.
    Failed(String),
}

/// Why a probe had no answer of a bot; the texts are for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// `DISPATCH_DENY_NETWORKS` keeps the gateway from asking.
    Denied(String),
    /// No connection came about: nobody else who listens there would answer.
    NoConnection(String),
    /// No answer came, or one of somebody in the bot's place.
    Away(String),
}

/// Sends events to bots.
#[derive(Debug, Clone)]
pub struct Forwarder {
    http: Client,
    denied: DenyList,
    format: Format,
}

impl Forwarder {
    pub fn new(http: Client, denied: DenyList, format: Format) -> Self {
        Self { http, denied, format }
    }

    /// One attempt, over within `limit`, which tells the bot of the trace.
    pub async fn deliver(
        &self,
        bot: &Puppet,
        event: &KfEvent,
        form: Form,
        limit: Duration,
        trace: &Trace,
    ) -> Attempted {
        if let Some(address) = self.denied.denies_literal(bot.endpoint.url()) {
            return Attempted::Failed(format!("DISPATCH_DENY_NETWORKS forbids {address}"));
        }
        let raw =
            event.payload.raw.as_ref().filter(|raw| {
                form == Form::Normal && self.format == Format::AsReceived && raw.credential == bot.pair_id()
            });
        let request = match raw {
            Some(raw) => self
                .http
                .post(format!("{}/callback?{}", bot.endpoint, raw.query))
                .header(header::CONTENT_TYPE, "application/xml")
                .body(raw.body.clone()),
            None => self.http.post(format!("{}/callback/decrypted", bot.endpoint)).json(&decrypted(event, form)),
        };
        match request.headers(trace.headers()).timeout(limit).send().await {
            Ok(response) => conclude(response).await,
            Err(error) => failure(&error),
        }
    }

    /// The probe: what keeps requests from the bot. A `GET` is harmless to every bot; a gateway's
    /// 502, 503 or 504 in front of it says that the bot itself is still away.
    pub async fn knock(&self, bot: &Puppet) -> Result<(), Unanswered> {
        if let Some(address) = self.denied.denies_literal(bot.endpoint.url()) {
            return Err(Unanswered::Denied(format!("DISPATCH_DENY_NETWORKS forbids {address}")));
        }
        let sent = self.http.get(format!("{}/callback", bot.endpoint)).send().await;
        match sent.map(|response| response.status()) {
            Ok(status @ (StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)) => {
                Err(Unanswered::Away(format!("something before the bot answered {status}")))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(match egress::denied(&error) {
                Some(denied) => Unanswered::Denied(denied.to_string()),
                None if error.is_connect() => Unanswered::NoConnection(in_words(&error)),
                None => Unanswered::Away(in_words(&error)),
            }),
        }
    }
}

fn decrypted(event: &KfEvent, form: Form) -> Map<String, Value> {
    let mut body = Map::new();
    if form == Form::Normal {
        body.extend(event.payload.extra.clone());
        if let Some(token) = &event.payload.sync_token {
            body.insert("token".into(), Value::from(token.as_ref()));
        }
    }
    body.insert("openKfId".into(), Value::from(event.account.kf.as_str()));
    body
}

async fn conclude(response: Response) -> Attempted {
    match egress::status_of(response).await {
        status if status.is_success() => Attempted::Delivered,
        status => Attempted::Failed(format!("the bot answered {status}")),
    }
}

fn failure(error: &reqwest::Error) -> Attempted {
    match egress::denied(error) {
        Some(denied) => Attempted::Failed(denied.to_string()),
        None if error.is_connect() => Attempted::NoConnection(in_words(error)),
        None => Attempted::Failed(in_words(error)),
    }
}

fn in_words(error: &reqwest::Error) -> String {
    egress::fault_in_words(error, "the bot")
}

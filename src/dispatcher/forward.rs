//! The bot contract: what an unmodified bot (wechaty-puppet-wxkf) is sent, and what its answers mean.
//!
//! Such a bot's process dies on a raw callback that it cannot read, so the raw form goes only where
//! [`KfEvent`]'s payload has one *and* the bot holds the pair that opens it.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde_json::{Map, Value};

use crate::domain::{KfEvent, Puppet};
use crate::egress::{Courier, Undelivered};
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

/// Sends events to bots.
#[derive(Debug, Clone)]
pub struct Forwarder {
    courier: Courier,
    format: Format,
}

impl Forwarder {
    pub fn new(courier: Courier, format: Format) -> Self {
        Self { courier, format }
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
        let Ok(mut request) = self.request(bot, event, form) else {
            return Attempted::Failed("the event makes no request".to_owned());
        };
        request.headers_mut().extend(trace.headers());
        match self.courier.send_within(limit, request, THE_BOT).await {
            Ok(status) if status.is_success() => Attempted::Delivered,
            Ok(status) => Attempted::Failed(format!("the bot answered {status}")),
            Err(Undelivered::NoConnection(text)) => Attempted::NoConnection(text),
            Err(Undelivered::Denied(text) | Undelivered::NoAnswer(text)) => Attempted::Failed(text),
        }
    }

    fn request(&self, bot: &Puppet, event: &KfEvent, form: Form) -> http::Result<Request<Bytes>> {
        let may_be_raw = form == Form::Normal && self.format == Format::AsReceived;
        let raw = event.payload.raw.as_ref().filter(|raw| may_be_raw && raw.credential == *bot.pair.id());
        match raw {
            Some(raw) => Request::post(bot.endpoint.below(&["/callback?", &raw.query]))
                .header(header::CONTENT_TYPE, "application/xml")
                .body(raw.body.clone()),
            None => Request::post(bot.endpoint.below(&["/callback/decrypted"]))
                .header(header::CONTENT_TYPE, "application/json")
                .body(Value::from(decrypted(event, form)).to_string().into()),
        }
    }

    /// The probe: what keeps requests from the bot. A `GET` is harmless to every bot; a gateway's
    /// 502, 503 or 504 in front of it says that the bot itself is still away.
    pub async fn knock(&self, bot: &Puppet) -> Result<(), Undelivered> {
        let request = Request::get(bot.endpoint.below(&["/callback"])).body(Bytes::new());
        let request =
            request.map_err(|error| Undelivered::NoAnswer(format!("the endpoint makes no request: {error}")))?;
        match self.courier.send(request, THE_BOT).await? {
            status @ (StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) => {
                Err(Undelivered::NoAnswer(format!("something before the bot answered {status}")))
            }
            _ => Ok(()),
        }
    }
}

/// Whom the texts of faults name.
const THE_BOT: &str = "the bot";

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

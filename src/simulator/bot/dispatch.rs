//! What is sent to the bot, and what it makes of it.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::Value;

use super::xml::{children, first};
use super::{Behaviour, BotHappening, Death, Mode, Poke, Received, Shared, life, work};
use crate::callback::crypto;
use crate::simulator::port::CutConnection;

/// express's default, which the puppet keeps.
const BODY_LIMIT: usize = 100 * 1024;

pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new().fallback(handle).with_state(shared)
}

/// What a request comes to.
enum Verdict {
    /// The bot has news to fetch.
    Poked(Poke, &'static str),
    Answer(StatusCode, String),
    Dies(Death),
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    // Read in full even where express would have stopped: the record shows what was sent.
    let body = body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let behaviour = *shared.behaviour.lock();
    if let Behaviour::Slow(delay) = behaviour {
        tokio::time::sleep(delay).await;
    }
    let verdict = match behaviour {
        Behaviour::Normal | Behaviour::Slow(_) => judge(&shared, &parts, &body),
        Behaviour::Accept => match judge_robustly(&shared, &parts, &body) {
            Verdict::Poked(poke, word) => Verdict::Poked(poke, word),
            _ => Verdict::Answer(StatusCode::OK, "success".to_owned()),
        },
        Behaviour::Refuse(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Verdict::Answer(status, "refused on request".to_owned())
        }
        Behaviour::Hang(delay) => {
            record(&shared, &parts, &body, None);
            tokio::time::sleep(delay).await;
            return cut();
        }
        Behaviour::Closed => return cut(),
    };
    record(&shared, &parts, &body, if let Verdict::Poked(poke, _) = &verdict { Some(poke.clone()) } else { None });
    let dispatched = |status: StatusCode, poke: Option<Poke>| {
        let path = parts.uri.path().to_owned();
        shared.journal.record(BotHappening::Dispatched { path, status: status.as_u16(), poke }, began);
    };
    match verdict {
        Verdict::Poked(poke, word) => {
            dispatched(StatusCode::OK, Some(poke.clone()));
            if behaviour != Behaviour::Accept {
                fetch_news(&shared, poke);
            }
            (StatusCode::OK, word).into_response()
        }
        Verdict::Answer(status, text) => {
            dispatched(status, None);
            (status, text).into_response()
        }
        Verdict::Dies(reason) => {
            life::die(&shared, reason);
            // The port is gone, and this connection with it.
            std::future::pending().await
        }
    }
}

fn record(shared: &Shared, parts: &Parts, body: &Bytes, poke: Option<Poke>) {
    shared.received.lock().push(Received {
        at: shared.options.clock.now(),
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.clone(),
        body: body.clone(),
        poke,
    });
}

fn cut() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(CutConnection);
    response
}

fn fetch_news(shared: &Arc<Shared>, poke: Poke) {
    let worker = Arc::clone(shared);
    shared.tasks.spawn(async move {
        tokio::select! {
            () = worker.ended.cancelled() => {}
            () = work::sync(&worker, poke.token.as_deref()) => {}
        }
    });
}

fn judge(shared: &Shared, parts: &Parts, body: &Bytes) -> Verdict {
    let verdict = match (&parts.method, route(shared, parts)) {
        (&Method::POST, "/callback" | "/callback/decrypted") if body.len() > BODY_LIMIT => {
            Verdict::Answer(StatusCode::PAYLOAD_TOO_LARGE, "request entity too large".to_owned())
        }
        (&Method::POST, "/callback" | "/callback/decrypted") if !*shared.ready.lock() => Verdict::Dies(Death::NotReady),
        (&Method::POST, "/callback") => encrypted(shared, parts, body),
        (&Method::POST, "/callback/decrypted") => decrypted(shared, body),
        // express, word for word.
        (method, path) => Verdict::Answer(StatusCode::NOT_FOUND, format!("Cannot {method} {path}")),
    };
    match (verdict, shared.options.mode) {
        (Verdict::Dies(death), Mode::Robust) => Verdict::Answer(StatusCode::BAD_REQUEST, death.to_string()),
        (verdict, _) => verdict,
    }
}

fn judge_robustly(shared: &Shared, parts: &Parts, body: &Bytes) -> Verdict {
    match route(shared, parts) {
        "/callback" => encrypted(shared, parts, body),
        _ => decrypted(shared, body),
    }
}

/// The path behind that of the registered endpoint.
fn route<'a>(shared: &Shared, parts: &'a Parts) -> &'a str {
    let prefix = url::Url::parse(&shared.endpoint).map(|url| url.path().trim_end_matches('/').to_owned());
    let path = parts.uri.path();
    prefix.ok().and_then(|prefix| path.strip_prefix(prefix.as_str())).unwrap_or(path)
}

/// Its own checks, in its own order: signature, corp, account.
fn encrypted(shared: &Shared, parts: &Parts, body: &Bytes) -> Verdict {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/xml") && !kind.eq_ignore_ascii_case("text/xml") {
        return Verdict::Dies(Death::ContentType);
    }
    let Some(envelope) = children(body) else { return Verdict::Dies(Death::NotXml) };
    let Some(sealed) = first(&envelope, "Encrypt") else { return Verdict::Dies(Death::NoEncrypt) };
    let wrong = |what: &str| Verdict::Answer(StatusCode::INTERNAL_SERVER_ERROR, what.to_owned());
    let query: Vec<(String, String)> =
        form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let (signature, timestamp, nonce) =
        (first(&query, "msg_signature"), first(&query, "timestamp"), first(&query, "nonce"));
    let credential = &shared.options.credential;
    let signed = signature.is_some_and(|signature| {
        let (timestamp, nonce) = (timestamp.unwrap_or_default(), nonce.unwrap_or_default());
        crypto::verify(signature, credential.token.expose(), timestamp, nonce, sealed)
    });
    if !signed {
        return wrong("signature not match");
    }
    let opened = crypto::decrypt(credential.aes_key.key(), sealed).ok();
    let Some(event) = opened.and_then(|opened| children(&opened.message)) else {
        return Verdict::Dies(Death::EventNotXml);
    };
    let Some(corp) = first(&event, "ToUserName") else { return Verdict::Dies(Death::NoToUserName) };
    if first(&event, "Event").is_none() {
        return Verdict::Dies(Death::NoEvent);
    }
    let Some(open_kf_id) = first(&event, "OpenKfId") else { return Verdict::Dies(Death::NoOpenKfId) };
    if corp != shared.options.corp {
        return wrong("corpId not match");
    }
    if open_kf_id != shared.options.open_kf_id {
        return wrong("kfOpenId not match");
    }
    let token = first(&event, "Token").map(str::to_owned);
    Verdict::Poked(Poke { token, open_kf_id: open_kf_id.to_owned() }, "success")
}

fn decrypted(shared: &Shared, body: &Bytes) -> Verdict {
    let Ok(event) = serde_json::from_slice::<Value>(body) else {
        return Verdict::Answer(StatusCode::BAD_REQUEST, "Unexpected token in JSON".to_owned());
    };
    match event["openKfId"].as_str() {
        Some(open_kf_id) if open_kf_id == shared.options.open_kf_id => {
            let token = event["token"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
            Verdict::Poked(Poke { token, open_kf_id: open_kf_id.to_owned() }, "roger")
        }
        _ => Verdict::Answer(StatusCode::INTERNAL_SERVER_ERROR, "kfOpenId not match".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::simulator::bot::testkit::{Manager, bot};
    use crate::simulator::bot::{Bot, BotOptions};
    use crate::simulator::wecom::testkit::{AES_KEY, TOKEN, http, wecom};
    use crate::simulator::wecom::{Credential, EventFields, SignedCallback, WecomOptions, inner_xml, signed_callback};

    const EVENT: &str = "kf_msg_or_event";
    const SOON: Duration = Duration::from_secs(10);

    fn callback(name: &str, corp: &str, open_kf_id: &str) -> SignedCallback {
        let credential = Credential::new("ww1", TOKEN, AES_KEY).unwrap();
        let fields = EventFields { corp, open_kf_id, token: "sync-token", ..EventFields::default() };
        signed_callback(&credential, &inner_xml(name, &fields))
    }

    /// The status and text of the answer; `None`: the bot died over it.
    async fn post(bot: &Bot, callback: &SignedCallback, kind: &'static str) -> Option<(u16, String)> {
        let url = format!("{}/callback?{}", bot.endpoint(), callback.query);
        let answer = http().post(url).header(CONTENT_TYPE, kind).body(callback.body.clone()).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.unwrap()))
    }

    async fn ready(change: impl FnOnce(&mut BotOptions)) -> (Bot, Manager) {
        let wecom = wecom(WecomOptions::default()).await;
        let manager = Manager::start().await;
        let bot = bot(&wecom, &manager.url(), change).await;
        assert!(bot.ready(SOON).await);
        (bot, manager)
    }

    fn answered(status: u16, text: &str) -> Option<(u16, String)> {
        Some((status, text.to_owned()))
    }

    #[tokio::test]
    async fn takes_what_is_its_own() {
        let (bot, _manager) = ready(|_| ()).await;
        assert_eq!(post(&bot, &callback(EVENT, "ww1", "wk1"), "application/xml").await, answered(200, "success"));
        assert_eq!(
            post(&bot, &callback(EVENT, "ww1", "wk1"), "text/xml; charset=utf-8").await,
            answered(200, "success")
        );
        assert_eq!(post(&bot, &callback(EVENT, "ww2", "wk1"), "text/xml").await, answered(500, "corpId not match"));
        assert_eq!(post(&bot, &callback(EVENT, "ww1", "wk2"), "text/xml").await, answered(500, "kfOpenId not match"));
        let mut forged = callback(EVENT, "ww1", "wk1");
        forged.query = forged.query.replace("nonce=", "nonce=0");
        assert_eq!(post(&bot, &forged, "text/xml").await, answered(500, "signature not match"));
        assert_eq!(bot.pokes().len(), 2);
        assert_eq!(bot.pokes()[0].token.as_deref(), Some("sync-token"));
        assert_eq!(bot.received().len(), 5);
        assert_eq!(bot.died(), None);
    }

    #[tokio::test]
    async fn takes_decrypted_events_and_knows_no_get() {
        let (bot, _manager) = ready(|_| ()).await;
        let url = format!("{}/callback/decrypted", bot.endpoint());
        for (body, status, text) in [
            (serde_json::json!({ "token": "t", "openKfId": "wk1", "further": 1 }), 200, "roger"),
            (serde_json::json!({ "openKfId": "wk2" }), 500, "kfOpenId not match"),
        ] {
            let answer = http().post(&url).json(&body).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (status, text.to_owned()));
        }
        let probe = http().get(format!("{}/callback", bot.endpoint())).send().await.unwrap();
        assert_eq!((probe.status().as_u16(), probe.text().await.unwrap()), (404, "Cannot GET /callback".to_owned()));
    }

    #[tokio::test]
    async fn dies_of_what_its_reader_cannot_take() {
        let sealed = |xml: &str| signed_callback(&Credential::new("ww1", TOKEN, AES_KEY).unwrap(), xml);
        let raw = |body: &str| SignedCallback { query: String::new(), body: body.to_owned() };
        let cases = [
            (callback(EVENT, "ww1", "wk1"), "application/json", Death::ContentType),
            (callback(EVENT, "ww1", "wk1"), "text/plain", Death::ContentType),
            (raw("{}"), "text/xml", Death::NotXml),
            (raw("<xml><ToUserName/></xml>"), "text/xml", Death::NoEncrypt),
            (sealed("plain"), "text/xml", Death::EventNotXml),
            (callback("kf_msg_or_event_without_open_kf_id", "ww1", ""), "text/xml", Death::NoOpenKfId),
            (callback("kf_account_auth_change", "ww1", "wk1"), "text/xml", Death::NoOpenKfId),
            (callback("text", "ww1", "wk1"), "text/xml", Death::NoEvent),
            (callback("suite_ticket", "ww1", "wk1"), "text/xml", Death::NoToUserName),
        ];
        for (callback, kind, death) in cases {
            let (bot, _manager) = ready(|_| ()).await;
            assert_eq!(post(&bot, &callback, kind).await, None, "{death}");
            assert_eq!(bot.died(), Some(death));
            assert!(http().get(bot.endpoint()).send().await.is_err(), "a dead process listens on nothing");
        }
    }

    #[tokio::test]
    async fn the_robust_one_dies_of_nothing() {
        let (bot, _manager) = ready(|options| options.mode = Mode::Robust).await;
        let answer = post(&bot, &callback("text", "ww1", "wk1"), "text/plain").await;
        assert_eq!(answer.unwrap().0, 400);
        assert_eq!(bot.died(), None);
    }

    #[tokio::test]
    async fn dies_of_a_dispatch_before_it_is_ready_but_not_of_a_probe() {
        let wecom = wecom(WecomOptions::default()).await;
        let manager = Manager::start().await;
        let bot = bot(&wecom, &manager.url(), |options| options.ready_after = Duration::from_secs(3600)).await;
        assert!(bot.registered(SOON).await);
        let probe = http().get(format!("{}/callback", bot.endpoint())).send().await.unwrap();
        assert_eq!(probe.status(), 404);
        assert_eq!(post(&bot, &callback(EVENT, "ww1", "wk1"), "text/xml").await, None);
        assert_eq!(bot.died(), Some(Death::NotReady));
    }

    #[tokio::test]
    async fn behaves_as_told() {
        let (bot, _manager) = ready(|_| ()).await;
        let event = callback(EVENT, "ww1", "wk1");
        bot.behave(Behaviour::Refuse(503)).await.unwrap();
        assert_eq!(post(&bot, &event, "text/xml").await.unwrap().0, 503);
        bot.behave(Behaviour::Hang(Duration::from_millis(20))).await.unwrap();
        assert_eq!(post(&bot, &event, "text/xml").await, None);
        bot.behave(Behaviour::Closed).await.unwrap();
        assert_eq!(post(&bot, &event, "text/xml").await, None);
        bot.behave(Behaviour::Accept).await.unwrap();
        assert_eq!(post(&bot, &event, "text/xml").await.unwrap().0, 200);
        bot.behave(Behaviour::Normal).await.unwrap();
        assert_eq!(post(&bot, &event, "text/xml").await.unwrap().0, 200);
        assert_eq!(bot.died(), None);
        assert_eq!(bot.pokes().len(), 2);
    }
}

//! From HTTP to a [`Call`] and back: faults, the journal, status and headers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use http::header::{self, HeaderName};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Api, Call, Reply, answer, token};
use crate::simulator::port::{Caller, CutConnection};
use crate::simulator::wecom::errcode::{self, Refusal};
use crate::simulator::wecom::faults::{Fault, Target};
use crate::simulator::wecom::{Happening, Shared};

/// Above the largest upload there is.
const BODY_LIMIT: usize = 32 * 1024 * 1024;

pub(in crate::simulator::wecom) fn routes(shared: Arc<Shared>) -> Router {
    Router::new().route("/cgi-bin/{*path}", any(handle)).with_state(shared)
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let began = Instant::now();
    let path = request.uri().path().trim_start_matches("/cgi-bin/").to_owned();
    let Some(api) = Api::from_path(&path) else {
        return (StatusCode::NOT_FOUND, format!("the simulator has no /cgi-bin/{path}")).into_response();
    };
    let Ok(call) = take_apart(&shared, api, request).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "body too large or broken").into_response();
    };
    token::count(&mut shared.world.lock(), &call);
    let fault = shared.faults.lock().next(Target::Api(api));
    let syncing = Syncing::begin(&shared, &call);
    if let Some(Fault::HangMs(delay)) = fault {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let outcome = match fault {
        Some(fault) if !matches!(fault, Fault::HangMs(_)) => by_fault(&fault, &call),
        _ => by_the_rules(&shared, &call, syncing.as_ref()),
    };
    outcome.finish(&shared, &call, began)
}

async fn take_apart(shared: &Shared, api: Api, request: Request) -> Result<Call, axum::Error> {
    let (parts, body) = request.into_parts();
    let caller =
        parts.extensions.get::<Caller>().map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |caller| caller.0.ip());
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let content_type = text(header::CONTENT_TYPE).unwrap_or_default();
    let range = text(header::RANGE);
    let body = body::to_bytes(body, BODY_LIMIT).await?;
    Ok(Call { api, caller, now: shared.options.clock.now(), query, content_type, range, body })
}

/// What a call comes to: the response, and what the journal says of it.
struct Outcome {
    response: Response,
    errcode: Option<i64>,
    why: String,
    sent: Option<super::send::Addressee>,
}

impl Outcome {
    fn new(response: Response, errcode: Option<i64>, why: impl Into<String>) -> Self {
        Self { response, errcode, why: why.into(), sent: None }
    }

    fn finish(self, shared: &Shared, call: &Call, began: Instant) -> Response {
        let cut = self.response.extensions().get::<CutConnection>().is_some();
        let corp = corp_of(shared, call);
        shared.journal.record(
            Happening::ApiCalled {
                api: call.api.path().to_owned(),
                corp,
                caller: call.caller,
                status: (!cut).then(|| self.response.status().as_u16()),
                errcode: self.errcode,
                why: self.why,
            },
            began,
        );
        if let Some(super::send::Addressee { corp, open_kf_id, customer, text }) = self.sent {
            shared.journal.record(Happening::CustomerAnswered { corp, open_kf_id, customer, text }, began);
        }
        self.response
    }
}

fn corp_of(shared: &Shared, call: &Call) -> Option<String> {
    let world = shared.world.lock();
    let by_token =
        call.query("access_token").and_then(|token| world.tokens.get(token)).map(|issued| issued.corp.clone());
    by_token.or_else(|| call.query("corpid").map(str::to_owned))
}

fn by_the_rules(shared: &Shared, call: &Call, syncing: Option<&Syncing<'_>>) -> Outcome {
    let limit = shared.options.limits.syncs_at_once;
    let result = if syncing.is_some_and(|syncing| syncing.at_once > limit) {
        Err(Refusal::new(errcode::TOO_MANY_AT_ONCE, format!("more than {limit} calls at the same time")))
    } else {
        answer(&mut shared.world.lock(), &shared.options, call)
    };
    match result {
        Ok(Reply::Json(fields)) => {
            let why = in_words(call.api, &fields);
            Outcome::new(in_json(0, fields), Some(0), why)
        }
        Ok(Reply::Sent { answer, to }) => {
            let why = format!("to {}", to.customer);
            Outcome { sent: Some(to), ..Outcome::new(in_json(0, answer), Some(0), why) }
        }
        Ok(Reply::File(file)) => {
            let why = format!("{} bytes of {}", file.content.len(), file.file_name);
            Outcome::new(as_file(file), None, why)
        }
        Err(refusal) => {
            let fields = if refusal.code == errcode::ADDRESS_NOT_TRUSTED {
                json!({ "errmsg": format!("{}, from ip: {}", errcode::message(refusal.code), call.caller) })
            } else {
                json!({})
            };
            Outcome::new(in_json(refusal.code, fields), Some(refusal.code), refusal.why)
        }
    }
}

/// What a good answer holds.
fn in_words(api: Api, fields: &Value) -> String {
    let count = |name: &str| fields[name].as_array().map_or(0, Vec::len);
    match api {
        Api::GetToken => format!("a token, {} s left", fields["expires_in"]),
        Api::AccountList => format!("accounts: {}", count("account_list")),
        Api::SyncMsg if fields["has_more"] == 1 => format!("messages: {}, and there are more", count("msg_list")),
        Api::SyncMsg => format!("messages: {}", count("msg_list")),
        Api::ServiceStateGet => format!("state {}", fields["service_state"]),
        _ => "by the rules".to_owned(),
    }
}

fn by_fault(fault: &Fault, call: &Call) -> Outcome {
    const WHY: &str = "a fault rule asked for it";
    match fault {
        Fault::Errcode(code) => Outcome::new(in_json(*code, json!({})), Some(*code), WHY),
        Fault::Status(status) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Outcome::new((status, "simulated").into_response(), None, WHY)
        }
        Fault::NotJson => Outcome::new(axum::response::Html("<html>log in first</html>").into_response(), None, WHY),
        Fault::EmptyPage => {
            let cursor = call.json::<Value>().ok().and_then(|body| body.get("cursor").cloned()).unwrap_or(json!(""));
            let page = json!({ "next_cursor": cursor, "has_more": 1, "msg_list": [] });
            Outcome::new(in_json(0, page), Some(0), WHY)
        }
        Fault::Drop | Fault::HangMs(_) | Fault::WrongSignature => {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(CutConnection);
            Outcome::new(response, None, WHY)
        }
    }
}

/// HTTP is 200 even on errors; the code is in two headers as well (capture in forum
/// 000cc42f0343804dfb1c97f7756000).
fn in_json(code: i64, fields: Value) -> Response {
    let mut answer = json!({ "errcode": code, "errmsg": errcode::message(code) });
    if let (Value::Object(answer), Value::Object(fields)) = (&mut answer, fields) {
        answer.extend(fields);
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json; charset=UTF-8"));
    headers.insert("error-code", http::HeaderValue::from(code));
    headers.insert("error-msg", http::HeaderValue::from_static(errcode::message(code)));
    (headers, answer.to_string()).into_response()
}

/// The file name in exactly the form that clients look for.
fn as_file(file: super::media::Download) -> Response {
    let name: String = file.file_name.chars().filter(|c| c.is_ascii_graphic() && *c != '"').collect();
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, text: String| {
        if let Ok(value) = text.parse() {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, file.content_type);
    set(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""));
    let status = if file.range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    if let Some(range) = file.range {
        set(header::CONTENT_RANGE, range);
    }
    (status, headers, file.content).into_response()
}

/// Counts a running `kf/sync_msg` for its corp, until it is dropped.
struct Syncing<'a> {
    shared: &'a Shared,
    corp: String,
    at_once: usize,
}

impl<'a> Syncing<'a> {
    fn begin(shared: &'a Shared, call: &Call) -> Option<Self> {
        if call.api != Api::SyncMsg {
            return None;
        }
        let corp = corp_of(shared, call)?;
        let mut syncing = shared.syncing.lock();
        let at_once = syncing.entry(corp.clone()).or_default();
        *at_once += 1;
        let at_once = *at_once;
        drop(syncing);
        Some(Self { shared, corp, at_once })
    }
}

impl Drop for Syncing<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.shared.syncing.lock().get_mut(&self.corp) {
            *running -= 1;
        }
    }
}

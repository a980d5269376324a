//! An upstream for tests: answers as scripted, counts calls and keeps their queries.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use url::Url;

use super::{WecomClient, WecomSettings};
use crate::domain::{App, CorpId, Secret};
use crate::egress;
use crate::lifecycle::Tasks;

/// One call as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) number: usize,
    pub(crate) path: String,
    pub(crate) query: HashMap<String, String>,
    pub(crate) body: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Json(Value),
    Text(&'static str),
    Status(StatusCode),
    /// Answers late enough for callers to crowd.
    Slow(Value),
    Hang,
}

type Script = Box<dyn FnMut(&Asked) -> Reply + Send>;

#[derive(Clone)]
pub(crate) struct FakeWecom {
    pub(crate) base: Url,
    script: Arc<Mutex<Script>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeWecom {
    pub(crate) async fn start(script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let fake = Self { base, script: Arc::new(Mutex::new(Box::new(script))), asked: Arc::default() };
        let app = Router::new().fallback(answer).with_state(fake.clone());
        Tasks::new().spawn(async move { axum::serve(listener, app).await });
        fake
    }

    /// An address where nobody listens.
    pub(crate) async fn nobody() -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
    }

    pub(crate) fn script(&self, script: impl FnMut(&Asked) -> Reply + Send + 'static) {
        *self.script.lock() = Box::new(script);
    }

    pub(crate) fn calls(&self) -> usize {
        self.asked.lock().len()
    }

    pub(crate) fn last(&self) -> Asked {
        self.asked.lock().last().cloned().unwrap()
    }

    pub(crate) fn client(&self) -> WecomClient {
        client(WecomSettings::new(self.base.clone(), None))
    }
}

async fn answer(State(fake): State<FakeWecom>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default();
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let asked = {
        let mut all = fake.asked.lock();
        let asked = Asked { number: all.len() + 1, path, query, body };
        all.push(asked.clone());
        asked
    };
    let reply = (fake.script.lock())(&asked);
    match reply {
        Reply::Json(value) => axum::Json(value).into_response(),
        Reply::Text(text) => text.into_response(),
        Reply::Status(status) => status.into_response(),
        Reply::Slow(value) => {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            axum::Json(value).into_response()
        }
        Reply::Hang => std::future::pending().await,
    }
}

pub(crate) fn client(settings: WecomSettings) -> WecomClient {
    WecomClient::new(settings, egress::wecom_client(None, None).unwrap())
}

pub(crate) fn app(corp: &str, secret: &str) -> App {
    App { corp_id: CorpId::parse(corp).unwrap(), secret: Secret::new(secret) }
}

pub(crate) fn grant(token: &str, expires_in: u64) -> Value {
    json!({ "errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": expires_in })
}

pub(crate) fn refusal(errcode: i64) -> Value {
    json!({ "errcode": errcode, "errmsg": format!("refused with {errcode}") })
}

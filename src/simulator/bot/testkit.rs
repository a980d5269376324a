//! For the bot's own tests: a manager that says yes, and a bot of the corp `ww1`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Bot, BotOptions};
use crate::lifecycle::Tasks;
use crate::simulator::port::{KillOnDrop, Port};
use crate::simulator::wecom::testkit::{AES_KEY, TOKEN};
use crate::simulator::wecom::{Credential, Wecom};

/// Who called, with which authorization: `(path, query, header)`.
type Calls = Arc<Mutex<Vec<(String, String, Option<String>)>>>;

/// Answers everything as a manager that agrees.
pub(in crate::simulator) struct Manager {
    port: KillOnDrop,
    calls: Calls,
}

impl Manager {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = Arc::new(Port::new(listener.local_addr().unwrap(), Tasks::new()));
        let calls = Calls::default();
        port.serve(listener, Router::new().fallback(agree).with_state(Arc::clone(&calls)));
        Self { port: KillOnDrop(port), calls }
    }

    pub fn url(&self) -> String {
        format!("http://bot:pass@{}", self.port.0.address())
    }

    pub fn calls(&self) -> Vec<(String, String, Option<String>)> {
        self.calls.lock().clone()
    }
}

async fn agree(State(calls): State<Calls>, request: Request) -> Json<Value> {
    let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let query = request.uri().query().unwrap_or_default().to_owned();
    calls.lock().push((request.uri().path().to_owned(), query, authorization));
    Json(json!({ "code": 0, "message": "success", "errcode": 0, "access_token": "shared", "expires_in": 100 }))
}

pub(in crate::simulator) async fn bot(wecom: &Wecom, manager: &str, change: impl FnOnce(&mut BotOptions)) -> Bot {
    let credential = Credential::new("ww1", TOKEN, AES_KEY).unwrap();
    let mut options = BotOptions {
        manager: manager.to_owned(),
        wecom: wecom.base_url(),
        ready_after: std::time::Duration::ZERO,
        clock: wecom.clock().clone(),
        ..BotOptions::new("ww1", "s1", credential, "wk1")
    };
    change(&mut options);
    Bot::start(options).await.unwrap()
}

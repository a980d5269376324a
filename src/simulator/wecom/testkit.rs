//! For the simulator's own tests: a corp as they come, and a client as short as a line.

use std::time::Duration;

use serde_json::Value;

use super::{Wecom, WecomOptions};
use crate::egress;

pub(in crate::simulator) const TOKEN: &str = "QDG6eK";
pub(in crate::simulator) const AES_KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

/// A WeCom with the corp `ww1`, its app `s1` and its account `wk1`.
pub(in crate::simulator) async fn wecom(options: WecomOptions) -> Wecom {
    let wecom = Wecom::start(options).await.unwrap();
    wecom.corp("ww1").secret("s1").account("wk1").credential(TOKEN, AES_KEY).unwrap();
    wecom
}

/// Quick enough for a test to wait for every repeat.
pub(in crate::simulator) fn hasty() -> WecomOptions {
    WecomOptions {
        callback_timeout: Duration::from_millis(150),
        repeat_after: Duration::from_millis(5),
        ..WecomOptions::default()
    }
}

/// One client a thread, that is a test: making one reads all certificates of the machine, and its
/// connections die with the test's runtime.
pub(in crate::simulator) fn http() -> reqwest::Client {
    thread_local! {
        static CLIENT: reqwest::Client = egress::client(Duration::from_secs(10)).unwrap();
    }
    CLIENT.with(reqwest::Client::clone)
}

impl Wecom {
    pub(in crate::simulator) async fn get(&self, path: &str) -> Value {
        http().get(format!("{}/cgi-bin/{path}", self.base_url())).send().await.unwrap().json().await.unwrap()
    }

    /// Calls a business API with a token of `s1`.
    pub(in crate::simulator) async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/cgi-bin/{path}?access_token={}", self.base_url(), self.access_token().await);
        http().post(url).json(&body).send().await.unwrap().json().await.unwrap()
    }

    pub(in crate::simulator) async fn access_token(&self) -> String {
        self.get("gettoken?corpid=ww1&corpsecret=s1").await["access_token"].as_str().unwrap().to_owned()
    }
}

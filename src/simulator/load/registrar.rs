//! Registrations, as bots make them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::Url;

use super::crowd::{self, Crowd};
use super::{LoadError, LoadOptions};
use crate::egress;

/// Registrations at the same time.
pub(super) const AT_ONCE: usize = 64;
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Why a bot is not registered.
#[derive(Debug)]
pub(super) enum NotRegistered {
    /// The gateway says so, in these words.
    Refused(String),
    WrongPassword,
    /// No answer, or none of a gateway that works.
    NoAnswer(String),
}

#[derive(Debug)]
pub(super) struct Registrar {
    http: reqwest::Client,
    urls: Vec<String>,
    turn: AtomicUsize,
    at_once: Semaphore,
}

impl Registrar {
    pub fn new(options: &LoadOptions) -> Result<Self, LoadError> {
        let http = egress::client(ANSWER_LIMIT).map_err(LoadError::Client)?;
        let url = |gateway: &Url| format!("{}/puppetWxkfManager/register", gateway.as_str().trim_end_matches('/'));
        let urls = options.gateways.iter().map(url).collect();
        Ok(Self { http, urls, turn: AtomicUsize::new(0), at_once: Semaphore::new(AT_ONCE) })
    }

    pub async fn register(&self, crowd: &Crowd, account: usize, endpoint: &str) -> Result<(), NotRegistered> {
        let _at_once = self.at_once.acquire().await;
        let corp = crowd.corp_of(account);
        let bot = json!({
            "kfId": crowd.open_kf_id(account),
            "kfName": format!("load {account}"),
            "endpoint": endpoint,
            "corpId": corp.receive_id,
            "corpSecret": crowd::SECRET,
            "token": corp.token.expose(),
            "encodingAESKey": corp.aes_key.text().expose(),
        });
        // The URL may hold a password.
        let told = |error: reqwest::Error| NotRegistered::NoAnswer(error.without_url().to_string());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.urls.len().max(1);
        let url = self.urls.get(turn).map_or("", String::as_str);
        let answer = self.http.post(url).json(&bot).send().await.map_err(told)?;
        match answer.status() {
            http::StatusCode::OK => {}
            http::StatusCode::UNAUTHORIZED => return Err(NotRegistered::WrongPassword),
            status => return Err(NotRegistered::NoAnswer(format!("HTTP {status}"))),
        }
        let answer: Value = answer.json().await.map_err(told)?;
        match answer["code"].as_i64() {
            Some(0) => Ok(()),
            Some(503) => Err(NotRegistered::NoAnswer(answer["message"].as_str().unwrap_or_default().to_owned())),
            _ => Err(NotRegistered::Refused(answer["message"].as_str().unwrap_or_default().to_owned())),
        }
    }
}

//! Registrations, as bots make them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::crowd::{self, Crowd};
use super::{LoadError, LoadOptions};
use crate::egress::{self, DenyList};

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
    url: String,
    at_once: Semaphore,
}

impl Registrar {
    pub fn new(options: &LoadOptions) -> Result<Self, LoadError> {
        let http = egress::dispatch_client(&DenyList::default(), ANSWER_LIMIT).map_err(LoadError::Client)?;
        let gateway = options.gateway.as_str().trim_end_matches('/');
        let url = format!("{gateway}/puppetWxkfManager/register");
        Ok(Self { http, url, at_once: Semaphore::new(AT_ONCE) })
    }

    pub async fn register(&self, crowd: &Crowd, account: usize, endpoint: &str) -> Result<(), NotRegistered> {
        let _at_once = self.at_once.acquire().await;
        let corp = crowd.corp_of(account);
        let bot = json!({
            "kfId": crowd::open_kf_id(account),
            "kfName": format!("load {account}"),
            "endpoint": endpoint,
            "corpId": corp.receive_id,
            "corpSecret": crowd::SECRET,
            "token": corp.token.expose(),
            "encodingAESKey": corp.aes_key.text().expose(),
        });
        // The URL may hold a password.
        let told = |error: reqwest::Error| NotRegistered::NoAnswer(error.without_url().to_string());
        let answer = self.http.post(&self.url).json(&bot).send().await.map_err(told)?;
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

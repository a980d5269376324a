//! The bot's own calls: to its manager, and straight to WeCom.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

pub(super) use super::TokenSource;
use super::{BotHappening, Mode, Shared};

#[derive(Clone)]
pub(super) struct Token {
    pub text: String,
    pub expires_at: Timestamp,
}

/// Fetches a token; `failed` is what WeCom refused (which only the robust bot tells its manager).
pub(super) async fn fetch_token(shared: &Shared, from: TokenSource, failed: Option<&str>) -> Result<Token, String> {
    let began = Instant::now();
    let options = &shared.options;
    let url = match from {
        TokenSource::Wecom => format!("{}/cgi-bin/gettoken", options.wecom),
        TokenSource::Manager => format!("{}/puppetWxkfManager/getToken", options.manager),
    };
    let mut request = shared.http.get(url).query(&[("corpid", &options.corp), ("corpsecret", &options.secret)]);
    if let Some(failed) = failed {
        request = request.query(&[("invalid_token", failed)]);
    }
    let answer = json_of(request).await?;
    refused(&answer)?;
    let text = answer["access_token"].as_str().ok_or("no access_token in the answer")?.to_owned();
    let expires_in = answer["expires_in"].as_u64().ok_or("expires_in is no number")?;
    let life = Duration::from_secs(expires_in);
    let token = Token { text, expires_at: options.clock.now().saturating_add(life).unwrap_or(Timestamp::MAX) };
    *shared.token.lock() = Some(token.clone());
    shared.journal.record(BotHappening::TokenFetched { from, expires_in }, began);
    Ok(token)
}

pub(super) async fn register(shared: &Shared) -> Result<(), String> {
    let options = &shared.options;
    let body = json!({
        "kfId": options.open_kf_id,
        "kfName": options.name,
        "endpoint": shared.endpoint,
        "corpId": options.corp,
        "corpSecret": options.secret,
        "token": options.credential.token.expose(),
        "encodingAESKey": options.credential.aes_key.text().expose(),
    });
    tell_manager(shared, "register", &body).await
}

pub(super) async fn deregister(shared: &Shared) -> Result<(), String> {
    let options = &shared.options;
    let body = json!({ "kfId": options.open_kf_id, "kfName": options.name, "corpId": options.corp });
    tell_manager(shared, "deregister", &body).await
}

/// Success is 2xx and a falsy `code`.
async fn tell_manager(shared: &Shared, verb: &str, body: &Value) -> Result<(), String> {
    let url = format!("{}/puppetWxkfManager/{verb}", shared.options.manager);
    let answer = json_of(shared.http.post(url).json(body)).await?;
    match &answer["code"] {
        Value::Null => Ok(()),
        code if code.as_i64() == Some(0) => Ok(()),
        code => Err(format!("code {code}: {}", answer["message"].as_str().unwrap_or_default())),
    }
}

/// Calls WeCom with the token. The unmodified puppet renews it only after a 42001, and only when its
/// own clock says that it has expired; it knows no 40014.
pub(super) async fn call(shared: &Shared, path: &str, body: &Value) -> Result<Value, String> {
    let held = shared.token.lock().clone();
    let token = match held {
        Some(token) => token,
        None => fetch_token(shared, TokenSource::Manager, None).await?,
    };
    let answer = post(shared, path, body, &token.text).await?;
    let errcode = answer["errcode"].as_i64().unwrap_or_default();
    let renews = match shared.options.mode {
        Mode::Unmodified => errcode == 42001 && token.expires_at <= shared.options.clock.now(),
        Mode::Robust => matches!(errcode, 40001 | 40014 | 42001),
    };
    if !renews {
        return Ok(answer);
    }
    let failed = (shared.options.mode == Mode::Robust).then_some(token.text.as_str());
    let token = fetch_token(shared, TokenSource::Manager, failed).await?;
    post(shared, path, body, &token.text).await
}

async fn post(shared: &Shared, path: &str, body: &Value, token: &str) -> Result<Value, String> {
    let url = format!("{}/cgi-bin/{path}", shared.options.wecom);
    json_of(shared.http.post(url).query(&[("access_token", token)]).json(body)).await
}

/// An answer's errcode, where it is one.
pub(super) fn refused(answer: &Value) -> Result<(), String> {
    match answer["errcode"].as_i64().unwrap_or_default() {
        0 => Ok(()),
        code => Err(format!("errcode {code}: {}", answer["errmsg"].as_str().unwrap_or_default())),
    }
}

/// Errors are told without the URL, which holds secrets.
async fn json_of(request: RequestBuilder) -> Result<Value, String> {
    let told = |error: reqwest::Error| {
        let error = error.without_url();
        std::error::Error::source(&error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
    };
    let answer = request.send().await.map_err(told)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("HTTP {status}"));
    }
    answer.json().await.map_err(told)
}

//! Verifies, decrypts, posts on, and answers what the bot answered.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use wxkf_gateway::domain::EncodingAesKey;

use super::open;
use crate::events::AES_KEY;

#[derive(Clone)]
struct Forwarder {
    http: reqwest::Client,
    bot: String,
    key: EncodingAesKey,
}

pub fn router(bot: String) -> anyhow::Result<Router> {
    #[expect(clippy::disallowed_methods, reason = "bare means as a library gives it")]
    let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?;
    let key = EncodingAesKey::parse(AES_KEY)?;
    Ok(Router::new().route("/callback/{corp}", post(forward)).with_state(Forwarder { http, bot, key }))
}

async fn forward(State(forwarder): State<Forwarder>, RawQuery(query): RawQuery, body: Bytes) -> StatusCode {
    let query = query.unwrap_or_default();
    if open(&forwarder.key, &query, &body).is_none() {
        return StatusCode::FORBIDDEN;
    }
    let url = format!("{}/callback?{query}", forwarder.bot);
    let sent = forwarder.http.post(url).header("content-type", "application/xml").body(body).send().await;
    let Ok(response) = sent.and_then(reqwest::Response::error_for_status) else { return StatusCode::BAD_GATEWAY };
    if response.bytes().await.is_ok() { StatusCode::OK } else { StatusCode::BAD_GATEWAY }
}

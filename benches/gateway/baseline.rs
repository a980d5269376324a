//! The bare programs: what anybody would write with the same crates, without any guarantee.

use anyhow::{Context as _, bail};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::net::TcpListener;
use wxkf_gateway::callback::crypto;
use wxkf_gateway::callback::envelope::{Envelope, Message};
use wxkf_gateway::callback::query::SignedQuery;
use wxkf_gateway::domain::EncodingAesKey;

use crate::events::{AES_KEY, TOKEN};

/// Runs one of them until its standard input closes, which is when the benchmark ends.
pub fn run(kind: &str) -> anyhow::Result<()> {
    let router = match kind {
        "bare-forwarder" => forwarder(std::env::args().nth(2).context("the bot's URL")?)?,
        "bare-handler" => Router::new().route("/api/corp/accessToken", get(read)),
        other => bail!("no bare program is called {other}"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        let stdin = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        let stopped = async move { drop(stdin.await) };
        Ok(axum::serve(listener, router).with_graceful_shutdown(stopped).await?)
    })
}

#[derive(Clone)]
struct Forwarder {
    http: reqwest::Client,
    bot: String,
    key: EncodingAesKey,
}

fn forwarder(bot: String) -> anyhow::Result<Router> {
    #[expect(clippy::disallowed_methods, reason = "bare means as a library gives it")]
    let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?;
    let key = EncodingAesKey::parse(AES_KEY)?;
    Ok(Router::new().route("/callback/{corp}", post(forward)).with_state(Forwarder { http, bot, key }))
}

async fn forward(State(forwarder): State<Forwarder>, RawQuery(query): RawQuery, body: Bytes) -> StatusCode {
    let query = query.unwrap_or_default();
    if !is_genuine(&forwarder.key, &query, &body) {
        return StatusCode::FORBIDDEN;
    }
    let url = format!("{}/callback?{query}", forwarder.bot);
    let sent = forwarder.http.post(url).header("content-type", "application/xml").body(body).send().await;
    let Ok(response) = sent.and_then(reqwest::Response::error_for_status) else { return StatusCode::BAD_GATEWAY };
    if response.bytes().await.is_ok() { StatusCode::OK } else { StatusCode::BAD_GATEWAY }
}

fn is_genuine(key: &EncodingAesKey, query: &str, body: &[u8]) -> bool {
    let (Ok(query), Ok(envelope)) = (SignedQuery::parse(query), Envelope::parse(body)) else { return false };
    crypto::verify(&query.msg_signature, TOKEN, &query.timestamp, &query.nonce, &envelope.encrypted)
        && crypto::decrypt(key.key(), &envelope.encrypted)
            .is_ok_and(|opened| Message::parse(&opened.message).is_ok_and(|message| message.is_kf_news()))
}

async fn read() -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({"errcode": 0, "errmsg": "ok", "access_token": "a".repeat(214), "expires_in": 7200}))
}

//! The bare programs: what anybody would write with the same crates, without any guarantee.

use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use wxkf_gateway::callback::crypto;
use wxkf_gateway::callback::envelope::{Envelope, Message};
use wxkf_gateway::callback::query::SignedQuery;
use wxkf_gateway::domain::EncodingAesKey;

use crate::events::{ACCESS_TOKEN, AES_KEY, TOKEN};

/// Runs one of them until its standard input closes, which is when the benchmark ends.
pub fn run(kind: &str) -> anyhow::Result<()> {
    let router = match kind {
        "bare-forwarder" => forwarder(std::env::args().nth(2).context("the bot's URL")?)?,
        "bare-proxy" => proxy(std::env::args().nth(2).context("the upstream's URL")?),
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

#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Body>,
    upstream: String,
}

fn proxy(upstream: String) -> Router {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Router::new().fallback(any(pass)).with_state(Proxy { client, upstream })
}

/// Streams both ways, and looks at nothing.
async fn pass(State(proxy): State<Proxy>, mut request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = format!("{}{path}", proxy.upstream).parse::<Uri>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    match proxy.client.request(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

async fn read() -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({"errcode": 0, "errmsg": "ok", "access_token": ACCESS_TOKEN, "expires_in": 7200}))
}

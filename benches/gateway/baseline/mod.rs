//! The bare programs: what anybody would write with the same crates, without any guarantee but the one in its name.

mod batched_inserts;
mod forwarder;
mod group_commit;
mod keeper;
mod proxy;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use wxkf_gateway::callback::crypto;
use wxkf_gateway::callback::envelope::{Envelope, Message};
use wxkf_gateway::callback::query::SignedQuery;
use wxkf_gateway::domain::EncodingAesKey;

use crate::events::{ACCESS_TOKEN, TOKEN};

/// Runs one of them until its standard input closes, which is when the benchmark ends.
pub fn run(kind: &str) -> anyhow::Result<()> {
    let argument = std::env::args().nth(2).context("the program's argument")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let router = router(kind, argument).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        let stdin = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        let stopped = async move { drop(stdin.await) };
        Ok(axum::serve(listener, router).with_graceful_shutdown(stopped).await?)
    })
}

/// The argument is what the program leads to: a bot, an upstream, a directory, a database; nothing for the handler.
async fn router(kind: &str, argument: String) -> anyhow::Result<Router> {
    match kind {
        "bare-forwarder" => forwarder::router(argument),
        "bare-proxy" => Ok(proxy::router(argument)),
        "bare-handler" => Ok(Router::new().route("/api/corp/accessToken", get(read))),
        "bare-group-commit" => group_commit::router(&argument),
        "bare-batched-inserts" => batched_inserts::router(&argument).await,
        other => bail!("no bare program is called {other}"),
    }
}

/// The account that a genuine callback tells of.
fn open(key: &EncodingAesKey, query: &str, body: &[u8]) -> Option<String> {
    let (query, envelope) = (SignedQuery::parse(query).ok()?, Envelope::parse(body).ok()?);
    if !crypto::verify(&query.msg_signature, TOKEN, &query.timestamp, &query.nonce, &envelope.encrypted) {
        return None;
    }
    let opened = crypto::decrypt(key.key(), &envelope.encrypted).ok()?;
    let message = Message::parse(&opened.message).ok()?;
    if message.is_kf_news() { message.open_kf_id.map(|account| account.into_owned()) } else { None }
}

async fn read() -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({"errcode": 0, "errmsg": "ok", "access_token": ACCESS_TOKEN, "expires_in": 7200}))
}

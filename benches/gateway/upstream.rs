//! What stands for WeCom: grants one access token for ever, takes calls, and has a file to download.

use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::json;
use tokio::net::TcpListener;

use crate::events;

/// What is downloaded through the proxies.
const FILE: usize = 2 << 20;

/// Starts it, and says where.
pub async fn start() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let grant = || async {
        axum::Json(json!({"errcode": 0, "errmsg": "ok", "access_token": events::ACCESS_TOKEN, "expires_in": 7200}))
    };
    let sent = async |_body: Bytes| axum::Json(json!({"errcode": 0, "errmsg": "ok", "msgid": "a".repeat(32)}));
    let file = Bytes::from(vec![0x5a; FILE]);
    let router = Router::new()
        .route("/cgi-bin/gettoken", get(grant))
        .route("/cgi-bin/kf/send_msg", post(sent))
        .route("/cgi-bin/media/get", get(async move || file));
    #[expect(clippy::disallowed_methods, reason = "lives as long as the benchmark")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

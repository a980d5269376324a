//! The operators' API, and which listener serves what.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, AES_KEY, CORP, Gateway, SOON, TOKEN, bot, gateway_and_wecom};
use crate::registry::{fields, register};

/// Declares the credentials of a corp and returns what the API shows of it.
pub(crate) async fn declare(gateway: &Gateway, corp: &str, credentials: Value) -> Value {
    let body = json!({ "credentials": credentials });
    let answer = gateway.admin(Method::PUT, &format!("/corps/{corp}")).json(&body).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Asks again until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(mut is_so: impl FnMut() -> F) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < SOON, "it never became so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

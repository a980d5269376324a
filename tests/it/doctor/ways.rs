//! Mistakes on the ways: from WeCom to the gateway (`PUBLIC_URL`), and from the gateway to WeCom.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::json;

use super::World;
use crate::admin::declare;
use crate::harness::{AES_KEY, CORP, Gateway};
use crate::tokens::serve;

/// Nobody listens on port 1.
const NOBODY: &str = "http://127.0.0.1:1";

/// An ingress that asks the gateway for another query than it was asked, and changes the answer.
#[derive(Clone)]
struct Ingress {
    gateway: Arc<str>,
    query: fn(&str) -> String,
    answer: fn(String) -> String,
}

async fn ingress(gateway: &str, query: fn(&str) -> String, answer: fn(String) -> String) -> String {
    async fn pass(State(ingress): State<Ingress>, uri: Uri) -> Response {
        let query = (ingress.query)(uri.query().unwrap_or_default());
        let url = format!("{}{}?{query}", ingress.gateway, uri.path());
        let answer = reqwest::get(url).await.unwrap();
        (answer.status(), (ingress.answer)(answer.text().await.unwrap())).into_response()
    }
    serve(Router::new().fallback(pass).with_state(Ingress { gateway: gateway.into(), query, answer })).await
}

async fn always(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> String {
    serve(Router::new().fallback(async move || answer())).await
}

async fn hanging() -> String {
    serve(Router::new().fallback(async || std::future::pending::<Response>().await)).await
}

#[tokio::test]
async fn what_is_wrong_between_wecom_and_the_gateway_is_named() {
    let world = World::healthy().await;
    let gateway = world.gateway.url();
    let same = |text: String| text;
    let of_gateway = "the gateway itself answers it right";
    let not_found = always(|| (StatusCode::NOT_FOUND, "<h1>404 Not Found</h1>nginx").into_response()).await;
    let rows = [
        ("nothing listens", NOBODY.to_owned(), "connection refused", "nothing listens"),
        ("no such name", "https://wxkf.invalid".to_owned(), "does not resolve", "DNS entry"),
        ("no TLS", gateway.replace("http:", "https:"), "TLS", "certificate"),
        ("no route in the ingress", not_found.clone(), "404", "does not route"),
        ("the same, with what is beside it", not_found, of_gateway, "does not route"),
        ("another site", always(|| "Welcome!".into_response()).await, "Welcome!", "route /callback/"),
        ("nothing comes back", hanging().await, "timed out", "firewall"),
        ("a redirect", always(|| Redirect::permanent("https://x.example").into_response()).await, "308", "no redirect"),
        ("a login", always(|| StatusCode::UNAUTHORIZED.into_response()).await, "401", "login"),
        ("no upstream", always(|| StatusCode::BAD_GATEWAY.into_response()).await, "502", "upstream address"),
        ("the query is dropped", ingress(gateway, |_| String::new(), same).await, "400", "query string"),
        (
            "the query is altered",
            ingress(gateway, |query| query.replace("echostr=", "echostr=AAAA"), same).await,
            "40",
            "alters the query",
        ),
        ("the answer is changed", ingress(gateway, str::to_owned, |text| text + "\n").await, "200", "every byte"),
    ];
    for (row, url, seen, advice) in rows {
        world.doctor(&[("PUBLIC_URL", &url)]).await.assert_wrong(row, "callback", seen, advice);
    }
    let other = Gateway::start(&[]).await;
    let unknown = world.doctor(&[("PUBLIC_URL", other.url())]).await;
    unknown.assert_wrong("another gateway", "callback", "unknown corp", "does not know the corp");
    declare(&other, CORP, json!([{ "token": "another", "encodingAESKey": AES_KEY }])).await;
    let refused = world.doctor(&[("PUBLIC_URL", other.url())]).await;
    refused.assert_wrong("other credentials", "callback", "wrong signature", "other credentials");
    let path = format!("{gateway}/callback");
    world.doctor(&[("PUBLIC_URL", &path)]).await.assert_wrong("the path twice", "callback", "404", "does not route");
}

#[tokio::test]
async fn an_address_that_the_internet_does_not_know_is_named() {
    let world = World::healthy().await;
    // The real WeCom, by a proxy that keeps the test from calling it.
    let settings = [("WECOM_API_BASE_URL", ""), ("HTTPS_PROXY", NOBODY), ("PUBLIC_URL", "http://localhost:1")];
    world.doctor(&settings).await.assert_wrong("private", "callback", "from the internet", "an ingress, a tunnel");
}

async fn with_date(date: String) -> String {
    let answer =
        move || ([(header::DATE, date.clone())], r#"{"errcode":41002,"errmsg":"corpid missing"}"#).into_response();
    always(answer).await
}

#[tokio::test]
async fn what_is_wrong_between_the_gateway_and_wecom_is_named() {
    let world = World::healthy().await;
    let portal = always(|| "<html>Please sign in</html>".into_response()).await;
    let long_ago = with_date("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()).await;
    let rows = [
        ("WeCom is away", vec![("WECOM_API_BASE_URL", NOBODY)], "connection refused", "firewall"),
        ("no such name", vec![("WECOM_API_BASE_URL", "https://wecom.invalid")], "", "DNS"),
        ("a captive portal", vec![("WECOM_API_BASE_URL", &*portal)], "Please sign in", "in WeCom's place"),
        ("a proxy that is away", vec![("HTTPS_PROXY", "http://user:s3cret@127.0.0.1:1")], "refused", "127.0.0.1:1"),
        ("the clock is wrong", vec![("WECOM_API_BASE_URL", &*long_ago)], "ahead", "NTP"),
    ];
    for (row, settings, seen, advice) in rows {
        let found = world.doctor(&settings).await;
        found.assert_wrong(row, "wecom", seen, advice);
        assert!(!found.stdout.contains("s3cret"), "{row}: {}", found.stdout);
    }
}

#[tokio::test]
async fn a_clock_that_is_two_minutes_off_is_a_warning() {
    let world = World::healthy().await;
    let then = wxkf_gateway::domain::Clock::default().now() + std::time::Duration::from_secs(120);
    let base = with_date(then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).await;
    let seen = world.doctor(&[("WECOM_API_BASE_URL", &base)]).await;
    assert_eq!(seen.code, 0, "{}", seen.stdout);
    let clock = seen.of("wecom", "warning")[0];
    assert!(clock["seen"].as_str().unwrap().ends_with("s behind"), "{clock}");
}

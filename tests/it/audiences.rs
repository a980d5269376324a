//! Each listener serves its audience and nothing else, however a path is spelled. Raw sockets, because
//! a client would mend the spelling.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{ADMIN_TOKEN, AES_KEY, CORP, Gateway, TOKEN};
use crate::openapi::{document, operations};

const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"];

/// Sends the request line as it stands, with the operators' key; returns status and body.
async fn ask(listener: &str, method: &str, target: &str) -> (u16, String) {
    ask_with(listener, method, target, &format!("authorization: Bearer {ADMIN_TOKEN}\r\n")).await
}

async fn ask_with(listener: &str, method: &str, target: &str, key: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(listener.trim_start_matches("http://")).await.unwrap();
    let head =
        format!("{method} {target} HTTP/1.1\r\nhost: gateway\r\n{key}content-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {target}: {answer:?}"));
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// Whether nothing is served there: not found, or no HTTP at all.
async fn assert_closed(listener: &str, method: &str, target: &str) {
    let (status, body) = ask(listener, method, target).await;
    let closed = status == 404 || (status == 400 && body.is_empty());
    assert!(closed, "{method} {target} at {listener}: {status} {body}");
}

/// The ways in which a path is written to get past a rule.
fn spellings(path: &str) -> Vec<String> {
    let inner = &path[1..];
    let callback = format!("/callback/{CORP}");
    vec![
        path.to_owned(),
        format!("{path}/"),
        format!("{path}//"),
        format!("/{path}"),
        format!("///{inner}"),
        path.to_ascii_uppercase(),
        path.replace('/', "//"),
        format!("/{}", inner.replace('/', "%2F")),
        format!("/{}", inner.replace('/', "%2f")),
        format!("/{}", inner.replace('/', "%252F")),
        format!("%2F{inner}"),
        format!("/%2F{inner}"),
        path.replace('/', "\\"),
        format!("/.{path}"),
        format!("/%2e{path}"),
        format!("{callback}/..{path}"),
        format!("{callback}/../..{path}"),
        format!("{callback}/%2e%2e/%2e%2e{path}"),
        format!("{callback}/..%2F..%2F{inner}"),
        format!("{callback}%2F..%2F..%2F{inner}"),
        format!("{callback}/..;/..{path}"),
        format!("{path}."),
        format!("{path}.."),
        format!("{path}%20"),
        format!("{path}%00"),
        format!("{path};a=b"),
        format!("{path}?x=y"),
        format!("http://gateway{path}"),
        format!("http://gateway:7777/{path}"),
        format!("{path}#{callback}"),
    ]
}

/// All paths of the document, with parameters that are valid, by whether operators call them.
fn paths() -> (Vec<String>, Vec<String>) {
    let document = document();
    let mut paths: Vec<(String, bool)> = Vec::new();
    for (_, path, operation) in operations(&document) {
        if ["/openapi.json", "/docs"].contains(&path) {
            continue; // served to both
        }
        let is_operators = ["Admin", "Operations"].contains(&operation["tags"][0].as_str().unwrap());
        let path = path.replace("{corpId}", CORP).replace("{kfId}", "wk1").replace("{id}", "1");
        paths.push((path.replace("{path}", "kf/sync_msg").replace("{*path}", "kf/sync_msg"), is_operators));
    }
    paths.dedup();
    let (operators, services): (Vec<_>, Vec<_>) = paths.into_iter().partition(|(_, is_operators)| *is_operators);
    let names = |paths: Vec<(String, bool)>| paths.into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    (names(operators), names(services))
}

async fn started() -> Gateway {
    let settings = [("PUBLIC_PORT", "0"), ("OPS_PORT", "0"), ("RUST_LOG", "warn,wxkf_gateway::cli=info")];
    let gateway = Gateway::start(&settings).await;
    let ops = gateway.listener("OPS_PORT").unwrap();
    let body = json!({ "credentials": [{ "token": TOKEN, "encodingAESKey": AES_KEY }] });
    let put = gateway.request_at(&ops, Method::PUT, &format!("/api/admin/corps/{CORP}"));
    assert_eq!(put.bearer_auth(ADMIN_TOKEN).json(&body).send().await.unwrap().status(), 200);
    gateway
}

#[tokio::test]
async fn the_public_listener_serves_the_callback_alone() {
    let gateway = started().await;
    let public = gateway.listener("PUBLIC_PORT").unwrap();
    let callback = format!("/callback/{CORP}");
    for target in [
        callback.clone(),
        format!("{callback}/"),
        format!("/{callback}"),
        format!("{callback}?a=/api/admin/corps"),
        format!("http://gateway{callback}"),
    ] {
        for method in ["GET", "POST"] {
            let (status, body) = ask(&public, method, &target).await;
            assert!(status == 400 && body.starts_with("query incomplete"), "{method} {target}: {status} {body}");
        }
        for method in METHODS.iter().filter(|method| !["GET", "POST"].contains(method)) {
            assert_closed(&public, method, &target).await;
        }
    }
    let (operators, services) = paths();
    let others = services.iter().filter(|path| **path != callback).chain(&operators);
    for path in others {
        for target in spellings(path) {
            for method in METHODS {
                assert_closed(&public, method, &target).await;
            }
        }
    }
    for target in ["*", "/", "/callback", "/callback/", "/callback//", &format!("/callback//{CORP}")] {
        for method in METHODS {
            assert_closed(&public, method, target).await;
        }
    }
    for target in spellings(&callback).iter().filter(|target| target.contains('%') || target.contains("..")) {
        assert_closed(&public, "GET", target).await;
    }
}

#[tokio::test]
async fn operators_routes_are_on_their_own_listener_alone() {
    let gateway = started().await;
    let (main, ops) = (gateway.listener("PORT").unwrap(), gateway.listener("OPS_PORT").unwrap());
    let (operators, services) = paths();
    for (listener, paths) in [(&main, &operators), (&ops, &services)] {
        for target in paths.iter().flat_map(|path| spellings(path)) {
            // A spelling that leaves a callback's path is one of WeCom's to the main listener.
            if listener == &main && target.starts_with("/callback/") && !target.contains("/..") {
                continue;
            }
            for method in ["GET", "POST", "PUT", "DELETE", "HEAD"] {
                assert_closed(listener, method, &target).await;
            }
        }
    }
    assert_eq!(ask(&ops, "GET", "/api/admin/corps").await.0, 200);
    assert_eq!(ask(&ops, "GET", "/livez").await.0, 200);
}

#[tokio::test]
async fn one_listener_for_all_serves_no_route_by_another_spelling_without_its_door() {
    let gateway = Gateway::start(&[("PUPPET_PASSWORD", "the-password-of-the-bots")]).await;
    let listener = gateway.url().to_owned();
    let (operators, services) = paths();
    let guarded = operators.iter().filter(|path| path.starts_with("/api/admin")).chain(&services);
    for path in guarded.filter(|path| !path.starts_with("/callback/ww")) {
        for target in spellings(path) {
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let (status, body) = ask_with(&listener, method, &target, "").await;
                let refused = [401, 404, 405].contains(&status) || (status == 400 && body.is_empty());
                assert!(refused, "{method} {target}: {status} {body}");
            }
        }
    }
}

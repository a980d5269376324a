//! WeCom's API through the gateway: nothing altered, nothing outside of `/cgi-bin/`, and tokens that heal.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::routing::{any, get};
use axum::{Json, Router};
use futures::StreamExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wxkf_gateway::simulator::wecom::{Api, Wecom};

use crate::harness::{ACCOUNT, ADMIN_TOKEN, CORP, Gateway, SECRET, gateway_and_wecom};
use crate::tokens::serve;

const PREFIXES: [&str; 2] = ["/puppetWxkfManager/wxkfRequestProxy", "/cgi-bin"];

/// Tells what it got, in headers, and answers as the query asks.
async fn upstream(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let asked =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        hash.update(&chunk);
        length += chunk.len();
    }
    let status = asked("status").and_then(|text| text.parse().ok()).unwrap_or(200);
    let mut response = match asked("send").and_then(|text| text.parse::<usize>().ok()) {
        Some(mebibytes) => {
            let chunk = Bytes::from(vec![b'z'; 1 << 20]);
            let sent = futures::stream::iter((0..mebibytes).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
            Response::new(Body::from_stream(sent))
        }
        None if asked("die").is_some() => {
            let begun = futures::stream::iter([Ok(Bytes::from("begun"))]);
            let died = futures::stream::once(async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Err(std::io::Error::other("died"))
            });
            Response::new(Body::from_stream(begun.chain(died)))
        }
        None if asked("empty").is_some() => Response::new(Body::empty()),
        None => Response::new(Body::from(format!("{} {}?{query}", parts.method, parts.uri.path()))),
    };
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = response.headers_mut();
    for (name, value) in &parts.headers {
        headers.append(format!("got-{name}").parse::<axum::http::HeaderName>().unwrap(), value.clone());
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    headers.insert("body-hash", HeaderValue::from_str(&digest).unwrap());
    headers.insert("body-length", HeaderValue::from(length));
    headers.insert("error-code", HeaderValue::from_static("0"));
    if let Some(kind) = asked("type") {
        headers.insert("content-type", HeaderValue::from_str(&kind).unwrap());
    }
    response
}

async fn gateway_and_upstream() -> (Gateway, String) {
    let upstream = serve(Router::new().route("/cgi-bin/{*path}", any(upstream))).await;
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &upstream)]).await;
    (gateway, upstream)
}

/// What came of a call, less what differs by time and by name of the host.
async fn seen(request: reqwest::RequestBuilder) -> (u16, Vec<(String, String)>, Bytes) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let named = |headers: &HeaderMap| -> Vec<(String, String)> {
        let mut named: Vec<(String, String)> = headers
            .iter()
            .filter(|(name, _)| {
                !matches!(name.as_str(), "date" | "got-host" | "got-content-length" | "got-transfer-encoding")
            })
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        named.sort();
        named
    };
    (status, named(answer.headers()), answer.bytes().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_answers_pass_unaltered() {
    let (gateway, upstream) = gateway_and_upstream().await;
    #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
    let direct = reqwest::Client::builder().no_proxy().build().unwrap();
    let multipart = || {
        let part =
            reqwest::multipart::Part::bytes(vec![7; 20 << 20]).file_name("上.bin").mime_str("image/jpeg").unwrap();
        reqwest::multipart::Form::new().part("media", part)
    };
    type Change = Box<dyn Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder>;
    let calls: Vec<(&str, Method, &str, Change)> = vec![
        (
            "get",
            Method::GET,
            "kf/x?a=%2B&b=c+d&access_token=foreign",
            Box::new(|call| call.header("range", "bytes=0-9")),
        ),
        ("get with a body", Method::GET, "kf/x?access_token=foreign", Box::new(|call| call.body("{\"a\":1}"))),
        (
            "get with a body of unknown length",
            Method::GET,
            "kf/x",
            Box::new(|call| {
                let pieces = futures::stream::iter(["{\"a\":", "1}"].map(Ok::<_, std::io::Error>));
                call.header("transfer-encoding", "chunked").body(reqwest::Body::wrap_stream(pieces))
            }),
        ),
        ("head with a body", Method::HEAD, "kf/x", Box::new(|call| call.body("x"))),
        ("head", Method::HEAD, "kf/x?debug=1", Box::new(|call| call)),
        ("head of JSON", Method::HEAD, "kf/x?type=json", Box::new(|call| call)),
        ("head without a length", Method::HEAD, "media/get?send=1", Box::new(|call| call)),
        ("head of JSON without a length", Method::HEAD, "kf/x?send=1&type=json", Box::new(|call| call)),
        ("json", Method::POST, "kf/sync_msg", Box::new(|call| call.json(&json!({ "a": [1, "é"] })))),
        ("empty", Method::POST, "kf/empty", Box::new(|call| call)),
        (
            "gzip",
            Method::POST,
            "x",
            Box::new(|call| call.header("content-encoding", "gzip").body(vec![0x1f, 0x8b, 0, 255])),
        ),
        ("204", Method::GET, "x?status=204", Box::new(|call| call)),
        ("204 without a length", Method::GET, "x?status=204&send=0", Box::new(|call| call)),
        ("304", Method::GET, "x?status=304", Box::new(|call| call)),
        ("304 of JSON", Method::GET, "x?status=304&type=json", Box::new(|call| call)),
        ("304 without a length", Method::GET, "x?status=304&send=0", Box::new(|call| call)),
        ("nothing", Method::GET, "x?empty=1", Box::new(|call| call)),
        ("nothing as JSON", Method::GET, "x?empty=1&type=json", Box::new(|call| call)),
        ("nothing without a length", Method::GET, "x?send=0&type=json", Box::new(|call| call)),
        ("404", Method::GET, "x?status=404", Box::new(|call| call)),
        ("503", Method::POST, "x?status=503", Box::new(|call| call.body("why"))),
        ("302", Method::GET, "x?status=302", Box::new(|call| call)),
        ("authorization", Method::GET, "x", Box::new(|call| call.header("authorization", "Bearer wecom's own"))),
        ("download", Method::GET, "media/get?send=100", Box::new(|call| call)),
    ];
    for prefix in PREFIXES {
        for (name, method, path, change) in &calls {
            let through = gateway.request(method.clone(), &format!("{prefix}/{path}"));
            let straight = direct.request(method.clone(), format!("{upstream}/cgi-bin/{path}"));
            let agent = |call: reqwest::RequestBuilder| change(call).header("user-agent", "tests");
            let (through, straight) = (seen(agent(through)).await, seen(agent(straight)).await);
            assert!(through.0 == straight.0 && through.1 == straight.1, "{name}: {:?} {:?}", through.1, straight.1);
            let (length, expected) = (through.2.len(), straight.2.len());
            assert!(through.2 == straight.2, "{name}: {length} bytes instead of {expected}");
        }
        let uploaded = gateway.post(&format!("{prefix}/media/upload?type=image")).multipart(multipart()).send();
        let uploaded = uploaded.await.unwrap();
        let length: usize = uploaded.headers()["body-length"].to_str().unwrap().parse().unwrap();
        assert!(length > 20 << 20, "{length}");
        assert!(uploaded.headers()["got-content-type"].to_str().unwrap().starts_with("multipart/form-data; boundary="));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off() {
    let (gateway, _) = gateway_and_upstream().await;
    let answer = gateway.get("/cgi-bin/x?die=1").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err(), "half an answer must not look like a whole one");
}

#[tokio::test]
async fn nobody_there_is_told_in_wecoms_shape() {
    let nobody = { tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &format!("http://{nobody}"))]).await;
    let answer = gateway.post("/cgi-bin/kf/send_msg?access_token=s3cret").body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 502);
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told["errcode"], 504);
    assert!(!told.to_string().contains("s3cret"), "{told}");
}

/// A request whose target is written byte by byte: clients would tidy it up.
async fn raw(gateway: &Gateway, target: &str) -> String {
    let mut stream = TcpStream::connect(gateway.url().trim_start_matches("http://")).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn no_path_leads_out() {
    let (gateway, _) = gateway_and_upstream().await;
    for prefix in PREFIXES {
        for path in
            ["../x", "..%2fx", "%2e%2e/x", "%2e%2e%2fx", "kf/../../x", "kf//x", "kf%2Fx", "kf/.%2e/x", "a%5c..%5cx", ""]
        {
            let answer = raw(&gateway, &format!("{prefix}/{path}")).await;
            let status = &answer[9..12];
            assert!(matches!(status, "400" | "404"), "{prefix}/{path}: {answer}");
        }
        assert!(
            raw(&gateway, &format!("/{prefix}/kf/x")).await.starts_with("HTTP/1.1 200"),
            "a doubled slash in front"
        );
    }
}

async fn call(gateway: &Gateway, query: &[(&str, &str)]) -> Value {
    let answer = gateway.get("/cgi-bin/kf/account/list").query(query).send().await.unwrap();
    answer.json().await.unwrap()
}

async fn token(gateway: &Gateway) -> String {
    let answer = gateway.get("/cgi-bin/gettoken").query(&[("corpid", CORP), ("corpsecret", SECRET)]).send().await;
    let answer: Value = answer.unwrap().json().await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

fn listed(answer: &Value) -> bool {
    answer["errcode"] == 0 && answer["account_list"][0]["open_kfid"] == ACCOUNT
}

async fn world() -> (Gateway, Wecom) {
    gateway_and_wecom().await
}

#[tokio::test]
async fn corp_and_secret_stand_for_the_token() {
    let (gateway, wecom) = world().await;
    for _ in 0..3 {
        assert!(listed(&call(&gateway, &[("corpid", CORP), ("corpsecret", SECRET)]).await));
    }
    assert_eq!(wecom.gettoken_calls(CORP, SECRET), 1);
    assert_eq!(wecom.calls(Api::GetToken), 1, "gettoken is answered from the cache");
    let refused = call(&gateway, &[("corpid", CORP), ("corpsecret", "wrong")]).await;
    assert_eq!(refused["errcode"], 40001, "{refused}");
}

#[tokio::test]
async fn a_token_that_was_revoked_early_is_healed_and_so_are_its_predecessors() {
    let (gateway, wecom) = world().await;
    let first = token(&gateway).await;
    wecom.revoke_tokens(CORP);
    assert!(listed(&call(&gateway, &[("access_token", &first)]).await), "renewed and repeated");
    assert!(listed(&call(&gateway, &[("access_token", &first)]).await), "replaced before it is sent");
    assert_eq!(wecom.gettoken_calls(CORP, SECRET), 2);
    assert_ne!(token(&gateway).await, first);
}

#[tokio::test]
async fn a_token_of_the_time_before_a_restart_is_healed() {
    let (mut gateway, wecom) = world().await;
    let first = token(&gateway).await;
    gateway.terminate().await;
    gateway.start_again().await;
    wecom.revoke_tokens(CORP);
    assert!(listed(&call(&gateway, &[("access_token", &first)]).await), "its app's secret is known still");
    assert_ne!(token(&gateway).await, first);
    gateway.terminate().await;
    gateway.start_again().await;
    assert!(listed(&call(&gateway, &[("access_token", &first)]).await), "it is known whose it was");
    assert_eq!(wecom.gettoken_calls(CORP, SECRET), 2);
}

#[tokio::test]
async fn a_body_of_unknown_length_that_is_kept_goes_on_with_its_length() {
    let grant = json!({ "errcode": 0, "errmsg": "ok", "access_token": "T", "expires_in": 7200 });
    let routes = Router::new().route("/cgi-bin/gettoken", get(async move || Json(grant)));
    let url = serve(routes.route("/cgi-bin/{*path}", any(upstream))).await;
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &url)]).await;
    let pieces = futures::stream::iter(["{\"a\":", "1}"].map(Ok::<_, std::io::Error>));
    let call = gateway.post("/cgi-bin/kf/x").query(&[("corpid", CORP), ("corpsecret", SECRET)]);
    let answer = call.body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
    assert_eq!(answer.headers()["got-content-length"], "7");
    assert!(answer.headers().get("got-transfer-encoding").is_none());
}

#[tokio::test]
async fn a_body_goes_again_with_the_repeated_call() {
    let (gateway, wecom) = world().await;
    let first = token(&gateway).await;
    wecom.revoke_tokens(CORP);
    let body = json!({ "open_kfid": ACCOUNT, "limit": 10 });
    let answer = gateway.post("/cgi-bin/kf/sync_msg").query(&[("access_token", &first)]).json(&body).send().await;
    let answer: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(answer["errcode"], 0, "{answer}");
}

#[tokio::test]
async fn a_foreign_token_passes_untouched() {
    let (gateway, wecom) = world().await;
    let answer = call(&gateway, &[("access_token", "not-ours")]).await;
    assert_eq!(answer["errcode"], 40014, "{answer}");
    assert_eq!(wecom.gettoken_calls(CORP, SECRET), 0);
}

#[tokio::test]
async fn what_cannot_be_healed_is_told_once() {
    let (gateway, wecom) = world().await;
    let first = token(&gateway).await;
    wecom.revoke_tokens(CORP);
    assert!(listed(&call(&gateway, &[("access_token", &first)]).await));
    // Forced renewals ask once a minute: the second revocation within it is the caller's to see.
    wecom.revoke_tokens(CORP);
    let answer = call(&gateway, &[("access_token", &first)]).await;
    assert_eq!(answer["errcode"], 40014, "{answer}");
    assert_eq!(wecom.gettoken_calls(CORP, SECRET), 2);
}

#[tokio::test]
async fn a_caller_that_hangs_up_ends_the_call_upstream() {
    use std::sync::Arc;
    let (dropped, seen_dropped) = tokio::sync::oneshot::channel::<()>();
    let held = Arc::new(parking_lot::Mutex::new(Some(dropped)));
    let hang = move || {
        let held = held.lock().take();
        async move {
            let _held = held;
            std::future::pending::<()>().await;
        }
    };
    let upstream = serve(Router::new().route("/cgi-bin/{*path}", any(hang))).await;
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &upstream)]).await;
    let call = gateway.get("/cgi-bin/kf/x").timeout(Duration::from_millis(500)).send().await;
    assert!(call.unwrap_err().is_timeout());
    let ended = tokio::time::timeout(Duration::from_secs(10), seen_dropped).await;
    assert!(ended.is_ok(), "the call upstream goes on");
}

#[tokio::test]
async fn the_password_opens_the_proxy_and_goes_no_further() {
    let upstream = serve(Router::new().route("/cgi-bin/{*path}", any(upstream))).await;
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &upstream), ("PUPPET_PASSWORD", "pass")]).await;
    for prefix in PREFIXES {
        assert_eq!(gateway.get(&format!("{prefix}/x")).send().await.unwrap().status(), 401);
        let answer = gateway.get(&format!("{prefix}/x")).basic_auth("bot", Some("pass")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().get("got-authorization").is_none(), "{:?}", answer.headers());
    }
}

#[tokio::test]
async fn without_a_password_only_the_operators_key_stays_here() {
    let (gateway, _) = gateway_and_upstream().await;
    for prefix in PREFIXES {
        let call = async |key: &str| gateway.get(&format!("{prefix}/x")).bearer_auth(key).send().await.unwrap();
        assert!(call(ADMIN_TOKEN).await.headers().get("got-authorization").is_none());
        assert_eq!(call("the-callers-own").await.headers()["got-authorization"], "Bearer the-callers-own");
    }
}

/// A program that nobody here wrote, whose base address is the gateway. `tests/run` installs and runs it.
mod foreign {
    use std::path::Path;
    use std::process::Stdio;

    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::process::{Child, Command};

    use super::*;

    fn wechatpy(gateway: &Gateway, customer: &str, sync_token: &str) -> Child {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("python3");
        command.arg(root.join("tests/simulator/wechatpy_gateway_app.py"));
        command.args([gateway.url(), CORP, SECRET, ACCOUNT, customer, sync_token]);
        command.env("PYTHONPATH", root.join("target/foreign/python"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.spawn().unwrap()
    }

    #[tokio::test]
    #[ignore = "needs what tests/simulator/install installs"]
    async fn programs_of_wechatpy_share_one_token_and_notice_no_revocation() {
        let (gateway, wecom) = gateway_and_wecom().await;
        let mut programs = Vec::new();
        for customer in ["Ling", "Mei", "Tao"] {
            wecom.customer_writes_silently(CORP, ACCOUNT, customer, &format!("我是{customer}"));
            programs.push(wechatpy(&gateway, customer, &wecom.sync_token(CORP, ACCOUNT)));
        }
        let mut told = Vec::new();
        for program in &mut programs {
            let mut lines = BufReader::new(program.stdout.take().unwrap());
            let mut line = String::new();
            lines.read_line(&mut line).await.unwrap();
            assert_eq!(line, "ready\n");
            told.push(lines);
        }
        assert_eq!(wecom.calls(Api::GetToken), 1, "one token for all programs");
        wecom.revoke_tokens(CORP);
        for (program, mut lines) in programs.iter_mut().zip(told) {
            program.stdin.take().unwrap().write_all(b"\n").await.unwrap();
            let mut rest = String::new();
            lines.read_to_string(&mut rest).await.unwrap();
            assert!(rest.ends_with("wechatpy: ok\n") && program.wait().await.unwrap().success(), "{rest}");
        }
        assert_eq!(wecom.calls(Api::GetToken), 2, "renewed once, by the gateway");
    }
}

//! `EGRESS_PORT`: bots reach WeCom through the gateway, and nothing else.

mod foreign;
mod outbound;

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use futures::future::join_all;
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wxkf_gateway::simulator::wecom::Wecom;

use crate::harness::tls::{AUTHORITY, behind_tls, client_through};
use crate::harness::{ACCOUNT, ADMIN_TOKEN, CORP, Gateway, SECRET, wecom};
use crate::tokens::serve;

const PASSWORD: &str = "the-password-of-the-bots";
/// `bot:the-password-of-the-bots`
const RIGHT: &str = "Basic Ym90OnRoZS1wYXNzd29yZC1vZi10aGUtYm90cw==";
/// `bot:a-wrong-password`
const WRONG: &str = "Basic Ym90OmEtd3JvbmctcGFzc3dvcmQ=";

/// A gateway that is a forward proxy too, in a world whose WeCom speaks TLS.
struct World {
    gateway: Gateway,
    wecom: Wecom,
    /// Of WeCom, as bots know it.
    url: String,
}

impl World {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let wecom = wecom().await;
        let url = behind_tls(&wecom.base_url()).await;
        let given = [
            ("WECOM_API_BASE_URL", &*url),
            ("SSL_CERT_FILE", AUTHORITY),
            ("EGRESS_PORT", "0"),
            ("PUPPET_PASSWORD", PASSWORD),
        ];
        let gateway = Gateway::start(&[&given, settings].concat()).await;
        Self { gateway, wecom, url }
    }

    /// `host:port` of WeCom.
    fn host(&self) -> &str {
        self.url.strip_prefix("https://").unwrap()
    }

    /// As bots set `HTTPS_PROXY`.
    fn proxy(&self) -> String {
        let address = egress(&self.gateway);
        format!("http://bot:{PASSWORD}@{address}")
    }

    async fn metrics(&self) -> String {
        self.gateway.get("/metrics").send().await.unwrap().text().await.unwrap()
    }
}

fn egress(gateway: &Gateway) -> String {
    gateway.listener("EGRESS_PORT").unwrap().trim_start_matches("http://").to_owned()
}

/// A gateway that leads to this plain server, without a password.
async fn leading_to(server: &TcpListener, settings: &[(&str, &str)]) -> Gateway {
    let hosts = server.local_addr().unwrap().to_string();
    Gateway::start(&[&[("EGRESS_PORT", "0"), ("EGRESS_HOSTS", &*hosts)], settings].concat()).await
}

/// The head of the answer to a request that is written byte by byte, and the connection behind it.
async fn ask(address: &str, line: &str, authorization: Option<&str>, body: &str) -> (u16, String, TcpStream) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let authorization = authorization.map(|key| format!("proxy-authorization: {key}\r\n")).unwrap_or_default();
    let length = body.len();
    let request = format!("{line} HTTP/1.1\r\nhost: h\r\n{authorization}content-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap_or_else(|_| panic!("{line}: {head:?}")));
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    (head[9..12].parse().unwrap(), head, stream)
}

/// Status and body.
async fn told(address: &str, line: &str, authorization: Option<&str>) -> (u16, String) {
    let (status, head, mut stream) = ask(address, line, authorization, "").await;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    (status, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn a_tunnel_leads_to_wecom_through_tls_and_nowhere_else() {
    let world = World::start(&[]).await;
    let bot = client_through(&world.proxy());
    let query = format!("gettoken?corpid={CORP}&corpsecret={SECRET}");
    let answer: Value = bot.get(format!("{}/cgi-bin/{query}", world.url)).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["errcode"], 0, "{answer}");

    let address = egress(&world.gateway);
    let port = world.host().rsplit(':').next().unwrap();
    for target in [
        "localhost:1",
        &format!("127.0.0.1:{port}"),
        &format!("[::1]:{port}"),
        &format!("localhost.:{port}"),
        &format!("localhost@127.0.0.1:{port}"),
        "169.254.169.254:80",
        "qyapi.weixin.qq.com:443",
        world.gateway.url().trim_start_matches("http://"),
    ] {
        let (status, body) = told(&address, &format!("CONNECT {target}"), Some(RIGHT)).await;
        assert!(
            status == 403 && body.contains(world.host()) && body.contains("EGRESS_HOSTS"),
            "{target}: {status} {body}"
        );
    }
    assert_eq!(told(&address, "CONNECT localhost", Some(RIGHT)).await.0, 400);

    let metrics = world.metrics().await;
    for line in [
        format!("wxkf_egress_requests_total{{host=\"{}\",form=\"tunnel\",result=\"served\"}} 1", world.host()),
        "wxkf_egress_requests_total{host=\"other\",form=\"tunnel\",result=\"not_allowed\"} 8".to_owned(),
        format!("wxkf_egress_tunnels{{host=\"{}\"}} 1", world.host()),
        format!("wxkf_egress_bytes_total{{host=\"{}\",direction=\"down\"}} ", world.host()),
        "# HELP wxkf_egress_tunnels ".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("169.254"), "callers make no labels: {metrics}");
}

#[tokio::test]
async fn the_password_is_asked_for_as_proxies_do() {
    let world = World::start(&[]).await;
    let address = egress(&world.gateway);
    let calls = [format!("CONNECT {}", world.host()), format!("GET {}/cgi-bin/x", world.url)];
    for call in &calls {
        for key in [None, Some(WRONG), Some("Basic !"), Some("Digest x")] {
            let (status, head, _) = ask(&address, call, key, "").await;
            assert!(status == 407 && head.contains("proxy-authenticate: basic "), "{call} {key:?}: {head}");
        }
    }
    // The key of another door, or the right one at the wrong place.
    assert_eq!(told(&address, &calls[0], Some(&format!("Bearer {ADMIN_TOKEN}"))).await.0, 407);
    let misplaced = format!("{} HTTP/1.1\r\nauthorization: {RIGHT}\r\nx: y", calls[0]);
    assert_eq!(told(&address, &misplaced, None).await.0, 407);
    for key in [RIGHT, &format!("Bearer {PASSWORD}")] {
        assert_eq!(ask(&address, &calls[0], Some(key), "").await.0, 200);
    }
    let log = world.gateway.log();
    assert!(!log.contains("a-wrong-password") && !log.contains(PASSWORD), "{log}");
}

#[tokio::test]
async fn repeated_wrong_passwords_are_slowed_and_the_right_one_is_not() {
    let world = World::start(&[]).await;
    let (address, call) = (egress(&world.gateway), format!("CONNECT {}", world.host()));
    for _ in 0..7 {
        assert_eq!(told(&address, &call, Some(WRONG)).await.0, 407);
    }
    let began = Instant::now();
    let mut many = std::pin::pin!(join_all((0..20).map(|_| told(&address, &call, Some(WRONG)))));
    tokio::select! {
        biased;
        _ = &mut many => panic!("they were not slowed"),
        (status, ..) = ask(&address, &call, Some(RIGHT), "") => assert_eq!(status, 200),
    }
    assert!(many.await.iter().all(|(status, _)| *status == 407));
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn whole_urls_are_served_as_cgi_bin_is_with_cache_and_healing() {
    let world = World::start(&[]).await;
    let address = egress(&world.gateway);
    let call = async |method: &str, scheme: &str, path: &str| -> Value {
        let line = format!("{method} {scheme}://{}/cgi-bin/{path}", world.host());
        let (status, body) = told(&address, &line, Some(RIGHT)).await;
        assert_eq!(status, 200, "{line}: {body}");
        serde_json::from_str(&body).unwrap()
    };
    let app = format!("corpid={CORP}&corpsecret={SECRET}");
    let mut first = String::new();
    for scheme in ["https", "http", "https"] {
        let granted = call("GET", scheme, &format!("gettoken?{app}")).await;
        granted["access_token"].as_str().unwrap().clone_into(&mut first);
    }
    assert_eq!(world.wecom.gettoken_calls(CORP, SECRET), 1, "from the cache");
    world.wecom.revoke_tokens(CORP);
    for (scheme, query) in [("https", format!("access_token={first}")), ("http", app)] {
        let listed = call("GET", scheme, &format!("kf/account/list?{query}")).await;
        assert_eq!(listed["account_list"][0]["open_kfid"], ACCOUNT, "{listed}");
    }
    assert_eq!(world.wecom.gettoken_calls(CORP, SECRET), 2, "renewed once");
}

#[tokio::test]
async fn whole_urls_lead_to_the_api_alone() {
    let world = World::start(&[]).await;
    let (address, host) = (egress(&world.gateway), world.host());
    let gateway = world.gateway.url();
    for (line, expected) in [
        ("GET https://elsewhere.example/cgi-bin/x".to_owned(), 403),
        ("GET http://127.0.0.1/cgi-bin/x".to_owned(), 403),
        ("GET https://localhost:1/cgi-bin/x".to_owned(), 403),
        (format!("GET {gateway}/api/admin/corps"), 403),
        (format!("GET {gateway}/cgi-bin/gettoken"), 403),
        (format!("GET https://{host}/"), 403),
        (format!("GET https://{host}/simulator/state"), 403),
        (format!("GET https://{host}/puppetWxkfManager/getToken"), 403),
        (format!("GET https://{host}/cgi-bin/../simulator/state"), 400),
        (format!("GET https://{host}/cgi-bin/%2e%2e/simulator/state"), 400),
        (format!("PUT https://{host}/cgi-bin/x"), 405),
        ("GET https://localhost/cgi-bin/gettoken".to_owned(), 200),
    ] {
        assert_eq!(told(&address, &line, Some(RIGHT)).await.0, expected, "{line}");
    }
    // Meant for this host itself: whoever asks is told where he is, password or none.
    for line in ["GET /cgi-bin/gettoken", "GET /", "OPTIONS *", "POST /puppetWxkfManager/register"] {
        let (status, body) = told(&address, line, None).await;
        assert!(status == 400 && body.contains("HTTPS_PROXY="), "{line}: {status} {body}");
    }
}

/// Tells the headers and the body that it got.
async fn echo(request: Request) -> String {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    format!("{:?} {}", parts.headers, String::from_utf8_lossy(&body))
}

#[tokio::test]
async fn the_password_goes_no_further_and_wecoms_authorization_does() {
    let upstream = serve(Router::new().route("/cgi-bin/{*path}", any(echo))).await;
    let settings = [
        ("WECOM_API_BASE_URL", &*upstream),
        ("EGRESS_PORT", "0"),
        ("PUPPET_PASSWORD", PASSWORD),
        ("RUST_LOG", "trace"),
    ];
    let gateway = Gateway::start(&settings).await;
    let line = format!(
        "POST {upstream}/cgi-bin/x HTTP/1.1\r\nauthorization: Bearer wecoms-own\r\nproxy-connection: x\r\nx: y"
    );
    let (status, _, mut stream) = ask(&egress(&gateway), &line, Some(RIGHT), "the body").await;
    assert_eq!(status, 200);
    let mut seen = vec![0; 4096];
    let length = stream.read(&mut seen).await.unwrap();
    let seen = String::from_utf8_lossy(&seen[..length]).into_owned();
    assert!(seen.contains("wecoms-own") && seen.ends_with("the body"), "{seen}");
    assert!(!seen.contains("proxy-") && !seen.contains(RIGHT), "{seen}");
    let log = gateway.log();
    assert!(!log.contains(&RIGHT[6..]) && !log.contains(PASSWORD), "{log}");
}

#[tokio::test]
async fn either_side_may_die_and_the_other_one_learns_it() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = leading_to(&server, &[]).await;
    let call = format!("CONNECT {}", server.local_addr().unwrap());
    for client_dies in [true, false] {
        let (status, _, mut client) = ask(&egress(&gateway), &call, None, "").await;
        let (mut accepted, _) = server.accept().await.unwrap();
        assert_eq!(status, 200);
        client.write_all(b"hello").await.unwrap();
        let mut hello = [0; 5];
        accepted.read_exact(&mut hello).await.unwrap();
        let mut left = if client_dies {
            drop(client);
            accepted
        } else {
            drop(accepted);
            client
        };
        assert_eq!(left.read(&mut hello).await.unwrap_or(0), 0);
    }
    let (status, _, client) = ask(&egress(&gateway), &call, None, "").await;
    let (accepted, _) = server.accept().await.unwrap();
    assert_eq!(status, 200);
    // Reset, as by a machine that lost its memory.
    client.set_zero_linger().unwrap();
    drop((client, accepted));
    drop(server);
    let (status, body) = told(&egress(&gateway), &call, None).await;
    assert!(status == 502 && body.contains("cannot be reached"), "{status} {body}");
}

#[tokio::test]
async fn what_is_sent_right_behind_the_request_arrives() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = leading_to(&server, &[]).await;
    let mut client = TcpStream::connect(egress(&gateway)).await.unwrap();
    let target = server.local_addr().unwrap();
    client.write_all(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\nhello").as_bytes()).await.unwrap();
    let mut hello = [0; 5];
    server.accept().await.unwrap().0.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
}

#[tokio::test]
async fn an_allowed_host_at_a_denied_address_is_not_reached() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    for (host, denied) in [("127.0.0.1", "127.0.0.0/8"), ("localhost", "127.0.0.0/8,::1/128")] {
        let target = format!("{host}:{port}");
        let settings = [("EGRESS_PORT", "0"), ("EGRESS_HOSTS", &*target), ("DISPATCH_DENY_NETWORKS", denied)];
        let gateway = Gateway::start(&settings).await;
        let (status, body) = told(&egress(&gateway), &format!("CONNECT {target}"), None).await;
        assert!(status == 403 && body.contains("DISPATCH_DENY_NETWORKS"), "{status} {body}");
    }
}

#[tokio::test]
async fn other_listeners_are_no_proxy_and_serve_beside_many_tunnels() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = leading_to(&server, &[("PUBLIC_PORT", "0"), ("OPS_PORT", "0")]).await;
    let call = format!("CONNECT {}", server.local_addr().unwrap());
    for setting in ["PORT", "PUBLIC_PORT", "OPS_PORT"] {
        let address = gateway.listener(setting).unwrap();
        let (status, _) = told(address.trim_start_matches("http://"), &call, None).await;
        assert!([400, 404, 405].contains(&status), "{setting}: {status}");
    }
    let address = egress(&gateway);
    let open = join_all((0..200).map(|_| async {
        let (status, _, client) = ask(&address, &call, None, "").await;
        assert_eq!(status, 200);
        client
    }));
    let accept = async {
        let mut accepted = Vec::new();
        while accepted.len() < 200 {
            accepted.push(server.accept().await.unwrap());
        }
        accepted
    };
    let (_clients, _accepted) = tokio::join!(open, accept);
    assert_eq!(gateway.get("/api/corp/accessToken").send().await.unwrap().status(), 200);
    let ops = gateway.listener("OPS_PORT").unwrap();
    let metrics = gateway.request_at(&ops, Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains(&format!("wxkf_egress_tunnels{{host=\"{}\"}} 200", server.local_addr().unwrap())),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_stop_ends_idle_tunnels_and_is_a_clean_one() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut gateway = leading_to(&server, &[]).await;
    let (_, _, mut client) =
        ask(&egress(&gateway), &format!("CONNECT {}", server.local_addr().unwrap()), None, "").await;
    let (_accepted, _) = server.accept().await.unwrap();
    let began = Instant::now();
    assert_eq!(gateway.terminate().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(15), "before the grace is over");
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(gateway.log().contains("\"stopped\""), "{}", gateway.log());
}

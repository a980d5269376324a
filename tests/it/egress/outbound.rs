//! The gateway's own way to WeCom: `HTTPS_PROXY`, and the proxies of single corps.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use wxkf_gateway::lifecycle::Tasks;

use super::*;
use crate::harness::servers::Relay;
use crate::harness::{SOON, bot};

/// A proxy that makes tunnels and remembers who asked for which.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noting = asked.clone();
        drop(Tasks::new().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(Tasks::new().spawn(tunnel(stream, noting.clone())));
            }
        }));
        Self { address, asked }
    }

    /// Each request's target and authorization, since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }

    fn url(&self) -> String {
        format!("http://user:pass@{}", self.address)
    }
}

async fn tunnel(mut stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let key = head.lines().find(|line| line.to_ascii_lowercase().starts_with("proxy-authorization:"));
    asked.lock().push(format!("{target} {}", key.map_or("", |line| line.rsplit(' ').next().unwrap())));
    let Ok(mut server) = TcpStream::connect(&target).await else { return };
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    drop(copy_bidirectional(&mut stream, &mut server).await);
}

/// `user:pass`
const KEY: &str = "dXNlcjpwYXNz";

async fn token(world: &World, corp: &str) -> Value {
    let query = [("corpid", corp), ("corpsecret", SECRET)];
    let asked = world.gateway.get("/api/corp/accessToken").basic_auth("bot", Some(PASSWORD)).query(&query);
    asked.send().await.unwrap().json().await.unwrap()
}

async fn list(world: &World, corp: &str) -> Value {
    let query = [("corpid", corp), ("corpsecret", SECRET)];
    let asked = world.gateway.get("/cgi-bin/kf/account/list").basic_auth("bot", Some(PASSWORD)).query(&query);
    asked.send().await.unwrap().json().await.unwrap()
}

async fn declare(world: &World, corp: &str, proxy: Option<&str>) {
    let mut body = json!({ "credentials": [] });
    if let Some(proxy) = proxy {
        body["wecomProxy"] = json!(proxy);
    }
    let put = world.gateway.admin(Method::PUT, &format!("/corps/{corp}")).json(&body).send().await.unwrap();
    assert_eq!(put.status(), 200, "{}", put.text().await.unwrap());
}

#[tokio::test]
async fn calls_to_wecom_take_the_proxy_and_those_to_bots_never() {
    let proxy = Proxy::start().await;
    let world = World::start(&[("HTTPS_PROXY", &proxy.url()), ("PUPPET_PASSWORD", "")]).await;
    let bot = bot(&world.gateway, &world.wecom).await;
    world.wecom.set_callback_url(CORP, &world.gateway.callback_url(CORP));
    assert!(bot.ready(SOON).await);
    let delivery = world.wecom.customer_writes(CORP, ACCOUNT, "customer-1", "hello").await;
    assert!(delivery.is_accepted(), "{delivery:?}");
    assert!(world.wecom.wait_for_answer("customer-1", "hello", SOON).await.is_some());
    let asked = proxy.asked();
    assert!(!asked.is_empty(), "nothing took the proxy");
    assert!(asked.iter().all(|asked| *asked == format!("{} {KEY}", world.host())), "{asked:?}");
    bot.terminate().await;

    // A bot's tunnel is a call to WeCom as well.
    let (status, ..) = ask(&egress(&world.gateway), &format!("CONNECT {}", world.host()), None, "").await;
    assert_eq!((status, proxy.asked()), (200, vec![format!("{} {KEY}", world.host())]));
}

#[tokio::test]
async fn no_proxy_names_hosts_that_are_called_without() {
    let proxy = Proxy::start().await;
    let world = World::start(&[("HTTPS_PROXY", &proxy.url()), ("NO_PROXY", "localhost,.example.com")]).await;
    assert_eq!(token(&world, CORP).await["errcode"], 0);
    let (status, ..) = ask(&egress(&world.gateway), &format!("CONNECT {}", world.host()), Some(RIGHT), "").await;
    assert_eq!((status, proxy.asked()), (200, Vec::new()));
}

#[tokio::test]
async fn a_corps_calls_take_its_own_proxy_and_nobody_elses() {
    const OTHER: &str = "ww-other-corp";
    const THIRD: &str = "ww-third-corp";
    let (common, first, second) = tokio::join!(Proxy::start(), Proxy::start(), Proxy::start());
    let world = World::start(&[("HTTPS_PROXY", &common.url())]).await;
    for corp in [OTHER, THIRD] {
        drop(world.wecom.corp(corp).secret(SECRET).account(&format!("wk-{corp}")));
    }
    declare(&world, CORP, Some(&first.url())).await;
    declare(&world, OTHER, Some(&second.url())).await;
    let tunnel = vec![format!("{} {KEY}", world.host())];
    for (corp, proxy, others) in
        [(CORP, &first, [&common, &second]), (OTHER, &second, [&common, &first]), (THIRD, &common, [&first, &second])]
    {
        assert_eq!(token(&world, corp).await["errcode"], 0);
        assert_eq!(list(&world, corp).await["errcode"], 0);
        assert_eq!(proxy.asked(), tunnel, "{corp}: one tunnel for both calls");
        assert!(others.iter().all(|other| other.asked().is_empty()), "{corp}");
    }
    // A change counts at once.
    declare(&world, CORP, Some(&second.url())).await;
    declare(&world, OTHER, None).await;
    for corp in [CORP, OTHER] {
        assert_eq!(list(&world, corp).await["errcode"], 0);
    }
    assert_eq!(first.asked(), Vec::<String>::new());
}

/// As where bots and gateway share their environment.
#[tokio::test]
async fn a_gateway_that_is_its_own_proxy_says_so() {
    let free = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    // By another address, as behind a load balancer, so that the settings do not show it.
    let relay = Relay::start(free).await;
    let proxy = format!("http://bot:{PASSWORD}@{}", relay.address());
    let world = World::start(&[("EGRESS_PORT", &free.port().to_string()), ("HTTPS_PROXY", &proxy)]).await;
    let refused = token(&world, CORP).await;
    assert_eq!(refused["errcode"], 504, "{refused}");
    let (status, body) = told(&egress(&world.gateway), &format!("CONNECT {}", world.host()), Some(RIGHT)).await;
    assert_eq!(status, 502, "{body}");
    let log = world.gateway.log();
    assert!(log.contains("leads to its own EGRESS_PORT") && log.lines().count() < 100, "{log}");
}

#[tokio::test]
async fn a_registration_is_proven_through_the_corps_proxy() {
    let proxy = Proxy::start().await;
    let world = World::start(&[("PUPPET_PASSWORD", "")]).await;
    declare(&world, CORP, Some(&proxy.url())).await;
    let bot = bot(&world.gateway, &world.wecom).await;
    assert_eq!(proxy.asked(), [format!("{} {KEY}", world.host())]);
    bot.terminate().await;
}

#[tokio::test]
async fn a_corp_of_the_file_has_its_own_proxy_too() {
    let proxy = Proxy::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("corps.json");
    std::fs::write(&file, json!({ "corps": { CORP: { "wecomProxy": proxy.url() } } }).to_string()).unwrap();
    let world = World::start(&[("CORPS_FILE", file.to_str().unwrap())]).await;
    assert_eq!(list(&world, CORP).await["errcode"], 0);
    assert_eq!(proxy.asked(), [format!("{} {KEY}", world.host())]);
}

#[tokio::test]
async fn a_corp_whose_proxy_is_away_is_not_led_past_it() {
    let world = World::start(&[]).await;
    drop(world.wecom.corp("ww-other-corp").secret(SECRET).account("wk-other"));
    let nobody = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
    declare(&world, CORP, Some(&format!("http://user:s3cret-of-the-proxy@{nobody}"))).await;
    let refused = token(&world, CORP).await;
    assert_eq!(refused["errcode"], 504, "{refused}");
    assert_eq!(world.wecom.gettoken_calls(CORP, SECRET), 0);
    assert_eq!(token(&world, "ww-other-corp").await["errcode"], 0);
    let said = format!("{refused}{}{}", world.gateway.log(), world.metrics().await);
    assert!(!said.contains("s3cret-of-the-proxy"), "{said}");
}

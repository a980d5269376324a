//! Callers who mean harm or are broken: while each kind floods the gateway, a good caller is served
//! and the memory stays bounded. `ABUSE` sets how many there are at once (5,000 by hand).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use wxkf_gateway::simulator::bot::Bot;
use wxkf_gateway::simulator::wecom::Api;

use crate::delivery::{Event, World, now, sealed};
use crate::harness::{AES_KEY, CORP, Gateway, TOKEN, bot_options, by_hand, gateway_and_wecom};

/// How long each flood lasts.
const LASTS: Duration = Duration::from_secs(5);
/// Callers of a flood that waits for answers.
const CALLERS: usize = 64;

fn crowd() -> usize {
    by_hand("ABUSE", 300)
}

/// Resident memory in MiB.
fn memory(gateway: &Gateway) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// What a good caller saw.
#[derive(Debug)]
struct Seen {
    calls: usize,
    p99: Duration,
    slowest: Duration,
    memory: f64,
}

/// A good caller, twenty times a second while the flood lasts.
async fn good_caller(world: &World) -> Seen {
    let (began, mut took, mut most) = (Instant::now(), Vec::new(), 0.0_f64);
    while began.elapsed() < LASTS {
        let called = Instant::now();
        assert_eq!(world.poke("good", "t").await, 200, "{}", world.gateway.log());
        took.push(called.elapsed());
        most = most.max(memory(&world.gateway));
        tokio::time::sleep(Duration::from_millis(50).saturating_sub(called.elapsed())).await;
    }
    took.sort_unstable();
    let p99 = took[(took.len() * 99 / 100).min(took.len() - 1)];
    Seen { calls: took.len(), p99, slowest: took[took.len() - 1], memory: most }
}

fn tell(flood: &str, seen: &Seen, harm: u64) {
    let Seen { calls, p99, slowest, memory } = seen;
    println!("| {flood} | {harm} | {calls} | {p99:.1?} | {slowest:.1?} | {memory:.1} MiB |");
}

/// Holds connections that send `bytes`, one a second, and read nothing.
async fn connections(address: &str, count: usize, bytes: &'static [u8], each: &'static [u8]) -> JoinSet<()> {
    let mut held = JoinSet::new();
    for _ in 0..count {
        let Ok(mut stream) = TcpStream::connect(address).await else { continue };
        held.spawn(async move {
            if stream.write_all(bytes).await.is_err() {
                return;
            }
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if stream.write_all(each).await.is_err() {
                    return;
                }
            }
        });
    }
    held
}

/// Posts to the gateway as fast as it answers, from many callers; counts the answers.
fn flood(world: &World, path: impl Fn(u64) -> String + Send + Sync + 'static, body: Vec<u8>) -> Flood {
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (path, mut callers) = (Arc::new(path), JoinSet::new());
    for caller in 0..CALLERS as u64 {
        let (path, body, stop, answers) = (path.clone(), body.clone(), stop.clone(), answers.clone());
        let gateway = world.gateway.url().to_owned();
        let address = gateway.trim_start_matches("http://").to_owned();
        callers.spawn(async move {
            let mut number = caller << 32;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                if post(&address, &path(number), &body).await.is_ok() {
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    Flood { stop, answers, callers }
}

struct Flood {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    callers: JoinSet<()>,
}

impl Flood {
    async fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while self.callers.join_next().await.is_some() {}
        self.answers.load(Ordering::Relaxed)
    }
}

/// One request on a connection of its own, without a client's niceties.
async fn post(address: &str, path: &str, body: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(())
}

async fn world() -> World {
    let world = World::start(&[("RUST_LOG", "error,wxkf_gateway::cli=info")]).await;
    world.register("good").await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_caller_is_served_beside_a_crowd_of_bad_ones() {
    let world = world().await;
    let address = world.gateway.url().trim_start_matches("http://").to_owned();
    let idle = memory(&world.gateway);
    println!("| flood ({} at once) | harmful | good calls | p99 | slowest | memory (idle {idle:.1}) |", crowd());
    println!("|---|---|---|---|---|---|");
    tell("none", &good_caller(&world).await, 0);

    let slow_heads = connections(&address, crowd(), b"POST /callback/x HTTP/1.1\r\nx: ", b"y").await;
    let seen = good_caller(&world).await;
    tell("heads, a byte a second", &seen, slow_heads.len() as u64);
    let mut worst = vec![seen];
    drop(slow_heads);

    let head = concat!(
        "POST /callback/ww1234567890abcdef?msg_signature=a&timestamp=1&nonce=1 HTTP/1.1\r\n",
        "host: x\r\ncontent-length: 100000\r\n\r\n"
    );
    let slow_bodies = connections(&address, crowd(), head.as_bytes(), b"<").await;
    worst.push(good_caller(&world).await);
    tell("bodies, a byte a second", &worst[1], slow_bodies.len() as u64);
    drop(slow_bodies);

    let silent = connections(&address, crowd(), b"", b"").await;
    worst.push(good_caller(&world).await);
    tell("silent connections", &worst[2], silent.len() as u64);
    drop(silent);

    let good = sealed(&Event { kf: "good", token: "t", created: now() });
    let signed = format!("/callback/{CORP}?{}", good.query);
    let forged = signed.replace("msg_signature=", "msg_signature=0");
    let sealed_body = good.body.clone().into_bytes();
    type Path = Box<dyn Fn(u64) -> String + Send + Sync>;
    let floods: [(&str, Path, Vec<u8>); 4] = [
        ("bad signatures", Box::new(move |_| forged.clone()), sealed_body.clone()),
        (
            "unknown corps",
            Box::new(|number| format!("/callback/ww{number}?msg_signature=a&timestamp=1&nonce=1")),
            sealed_body,
        ),
        ("1 MiB bodies", Box::new(move |_| signed.clone()), vec![b'<'; 1 << 20]),
        ("wrong passwords of operators", Box::new(|_| "/api/admin/corps".to_owned()), Vec::new()),
    ];
    for (name, path, body) in floods {
        let flood = flood(&world, path, body);
        let seen = good_caller(&world).await;
        tell(name, &seen, flood.end().await);
        worst.push(seen);
    }
    for seen in &worst {
        assert!(seen.calls > 10 && seen.p99 < Duration::from_secs(2), "{seen:?}");
        // 32 large bodies at a time, whose buffers double as they grow, and what a connection costs.
        assert!(seen.memory < idle + 96.0 + 0.03 * crowd() as f64, "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_secrets_spend_a_budget_that_leaves_good_bots_theirs() {
    const SECRETS: usize = 400;
    let (gateway, wecom) = gateway_and_wecom().await;
    for corp in [CORP, "ww-attacked"] {
        let credentials = json!({ "credentials": [{ "token": TOKEN, "encodingAESKey": AES_KEY }] });
        let declared = gateway.admin(reqwest::Method::PUT, &format!("/corps/{corp}")).json(&credentials).send().await;
        assert_eq!(declared.unwrap().status(), 200);
    }
    let ask = |corp: String, number: usize| {
        let query = [("corpid", corp), ("corpsecret", format!("wrong-{number}"))];
        gateway.get("/api/corp/accessToken").query(&query).send()
    };
    let one_corp = (0..SECRETS).map(|number| ask("ww-attacked".to_owned(), number));
    let made_up = (0..SECRETS).map(|number| ask(format!("ww-made-up-{number}"), number));
    let answers = futures::future::join_all(one_corp.chain(made_up)).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().status() == 200));
    let reached = wecom.calls(Api::GetToken);
    println!("{} wrong secrets of one known corp and of {SECRETS} made-up ones: {reached} reached WeCom", 2 * SECRETS);
    assert!((20..=120).contains(&reached), "{reached}");

    let bot = Bot::start(bot_options(&gateway, &wecom)).await.unwrap();
    assert!(bot.registered(Duration::from_secs(10)).await, "a good bot of another corp registers: {}", gateway.log());
}

//! Callbacks through the whole gateway in this process, from its router to a bot on a socket, one after the
//! other: what callgrind counts of it (`benches/instructions/run`) is the same at each run, within a
//! thousandth or two, whatever else the machine does.
//!
//! Arguments: how many callbacks, and `unrecorded` for one whose metrics go nowhere.

#![expect(clippy::print_stdout, reason = "it says what it did")]

#[path = "../gateway/events.rs"]
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod events;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::{Context as _, ensure};
use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use wxkf_gateway::app::{self, App};
use wxkf_gateway::config::{Config, Source};
use wxkf_gateway::domain::{Clock, EncodingAesKey};
use wxkf_gateway::http::routes::Routes;
use wxkf_gateway::lifecycle::{Readiness, Tasks};
use wxkf_gateway::router::{self, Audience};
use wxkf_gateway::telemetry::Metrics;

use events::{AES_KEY, CORP, SECRET, TOKEN};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Accounts that events are spread over, each with a bot at the same address.
pub const ACCOUNTS: usize = 16;
/// Until connections are open and tables have grown.
const WARM_UP: usize = 200;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let callbacks = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(500);
    let unrecorded = arguments.iter().any(|argument| argument == "unrecorded");
    let metrics = if unrecorded { Metrics::unrecorded() } else { Metrics::install()? };
    let directory = tempfile::tempdir()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let routes = runtime.block_on(gateway(directory.path().to_str().context("a path in UTF-8")?, metrics))?;
    post(&runtime, &routes, made(WARM_UP)?)?;
    measured(&runtime, &routes, made(callbacks)?)?;
    println!("callbacks: {callbacks}");
    Ok(())
}

/// What is counted; by this name callgrind knows where to begin.
#[inline(never)]
fn measured(runtime: &Runtime, routes: &Routes, callbacks: Vec<Request<Body>>) -> anyhow::Result<()> {
    post(runtime, routes, callbacks)
}

fn post(runtime: &Runtime, routes: &Routes, callbacks: Vec<Request<Body>>) -> anyhow::Result<()> {
    runtime.block_on(async {
        for callback in callbacks {
            let answer = routes.serve(callback).await?;
            ensure!(answer.status() == StatusCode::OK, "a callback was answered {}", answer.status());
        }
        Ok(())
    })
}

fn made(callbacks: usize) -> anyhow::Result<Vec<Request<Body>>> {
    let (key, clock) = (EncodingAesKey::parse(AES_KEY)?, Clock::default());
    let callback = |_| {
        let events::Callback { query, body, .. } = events::next(events::News::accounts(ACCOUNTS), &key, &clock);
        Ok(Request::post(format!("/callback/{CORP}?{query}")).body(Body::from(body))?)
    };
    (0..callbacks).map(callback).collect()
}

async fn gateway(directory: &str, metrics: Metrics) -> anyhow::Result<Routes> {
    let endpoint = format!("http://127.0.0.1:{}", bot()?);
    let settings = [
        ("BIND_ADDRESS", "127.0.0.1"),
        ("DATA_DIR", directory),
        ("REGISTRATION", "open"),
        ("REGISTRATION_GRACE", "0s"),
        ("DISPATCH_TIMEOUT", "60s"),
    ];
    let (config, _) = Config::load(&Source::of(settings))?;
    let runtime =
        app::Runtime { clock: Clock::default(), tasks: Tasks::new(), readiness: Readiness::default(), metrics };
    let app = App::build(&config, runtime).await?;
    let routes = router::routes(Audience::Everybody, &app);
    app.starting.finish().await?;
    for index in 0..ACCOUNTS {
        let bot = json!({
            "kfId": events::account(index), "kfName": "benchmark", "endpoint": endpoint, "corpId": CORP,
            "corpSecret": SECRET, "token": TOKEN, "encodingAESKey": AES_KEY,
        });
        let request = Request::post("/puppetWxkfManager/register").header("content-type", "application/json");
        let answer = routes.serve(request.body(Body::from(bot.to_string()))?).await?;
        ensure!(answer.status() == StatusCode::OK, "a registration was answered {}", answer.status());
    }
    Ok(routes)
}

/// The port of a bot that takes everything. Threads of its own, which are not counted.
fn bot() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || serve(connection));
        }
    });
    Ok(port)
}

fn serve(connection: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut writer = connection;
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line)? > 2 {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        if line.is_empty() {
            return Ok(());
        }
        reader.read_exact(&mut vec![0; length])?;
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsuccess")?;
    }
}

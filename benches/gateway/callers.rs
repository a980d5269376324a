//! Callers that keep their connections, in a closed loop: each waits for its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;
use wxkf_gateway::domain::{Clock, EncodingAesKey};

use crate::events::{self, AES_KEY, Callback, News};

/// One round.
pub struct Measured {
    pub answered: u64,
    pub per_second: f64,
    /// Sorted.
    latencies: Vec<Duration>,
}

impl Measured {
    /// The latency that this share of the answers kept.
    pub fn percentile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }
}

/// Posts callbacks, every one of its own, and counts those that were acknowledged.
pub async fn callbacks(url: &str, news: News, callers: usize, round: Duration) -> anyhow::Result<Measured> {
    post(url, news, callers, during(round)).await
}

/// The same until everybody was told of once, which takes as long as it takes.
pub async fn one_turn(url: &str, news: News, callers: usize) -> anyhow::Result<Measured> {
    let left = Arc::new(AtomicUsize::new(news.turn()));
    let one_less = |left: usize| left.checked_sub(1);
    let goes_on = move || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
    post(url, news, callers, goes_on).await
}

async fn post(url: &str, news: News, callers: usize, goes_on: impl GoesOn) -> anyhow::Result<Measured> {
    let key = EncodingAesKey::parse(AES_KEY)?;
    let clock = Clock::default();
    run(url, callers, goes_on, move |host| {
        let Callback { corp, query, body } = events::next(news, &key, &clock);
        Ok(Request::post(format!("/callback/{corp}?{query}"))
            .header("host", host)
            .header("content-type", "text/xml")
            .body(Full::from(body))?)
    })
    .await
}

/// Reads one path.
pub async fn reads(url: &str, path: &str, callers: usize, round: Duration) -> anyhow::Result<Measured> {
    let path = path.to_owned();
    let request = move |host: &str| Ok(Request::get(&*path).header("host", host).body(Full::default())?);
    run(url, callers, during(round), request).await
}

/// Posts a JSON body to one path.
pub async fn calls(url: &str, path: &str, callers: usize, round: Duration) -> anyhow::Result<Measured> {
    const BODY: &[u8] =
        br#"{"touser":"wmBenchmark","open_kfid":"wkBenchmark","msgtype":"text","text":{"content":"hello"}}"#;
    let path = path.to_owned();
    run(url, callers, during(round), move |host| {
        let request = Request::post(&*path).header("host", host).header("content-type", "application/json");
        Ok(request.body(Full::from(BODY))?)
    })
    .await
}

/// Asked before each request of each caller.
trait GoesOn: Fn() -> bool + Clone + Send + 'static {}

impl<F: Fn() -> bool + Clone + Send + 'static> GoesOn for F {}

fn during(round: Duration) -> impl GoesOn {
    let ends = Instant::now() + round;
    move || Instant::now() < ends
}

async fn run<F>(url: &str, callers: usize, goes_on: impl GoesOn, request: F) -> anyhow::Result<Measured>
where
    F: Fn(&str) -> anyhow::Result<Request<Full<Bytes>>> + Clone + Send + 'static,
{
    let url = Url::parse(url)?;
    let host = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(80));
    let began = Instant::now();
    let calling: Vec<_> = (0..callers).map(|_| caller(host.clone(), goes_on.clone(), request.clone())).collect();
    #[expect(clippy::disallowed_methods, reason = "each is awaited below")]
    let calling: Vec<_> = calling.into_iter().map(tokio::spawn).collect();
    let mut latencies = Vec::new();
    for caller in calling {
        latencies.extend(caller.await??);
    }
    let elapsed = began.elapsed();
    latencies.sort_unstable();
    let answered = latencies.len() as u64;
    Ok(Measured { answered, per_second: answered as f64 / elapsed.as_secs_f64(), latencies })
}

async fn caller<F>(host: String, goes_on: impl GoesOn, request: F) -> anyhow::Result<Vec<Duration>>
where
    F: Fn(&str) -> anyhow::Result<Request<Full<Bytes>>>,
{
    let mut connection = connect(&host).await?;
    let mut latencies = Vec::with_capacity(16_384);
    while goes_on() {
        let request = request(&host)?;
        let asked = Instant::now();
        let response = connection.send_request(request).await?;
        ensure!(response.status() == StatusCode::OK, "answered {}", response.status());
        response.into_body().collect().await?;
        latencies.push(asked.elapsed());
    }
    Ok(latencies)
}

async fn connect(host: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    #[expect(clippy::disallowed_methods, reason = "ends with its sender")]
    tokio::spawn(connection);
    Ok(sender)
}

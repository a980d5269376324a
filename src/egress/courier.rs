//! The way to bots and services: one request, and the status of its answer.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy;
use tokio::time::{Instant, timeout_at};

use super::answer::words;
use super::direct::{self, ConnectionLimits, Direct};
use super::{Denied, DenyList, NAME, causes, look_ups};

const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// An answer's body says nothing that is needed: what is longer or slower costs its connection instead of time.
const READ_LIMIT: usize = 16 * 1024;
const READ_TIME: Duration = Duration::from_millis(100);

/// Why there is no answer. The texts are for operators and hold no URL: its query is nobody's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undelivered {
    /// `DISPATCH_DENY_NETWORKS` forbids the address, or all that the name leads to.
    Denied(String),
    /// No connection came about, so that nothing was sent: nobody else who listens there would answer.
    NoConnection(String),
    /// No answer came, or one of somebody in its place; something may have been sent.
    NoAnswer(String),
}

impl Undelivered {
    pub fn into_text(self) -> String {
        match self {
            Self::Denied(text) | Self::NoConnection(text) | Self::NoAnswer(text) => text,
        }
    }
}

/// Takes requests to bots and services, guarded by the addresses that no call may reach. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Courier {
    client: Direct<Full<Bytes>>,
    denied: DenyList,
    /// For a call as a whole.
    limit: Duration,
}

impl Courier {
    /// Connecting gets a little less than `limit`, so that a connection that does not come about is told from an
    /// answer that does not come.
    pub fn new(denied: &DenyList, limit: Duration) -> Result<Self, rustls::Error> {
        let limits = ConnectionLimits { connect: limit.mul_f64(0.9), idle: IDLE_LIMIT, look_ups: look_ups::MANY };
        Ok(Self { client: direct::client(denied, limits)?, denied: denied.clone(), limit })
    }

    /// The addresses that it does not go to.
    pub fn denied(&self) -> &DenyList {
        &self.denied
    }

    /// Returns the status of the answer; `whom` is who gives it, in words.
    pub async fn send(&self, request: Request<Bytes>, whom: &str) -> Result<StatusCode, Undelivered> {
        self.send_within(self.limit, request, whom).await
    }

    /// The same, over within `limit`.
    pub async fn send_within(
        &self,
        limit: Duration,
        mut request: Request<Bytes>,
        whom: &str,
    ) -> Result<StatusCode, Undelivered> {
        if let Some(address) = self.denied_address(&request) {
            return Err(Undelivered::Denied(format!("DISPATCH_DENY_NETWORKS forbids {address}")));
        }
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(NAME));
        let deadline = Instant::now() + limit;
        let answer = timeout_at(deadline, self.client.request(request.map(Full::new))).await;
        let answer = answer.map_err(|_| Undelivered::NoAnswer(words("", false, true, whom)))?;
        let answer = answer.map_err(|error| undelivered(&error, whom))?;
        let status = answer.status();
        if !answer.body().is_end_stream() {
            let _ = timeout_at(deadline.min(Instant::now() + READ_TIME), read(answer.into_body())).await;
        }
        Ok(status)
    }

    /// Names are looked at when they are resolved.
    fn denied_address(&self, request: &Request<Bytes>) -> Option<IpAddr> {
        let host = request.uri().host()?;
        let address = host.trim_matches(['[', ']']).parse().ok()?;
        self.denied.denies(address).then_some(address)
    }
}

async fn read(mut body: Incoming) {
    let mut read = 0;
    while read < READ_LIMIT
        && let Some(Ok(frame)) = body.frame().await
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}

fn undelivered(error: &legacy::Error, whom: &str) -> Undelivered {
    if let Some(denied) = causes(error).find_map(|cause| cause.downcast_ref::<Denied>()) {
        return Undelivered::Denied(denied.to_string());
    }
    let reason = causes(error).last().map(ToString::to_string).unwrap_or_default();
    let text = words(&reason, error.is_connect(), direct::is_late(error), whom);
    if error.is_connect() { Undelivered::NoConnection(text) } else { Undelivered::NoAnswer(text) }
}

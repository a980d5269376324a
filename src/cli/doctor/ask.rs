//! One request, and as much of its answer as is worth looking at.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};

use crate::wecom::fault_of;

/// The metrics of a busy gateway are the longest that is read.
const LONGEST: usize = 4 * 1024 * 1024;

/// An answer with the start of its body.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub took: Duration,
}

impl Answer {
    /// The body's first words, on one line; bodies come from anybody.
    pub(super) fn excerpt(&self) -> String {
        const WORTH: usize = 80;
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(4 * WORTH)]);
        let words: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        let line: Vec<&str> = words.split_whitespace().collect();
        line.join(" ").chars().take(WORTH).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?.to_str().ok()?;
        Some(value.chars().filter(|char| !char.is_control()).take(200).collect())
    }
}

/// Asks within the client's limit; the error names the fault, never the address.
pub(super) async fn ask(request: RequestBuilder) -> Result<Answer, String> {
    let began = Instant::now();
    let mut response = request.send().await.map_err(|error| named(&error))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = BytesMut::new();
    while body.len() < LONGEST
        && let Some(chunk) = response.chunk().await.map_err(|error| named(&error))?
    {
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body: body.into(), took: began.elapsed() })
}

fn named(error: &reqwest::Error) -> String {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.to_string().contains("proxy authorization required") {
            return "the proxy asks for a password (407)".to_owned();
        }
        source = cause.source();
    }
    match fault_of(error) {
        // What is neither refused nor late nor unreachable came about, up to the handshake.
        "no connection" if error.url().is_some_and(|url| url.scheme() == "https") => {
            "TLS failed (does the other side speak plain HTTP?)".to_owned()
        }
        fault => fault.to_owned(),
    }
}

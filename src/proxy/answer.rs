//! WeCom's answers: streamed on, after a look at small JSON ones for the errcodes that say the token is
//! dead.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::{HeaderMap, StatusCode, header};
use reqwest::Response;
use serde::Deserialize;

use super::Chunk;
use super::gather::{Gathered, gather};
use crate::wecom::{Api, Class, Errcode};

/// A refusal is smaller by far.
const JUDGED: usize = 64 * 1024;

/// An answer that goes on to the caller.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: BoxStream<'static, Chunk>,
}

/// What an answer says of its call's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is good, as far as anybody can tell.
    Fine,
    /// It is dead.
    TokenRejected,
}

#[derive(Deserialize)]
struct Refusal {
    errcode: i64,
}

impl Answer {
    pub(super) fn of(mut response: Response) -> Self {
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let body = response.bytes_stream().map(|chunk| chunk.map_err(Into::into)).boxed();
        Self::new(status, headers, body)
    }

    fn new(status: StatusCode, mut headers: HeaderMap, body: BoxStream<'static, Chunk>) -> Self {
        super::headers::strip(&mut headers);
        Self { status, headers, body }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Reads a small JSON answer; whatever it is, it can go on as it came.
pub(super) async fn judge(response: Response) -> (Verdict, Answer) {
    let json = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let json = json.is_some_and(|kind| kind.to_ascii_lowercase().contains("json"));
    if !json || response.content_length().is_some_and(|length| length > JUDGED as u64) {
        return (Verdict::Fine, Answer::of(response));
    }
    let Answer { status, headers, body } = Answer::of(response);
    let (verdict, body) = match gather(body, JUDGED).await {
        Gathered::Whole(whole) => (verdict(&whole), stream::iter([Ok(whole)]).boxed()),
        Gathered::Stream(body) => (Verdict::Fine, body),
    };
    (verdict, Answer { status, headers, body })
}

fn verdict(body: &Bytes) -> Verdict {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    match refusal.map(|refusal| Errcode(refusal.errcode).class(Api::WithToken)) {
        Some(Class::TokenRejected) => Verdict::TokenRejected,
        _ => Verdict::Fine,
    }
}

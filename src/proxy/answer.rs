//! WeCom's answers: streamed on, after a look at small JSON ones for the errcodes that say the token is
//! dead.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
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
    pub body: AnswerBody,
}

/// What is sent to the caller.
pub enum AnswerBody {
    /// It was read already.
    Whole(Bytes),
    Stream(BoxStream<'static, Chunk>),
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
        let (status, headers) = head(&mut response);
        Self { status, headers, body: AnswerBody::Stream(chunks(response)) }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("body", &self.body).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "whole",
            Self::Stream(_) => "stream",
        })
    }
}

/// Reads a small JSON answer; whatever it is, it can go on as it came.
pub(super) async fn judge(mut response: Response) -> (Verdict, Answer) {
    let json = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let json = json.is_some_and(|kind| kind.to_ascii_lowercase().contains("json"));
    if !json || response.content_length().is_some_and(|length| length > JUDGED as u64) {
        return (Verdict::Fine, Answer::of(response));
    }
    let (status, headers) = head(&mut response);
    let (verdict, body) = match gather(chunks(response), JUDGED).await {
        Gathered::Whole(whole) => (verdict(&whole), AnswerBody::Whole(whole)),
        Gathered::Stream(body) => (Verdict::Fine, AnswerBody::Stream(body)),
    };
    (verdict, Answer { status, headers, body })
}

fn head(response: &mut Response) -> (StatusCode, HeaderMap) {
    let mut headers = std::mem::take(response.headers_mut());
    super::headers::strip(&mut headers);
    (response.status(), headers)
}

fn chunks(response: Response) -> BoxStream<'static, Chunk> {
    response.bytes_stream().map(|chunk| chunk.map_err(Into::into)).boxed()
}

fn verdict(body: &Bytes) -> Verdict {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    match refusal.map(|refusal| Errcode(refusal.errcode).class(Api::WithToken)) {
        Some(Class::TokenRejected) => Verdict::TokenRejected,
        _ => Verdict::Fine,
    }
}

//! WeCom's answers: streamed on, after a look at small JSON ones for the errcodes that say the token is
//! dead.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use hyper::body::Body as _;
use serde::Deserialize;

use super::gather::{Gathered, gather};
use crate::egress::{PassedBody, whole};
use crate::wecom::{Api, Class, Errcode};

/// A refusal is smaller by far.
const JUDGED: u64 = 64 * 1024;

/// An answer that goes on to the caller.
pub type Answer = Response<PassedBody>;

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

/// Reads a small JSON answer; whatever it is, it can go on as it came.
pub(super) async fn judge(answer: Answer) -> (Verdict, Answer) {
    let kind = answer.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !kind.windows(4).any(|four| four.eq_ignore_ascii_case(b"json")) || answer.body().size_hint().lower() > JUDGED {
        return (Verdict::Fine, answer);
    }
    let (head, body) = answer.into_parts();
    let (verdict, body) = match gather(body, JUDGED as usize).await {
        Gathered::Whole(bytes) => (verdict(&bytes), whole(bytes)),
        Gathered::Streamed(body) => (Verdict::Fine, body),
    };
    (verdict, Answer::from_parts(head, body))
}

fn verdict(body: &Bytes) -> Verdict {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    match refusal.map(|refusal| Errcode(refusal.errcode).class(Api::WithToken)) {
        Some(Class::TokenRejected) => Verdict::TokenRejected,
        _ => Verdict::Fine,
    }
}

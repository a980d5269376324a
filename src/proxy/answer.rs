//! WeCom's answers: streamed on, after a look at small JSON ones for the errcodes that say the token is
//! dead.

use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;
use http::{HeaderValue, Response, header};
use hyper::body::Body as _;
use serde::Deserialize;

use super::gather::{Gathered, gather};
use crate::egress::{PassedBody, whole};
use crate::wecom::{Api, Class, Errcode};

/// A refusal is smaller by far.
const JUDGED: u64 = 64 * 1024;
/// Nobody else waits for it; what takes longer goes on unjudged.
const JUDGED_WITHIN: Duration = Duration::from_secs(60);

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
    let is_compressed = head.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let (verdict, body) = match gather(body, JUDGED as usize, JUDGED_WITHIN).await {
        Gathered::Whole(bytes) if is_compressed => (verdict(&decompressed(&bytes)), whole(bytes)),
        Gathered::Whole(bytes) => (verdict(&bytes), whole(bytes)),
        Gathered::Streamed(body) => (Verdict::Fine, body),
    };
    (verdict, Answer::from_parts(head, body))
}

/// Its beginning, as far as it is judged; nothing, if it is not compressed at all.
fn decompressed(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match GzDecoder::new(body).take(JUDGED).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(_) => Vec::new(),
    }
}

fn verdict(body: &[u8]) -> Verdict {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    match refusal.map(|refusal| Errcode(refusal.errcode).class(Api::WithToken)) {
        Some(Class::TokenRejected) => Verdict::TokenRejected,
        _ => Verdict::Fine,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[tokio::test]
    async fn a_compressed_answer_is_judged_and_goes_on_as_it_came() {
        for (errcode, expected) in [(40_014, Verdict::TokenRejected), (0, Verdict::Fine)] {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            write!(gzip, r#"{{"errcode":{errcode}}}"#).unwrap();
            let compressed = gzip.finish().unwrap();
            let answer = |body: &[u8]| {
                let head =
                    Response::builder().header("content-type", "application/json").header("content-encoding", "gzip");
                head.body(whole(body.to_vec().into())).unwrap()
            };
            let (verdict, answer_on) = judge(answer(&compressed)).await;
            assert_eq!(verdict, expected);
            let Gathered::Whole(body) = gather(answer_on.into_body(), 1_000, JUDGED_WITHIN).await else {
                panic!("it is small")
            };
            assert_eq!(body, compressed);
            assert_eq!(judge(answer(&compressed[..9])).await.0, Verdict::Fine);
        }
    }
}

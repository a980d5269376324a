//! Reads a body as a whole while it is small; what is not, takes its time, or breaks off, goes on as it came.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use hyper::body::{Body as _, Frame};
use tokio::time::{Instant, timeout_at};

use crate::egress::{PassedBody, streamed};

/// A body in smaller pieces than this, in bytes, is not kept as a whole: each piece costs some memory beside its content.
const SMALLEST_PIECE: usize = 64;

pub(super) enum Gathered {
    /// All of it.
    Whole(Bytes),
    /// Larger than the limit, slow, or broken off: what was read, and the rest behind it.
    Streamed(PassedBody),
}

/// `limit` is in bytes; what is not there within that time goes on as it comes.
pub(super) async fn gather(mut body: PassedBody, limit: usize, within: Duration) -> Gathered {
    let (mut read, mut length, announced) = (Vec::new(), 0, body.size_hint().exact());
    let until = Instant::now() + within;
    let broken = loop {
        let Ok(next) = timeout_at(until, body.frame()).await else { break None };
        match next {
            Some(Ok(frame)) => {
                // Trailers come last: of a whole body they do not go on.
                let Ok(data) = frame.into_data() else { continue };
                length += data.len();
                read.push(data);
                // Another look would tell of nothing but the end.
                if announced == Some(length as u64) {
                    return Gathered::Whole(joined(read));
                }
            }
            // Told to whoever reads on.
            Some(Err(error)) => break Some(Err(error)),
            None => return Gathered::Whole(joined(read)),
        }
        if length > limit || read.len() > limit / SMALLEST_PIECE {
            break None;
        }
    };
    let before = stream::iter(read.into_iter().map(|data| Ok(Frame::data(data))).chain(broken));
    Gathered::Streamed(streamed(StreamBody::new(before.chain(BodyStream::new(body)))))
}

/// Most bodies come in one piece, which is not copied.
fn joined(mut read: Vec<Bytes>) -> Bytes {
    match read.len() {
        0 => Bytes::new(),
        1 => read.swap_remove(0),
        _ => read.concat().into(),
    }
}

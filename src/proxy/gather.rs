//! Reads a stream as a whole while it is small; what is not, or breaks off, goes on as it came.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

use super::Chunk;

pub(super) enum Gathered {
    /// All of it.
    Whole(Bytes),
    /// Larger than the limit, or broken off: what was read, and the rest behind it.
    Stream(BoxStream<'static, Chunk>),
}

pub(super) async fn gather(mut chunks: BoxStream<'static, Chunk>, limit: usize) -> Gathered {
    let (mut read, mut length) = (Vec::new(), 0);
    let broken = loop {
        match chunks.next().await {
            Some(Ok(chunk)) => {
                length += chunk.len();
                read.push(chunk);
            }
            // Told to whoever reads on.
            Some(Err(error)) => break Some(Err(error)),
            None => return Gathered::Whole(joined(read)),
        }
        if length > limit {
            break None;
        }
    };
    let before = read.into_iter().map(Ok).chain(broken);
    Gathered::Stream(stream::iter(before).chain(chunks).boxed())
}

/// Most bodies come in one piece, which is not copied.
fn joined(mut read: Vec<Bytes>) -> Bytes {
    match read.len() {
        0 => Bytes::new(),
        1 => read.swap_remove(0),
        _ => read.concat().into(),
    }
}

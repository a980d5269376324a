//! Reads a stream as a whole while it is small; what is not, or breaks off, goes on as it came.

use bytes::{Bytes, BytesMut};
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
    let mut read = BytesMut::new();
    let broken = loop {
        match chunks.next().await {
            Some(Ok(chunk)) => read.extend_from_slice(&chunk),
            // Told to whoever reads on.
            Some(Err(error)) => break Some(Err(error)),
            None => return Gathered::Whole(read.freeze()),
        }
        if read.len() > limit {
            break None;
        }
    };
    let first = [Some(Ok(read.freeze())), broken].into_iter().flatten();
    Gathered::Stream(stream::iter(first).chain(chunks).boxed())
}

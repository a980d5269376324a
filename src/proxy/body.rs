//! The body of a call: streamed, and kept beside that while it is small, so that the call can be made
//! once more.

use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Chunk;
use super::gather::{Gathered, gather};

/// A larger body is not kept.
const KEPT: usize = 1024 * 1024;
/// So many are kept at a time; the others are streamed on without.
const KEPT_AT_ONCE: usize = 64;
static PLACES: Semaphore = Semaphore::const_new(KEPT_AT_ONCE);

/// What is sent along.
pub struct CallBody {
    content: Content,
    _place: Option<SemaphorePermit<'static>>,
}

enum Content {
    None,
    /// All of it, to be sent as often as is needed.
    Whole(Bytes),
    /// To be sent once.
    Stream(BoxStream<'static, Chunk>),
    Sent,
}

impl CallBody {
    pub fn none() -> Self {
        Self { content: Content::None, _place: None }
    }

    /// What comes in over the connection.
    pub fn stream(chunks: BoxStream<'static, Chunk>) -> Self {
        Self { content: Content::Stream(chunks), _place: None }
    }

    /// Reads the body to its end when it is small; otherwise it goes on as a stream.
    pub(super) async fn keep(&mut self) {
        if !matches!(self.content, Content::Stream(_)) {
            return;
        }
        let Ok(place) = PLACES.try_acquire() else { return };
        let Content::Stream(chunks) = std::mem::replace(&mut self.content, Content::Sent) else { return };
        match gather(chunks, KEPT).await {
            Gathered::Whole(whole) => {
                self.content = Content::Whole(whole);
                self._place = Some(place);
            }
            Gathered::Stream(chunks) => self.content = Content::Stream(chunks),
        }
    }

    pub(super) fn can_be_repeated(&self) -> bool {
        matches!(self.content, Content::None | Content::Whole(_))
    }

    pub(super) fn take(&mut self) -> Option<reqwest::Body> {
        if let Content::Whole(whole) = &self.content {
            return Some(whole.clone().into());
        }
        if self.can_be_repeated() {
            return None;
        }
        match std::mem::replace(&mut self.content, Content::Sent) {
            Content::Stream(chunks) => Some(reqwest::Body::wrap_stream(chunks)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for CallBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let content = match &self.content {
            Content::None => "none",
            Content::Whole(_) => "whole",
            Content::Stream(_) => "stream",
            Content::Sent => "sent",
        };
        f.debug_tuple("CallBody").field(&content).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use futures::stream;

    use super::*;

    fn chunks(sizes: &[usize]) -> CallBody {
        let chunks: Vec<Chunk> = sizes.iter().map(|&size| Ok(Bytes::from(vec![b'x'; size]))).collect();
        CallBody::stream(stream::iter(chunks).boxed())
    }

    async fn length(body: &mut CallBody) -> usize {
        use http_body_util::BodyExt as _;
        body.take().unwrap().collect().await.unwrap().to_bytes().len()
    }

    #[tokio::test]
    async fn a_small_body_is_kept_and_a_large_one_is_streamed_whole() {
        let mut small = chunks(&[10, KEPT - 10]);
        small.keep().await;
        assert!(small.can_be_repeated());
        assert_eq!((length(&mut small).await, length(&mut small).await), (KEPT, KEPT));

        let mut large = chunks(&[10, KEPT, 500]);
        large.keep().await;
        assert!(!large.can_be_repeated());
        assert_eq!(length(&mut large).await, KEPT + 510);
        assert!(large.take().is_none(), "it was sent");
    }
}

//! The body of a call: streamed, and kept beside that while it is small, so that the call can be made
//! once more.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::gather::{Gathered, gather};
use crate::egress::{PassedBody, whole};

/// A larger body is not kept.
const KEPT: usize = 1024 * 1024;
/// All that are kept at a time, in KiB; the others are streamed on without.
const KEPT_AT_ONCE: usize = 64 * 1024;
static ROOM: Semaphore = Semaphore::const_new(KEPT_AT_ONCE);
/// A body that takes longer is streamed on: nobody may hold the others' room by being slow.
const KEPT_WITHIN: Duration = Duration::from_secs(5);

/// What is sent along.
pub struct CallBody {
    content: Content,
    _room: Option<SemaphorePermit<'static>>,
}

enum Content {
    None,
    /// All of it, to be sent as often as is needed.
    Whole(Bytes),
    /// To be sent once.
    Stream(PassedBody),
    Sent,
}

impl CallBody {
    pub fn none() -> Self {
        Self { content: Content::None, _room: None }
    }

    /// What comes in over the connection.
    pub fn stream(body: PassedBody) -> Self {
        Self { content: Content::Stream(body), _room: None }
    }

    /// Reads the body to its end when it is small; otherwise it goes on as a stream.
    pub(super) async fn keep(&mut self) {
        if !matches!(self.content, Content::Stream(_)) {
            return;
        }
        let Content::Stream(body) = std::mem::replace(&mut self.content, Content::Sent) else { return };
        // As much as it may be, until it is known.
        let most = usize::try_from(body.size_hint().upper().unwrap_or(u64::MAX)).unwrap_or(usize::MAX).min(KEPT);
        let Ok(mut room) = ROOM.try_acquire_many(kib(most)) else {
            self.content = Content::Stream(body);
            return;
        };
        match gather(body, KEPT, KEPT_WITHIN).await {
            Gathered::Whole(whole) => {
                drop(room.split(room.num_permits().saturating_sub(kib(whole.len()) as usize)));
                self.content = Content::Whole(whole);
                self._room = Some(room);
            }
            Gathered::Streamed(body) => self.content = Content::Stream(body),
        }
    }

    pub(super) fn can_be_repeated(&self) -> bool {
        matches!(self.content, Content::None | Content::Whole(_))
    }

    /// What is sent now: nothing when it was a stream, and sent.
    pub(super) fn take(&mut self) -> PassedBody {
        match &self.content {
            Content::None => return whole(Bytes::new()),
            Content::Whole(bytes) => return whole(bytes.clone()),
            Content::Stream(_) | Content::Sent => {}
        }
        match std::mem::replace(&mut self.content, Content::Sent) {
            Content::Stream(body) => body,
            _ => whole(Bytes::new()),
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

/// Room for so many bytes, and for keeping them at all.
fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use hyper::body::Frame;

    use super::*;
    use crate::egress::{BodyError, streamed};

    fn chunks(sizes: &[usize]) -> CallBody {
        let chunks: Vec<_> =
            sizes.iter().map(|&size| Ok::<_, BodyError>(Frame::data(Bytes::from(vec![b'x'; size])))).collect();
        CallBody::stream(streamed(StreamBody::new(stream::iter(chunks))))
    }

    async fn length(body: &mut CallBody) -> usize {
        body.take().collect().await.unwrap().to_bytes().len()
    }

    #[tokio::test]
    async fn many_small_bodies_are_kept_at_a_time() {
        let mut bodies: Vec<CallBody> = (0..1_000).map(|_| chunks(&[10])).collect();
        for body in &mut bodies {
            body.keep().await;
        }
        assert!(bodies.iter().all(CallBody::can_be_repeated));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_and_one_of_crumbs_go_on_as_they_come() {
        let slow = stream::unfold(0, |sent| async move {
            tokio::time::sleep(KEPT_WITHIN / 2).await;
            (sent < 3).then_some((Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"x"))), sent + 1))
        });
        let slow = CallBody::stream(streamed(StreamBody::new(Box::pin(slow))));
        for (mut body, expected) in [(slow, 3), (chunks(&[1; 20_000]), 20_000)] {
            body.keep().await;
            assert!(!body.can_be_repeated());
            assert_eq!(length(&mut body).await, expected);
        }
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
        assert_eq!(length(&mut large).await, 0, "it was sent");
    }
}

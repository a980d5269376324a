//! An answer that must not fall silent in the middle.
//!
//! The one decision a reader would question: not tower-http's body of the same purpose. That one starts and ends a
//! timer with each piece, of which most are there already.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::BodyError;

/// Breaks off when nothing comes for longer than the limit.
#[derive(Debug)]
pub(super) struct Flowing<B> {
    body: B,
    limit: Duration,
    /// Runs while nothing comes.
    silent: Option<Pin<Box<Sleep>>>,
}

impl<B> Flowing<B> {
    pub(super) fn new(body: B, limit: Duration) -> Self {
        Self { body, limit, silent: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin> Body for Flowing<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.silent = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = self.limit;
        ready!(self.silent.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
        Poll::Ready(Some(Err("nothing came for too long".into())))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use http::{Request, Response};
    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;
    use crate::egress::{Passage, PassedBody, install_tls_provider, whole};

    const LIMIT: Duration = Duration::from_secs(1);

    /// The answer of a server that sends so many of its twelve bytes, one after another, and no more.
    async fn answer(bytes: usize) -> Response<PassedBody> {
        install_tls_provider();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(async move {
            let (mut caller, _) = server.accept().await.unwrap();
            caller.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
            caller.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n").await.unwrap();
            for _ in 0..bytes {
                sleep(LIMIT / 10).await;
                caller.write_all(b"x").await.unwrap();
            }
            pending::<()>().await;
        });
        let request = Request::get(format!("http://{address}/")).body(whole(Bytes::new())).unwrap();
        Passage::direct().unwrap().silent_for(LIMIT).send(request).await.unwrap()
    }

    #[tokio::test]
    async fn a_slow_answer_is_read_to_its_end_and_a_silent_one_breaks_off() {
        let read = answer(12).await.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(read, [b'x'; 12][..]);
        let began = Instant::now();
        let error = answer(1).await.into_body().collect().await.unwrap_err();
        assert_eq!(error.to_string(), "nothing came for too long");
        assert!(began.elapsed() >= LIMIT);
    }
}

//! Kept-alive connections to the gateway.
//!
//! hyper's connection is driven by whoever waits for the answer, in the same task: a task of its own
//! would be woken twice for every callback, which costs more than sealing it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// No connection came about.
    Unreachable,
    /// The connection broke before the answer.
    Broken,
    TimedOut,
}

/// One connection.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
    /// The other side closed it.
    over: bool,
}

impl Line {
    async fn connect(address: &str) -> Result<Self, NoAnswer> {
        let stream = TcpStream::connect(address).await.map_err(|_| NoAnswer::Unreachable)?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer::Unreachable)?;
        Ok(Self { sender, connection: Box::pin(connection), over: false })
    }

    /// Drives the connection until `work` on its sender is done.
    async fn drive<T>(&mut self, work: impl AsyncFnOnce(&mut SendRequest<Full<Bytes>>) -> T) -> T {
        let Self { sender, connection, over } = self;
        let mut work = pin!(work(sender));
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            if !*over {
                *over = connection.as_mut().poll(context).is_ready();
            }
            work.as_mut().poll(context)
        })
        .await
    }

    /// Whether it can take a request: an idle connection learns of its end only when it is looked at.
    async fn is_open(&mut self) -> bool {
        let Self { sender, connection, over } = self;
        std::future::poll_fn(|context| {
            *over = *over || connection.as_mut().poll(context).is_ready();
            if *over { Poll::Ready(false) } else { sender.poll_ready(context).map(|ready| ready.is_ok()) }
        })
        .await
    }

    async fn post(&mut self, request: Request<Full<Bytes>>) -> Result<StatusCode, NoAnswer> {
        let sent = self.drive(async |sender| {
            let mut response = sender.send_request(request).await?;
            while let Some(frame) = response.body_mut().frame().await {
                frame?;
            }
            Ok::<_, hyper::Error>(response.status())
        });
        sent.await.map_err(|_| NoAnswer::Broken)
    }
}

/// All connections; as many as are needed at once, within a limit.
pub(super) struct Lines {
    address: Arc<str>,
    idle: Mutex<Vec<Line>>,
    free: Semaphore,
}

impl Lines {
    pub fn new(address: impl Into<Arc<str>>, most: usize) -> Self {
        Self { address: address.into(), idle: Mutex::default(), free: Semaphore::new(most) }
    }

    /// Connects ahead, so that the first callbacks do not pay for it.
    pub async fn prepare(&self, count: usize) {
        for _ in 0..count {
            match Line::connect(&self.address).await {
                Ok(line) => self.idle.lock().push(line),
                Err(_) => return,
            }
        }
    }

    /// Posts on a free connection; the answer, and how long it took. Time and limit count from when a
    /// connection is free.
    pub async fn post(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> (Result<StatusCode, NoAnswer>, Duration) {
        let _free = self.free.acquire().await;
        let began = Instant::now();
        let answer = timeout(limit, self.post_on_any(request)).await.unwrap_or(Err(NoAnswer::TimedOut));
        (answer, began.elapsed())
    }

    async fn post_on_any(&self, request: Request<Full<Bytes>>) -> Result<StatusCode, NoAnswer> {
        let mut line = self.open_line().await?;
        let status = line.post(request).await?;
        self.idle.lock().push(line);
        Ok(status)
    }

    async fn open_line(&self) -> Result<Line, NoAnswer> {
        loop {
            // A statement of its own: the lock must not live as long as the line.
            let idle = self.idle.lock().pop();
            let Some(mut line) = idle else { return Line::connect(&self.address).await };
            if line.is_open().await {
                return Ok(line);
            }
        }
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn request() -> Request<Full<Bytes>> {
        Request::post("/callback").header("host", "gateway").body(Full::from("<xml/>")).unwrap()
    }

    /// Answers each connection once, then closes it.
    async fn answer_once_each(listener: TcpListener) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsuccess").await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_meanwhile_is_no_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lines = Lines::new(listener.local_addr().unwrap().to_string(), 1);
        let calls = async {
            for _ in 0..3 {
                assert_eq!(lines.post(request(), Duration::from_secs(30)).await.0, Ok(StatusCode::OK));
            }
        };
        tokio::select! {
            () = answer_once_each(listener) => {}
            () = calls => {}
        }
    }

    #[tokio::test]
    async fn says_why_there_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lines = Lines::new(listener.local_addr().unwrap().to_string(), 1);
        assert_eq!(lines.post(request(), Duration::from_millis(1)).await.0, Err(NoAnswer::TimedOut));
        drop(listener);
        assert_eq!(lines.post(request(), Duration::from_secs(30)).await.0, Err(NoAnswer::Unreachable));
    }
}

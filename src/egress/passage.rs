//! The way of calls that are passed on as they came, bodies streamed in both directions.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Body;
use hyper_util::client::legacy;
use tokio::time::{Instant, timeout_at};

use super::direct::{self, ConnectionLimits, Direct};
use super::flowing::Flowing;
use super::{CONNECT_LIMIT, DenyList, IDLE_LIMIT, look_ups};

/// Why a body breaks off.
pub type BodyError = Box<dyn Error + Send + Sync>;
/// A body that is here already, or one that is streamed on.
pub type PassedBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, BodyError>>;

/// A body that is here already.
pub fn whole(bytes: Bytes) -> PassedBody {
    Either::Left(Full::new(bytes))
}

/// A body that comes bit by bit.
pub fn streamed<B>(body: B) -> PassedBody
where
    B: Body<Data = Bytes, Error: Into<BodyError>> + Send + 'static,
{
    Either::Right(body.map_err(Into::into).boxed_unsync())
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    #[error("nothing came for too long")]
    Silence,
    #[error(transparent)]
    Direct(legacy::Error),
    #[error(transparent)]
    Client(reqwest::Error),
}

impl PassError {
    /// Whether no connection came about, so that nothing was sent.
    pub fn is_connect(&self) -> bool {
        match self {
            Self::Silence => false,
            Self::Direct(error) => error.is_connect(),
            Self::Client(error) => error.is_connect(),
        }
    }

    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Silence => true,
            Self::Direct(error) => direct::is_late(error),
            Self::Client(error) => error.is_timeout(),
        }
    }
}

/// Nothing may move for so long, neither of the call nor of its answer.
const SILENCE: Duration = Duration::from_secs(60);
/// An upload may take so long, however it moves.
const LONGEST_UPLOAD: Duration = Duration::from_secs(30 * 60);

/// Connections to WeCom for calls that are passed on. Clones share them.
#[derive(Debug, Clone)]
pub struct Passage {
    way: Way,
    silence: Duration,
}

#[derive(Debug, Clone)]
enum Way {
    /// Straight to WeCom.
    Direct(Direct<PassedBody>),
    /// Through the general client, which knows outbound proxies.
    Client(reqwest::Client),
}

impl Passage {
    /// Straight to WeCom.
    pub fn direct() -> Result<Self, rustls::Error> {
        let limits = ConnectionLimits { connect: CONNECT_LIMIT, idle: IDLE_LIMIT, look_ups: look_ups::FEW };
        Ok(Self { way: Way::Direct(direct::client(&DenyList::default(), limits)?), silence: SILENCE })
    }

    /// The way that the client takes.
    pub fn through(client: reqwest::Client) -> Self {
        Self { way: Way::Client(client), silence: SILENCE }
    }

    /// The same with less patience.
    #[cfg(test)]
    pub(super) fn silent_for(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }

    /// Returns the answer as soon as it begins.
    pub async fn send(&self, request: Request<PassedBody>) -> Result<Response<PassedBody>, PassError> {
        let (head, body) = request.into_parts();
        let (moved, body) = Moved::of(body);
        let request = Request::from_parts(head, body);
        match &self.way {
            Way::Direct(client) => {
                let answer = moved.awaiting(client.request(request), self.silence).await?;
                Ok(answer.map_err(PassError::Direct)?.map(|body| streamed(Flowing::new(body, self.silence))))
            }
            Way::Client(client) => {
                let request = request.map(for_client).try_into().map_err(PassError::Client)?;
                let answer = moved.awaiting(client.execute(request), self.silence).await?;
                let answer = Response::from(answer.map_err(PassError::Client)?);
                Ok(answer.map(|body| streamed(Flowing::new(body, self.silence))))
            }
        }
    }
}

/// When a piece of a streamed body last went out.
#[derive(Debug)]
struct Moved {
    began: Instant,
    /// Milliseconds after that; of a body that is here, nothing needs to be known.
    last: Option<Arc<AtomicU64>>,
}

impl Moved {
    fn of(body: PassedBody) -> (Self, PassedBody) {
        let began = Instant::now();
        let Either::Right(body) = body else { return (Self { began, last: None }, body) };
        let last = Arc::new(AtomicU64::new(0));
        let moved = Self { began, last: Some(last.clone()) };
        let noticed = body.map_frame(move |frame| {
            last.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
            frame
        });
        (moved, streamed(noticed))
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.as_ref().map_or(0, |last| last.load(Ordering::Relaxed)))
    }

    /// The answer, which may come late behind a body that takes long.
    async fn awaiting<T>(&self, answer: impl Future<Output = T>, silence: Duration) -> Result<T, PassError> {
        let mut answer = pin!(answer);
        loop {
            let last = self.last();
            match timeout_at((last + silence).min(self.began + LONGEST_UPLOAD), &mut answer).await {
                Ok(answer) => return Ok(answer),
                Err(_) if self.last() > last && self.began.elapsed() < LONGEST_UPLOAD => {}
                Err(_) => return Err(PassError::Silence),
            }
        }
    }
}

/// An empty body is none: a stream would announce one. One that is here has a length to tell.
fn for_client(body: PassedBody) -> reqwest::Body {
    match body {
        body if body.is_end_stream() => reqwest::Body::default(),
        Either::Left(whole) => reqwest::Body::wrap(whole),
        Either::Right(stream) => reqwest::Body::wrap_stream(stream.into_data_stream()),
    }
}

#[cfg(test)]
mod tests {
    use futures::stream::{self, StreamExt as _};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::*;
    use crate::egress::{install_tls_provider, wecom_client};

    const LIMIT: Duration = Duration::from_millis(500);

    fn both_ways() -> [Passage; 2] {
        install_tls_provider();
        let ways = [Passage::direct().unwrap(), Passage::through(wecom_client(None, None).unwrap())];
        ways.map(|passage| passage.silent_for(LIMIT))
    }

    /// Uploads ten bytes, each a while after the one before, to a server that answers after so many of them.
    async fn upload(passage: &Passage, wanted: usize) -> Result<Response<PassedBody>, PassError> {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let answering = async {
            let (mut caller, _) = server.accept().await.unwrap();
            let mut read = Vec::new();
            while read.iter().filter(|&&byte| byte == b'#').count() < wanted {
                caller.read_buf(&mut read).await.unwrap();
            }
            caller.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        };
        let pieces = stream::iter(0..10).then(|_| async {
            sleep(LIMIT / 5).await;
            Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"#")))
        });
        let body = streamed(StreamBody::new(pieces));
        let request = Request::post(format!("http://{address}/")).header("content-length", 10).body(body).unwrap();
        tokio::select! {
            answer = passage.send(request) => answer,
            () = async { answering.await; std::future::pending().await } => unreachable!(),
        }
    }

    #[tokio::test]
    async fn an_upload_may_take_as_long_as_it_moves() {
        for passage in both_ways() {
            assert_eq!(upload(&passage, 10).await.unwrap().status(), 200);
            let silent = upload(&passage, 11).await.unwrap_err();
            assert!(silent.is_timeout(), "all was sent, and nobody answers: {silent}");
        }
    }
}

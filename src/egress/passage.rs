//! The way of calls that are passed on as they came, bodies streamed in both directions.
//!
//! The one decision a reader would question: without an outbound proxy they do not take the general client.
//! Its layers and its second parse of each address cost as much as all the rest of a small call.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Service;
use tower::timeout::future::ResponseFuture;
use tower::timeout::{Timeout, error::Elapsed};
use tower::util::MapFuture;
use tower_http::timeout::TimeoutBody;

use super::{CONNECT_LIMIT, IDLE_LIMIT, tls};

type Https = HttpsConnector<HttpConnector>;
type Connecting = ResponseFuture<<Https as Service<Uri>>::Future>;
/// The client wants a future that can be moved; every call clones this, so that it is no boxed service.
type Connector = MapFuture<Timeout<Https>, fn(Connecting) -> Pin<Box<Connecting>>>;
type Direct = legacy::Client<Connector, PassedBody>;
/// Why a body breaks off.
pub type BodyError = Box<dyn Error + Send + Sync>;
/// What is streamed on.
pub type PassedBody = UnsyncBoxBody<Bytes, BodyError>;

/// A body that is here already.
pub fn whole(bytes: Bytes) -> PassedBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
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
            Self::Direct(error) => super::causes(error).any(|cause| cause.is::<Elapsed>()),
            Self::Client(error) => error.is_timeout(),
        }
    }
}

/// Connections to WeCom for calls that are passed on. Clones share them.
#[derive(Debug, Clone)]
pub enum Passage {
    /// Straight to WeCom.
    Direct { client: Direct, silence: Duration },
    /// Through the general client, which knows outbound proxies.
    Client(reqwest::Client),
}

impl Passage {
    /// Straight to WeCom. Nothing may come for as long as `silence` before or in the middle of an answer.
    /// `None` where the general client cannot be built either: it says why.
    pub fn direct(silence: Duration) -> Option<Self> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let https = HttpsConnectorBuilder::new().with_tls_config(tls()?).https_or_http().enable_http1();
        let connector: Connector = MapFuture::new(Timeout::new(https.wrap_connector(tcp), CONNECT_LIMIT), Box::pin);
        let mut client = legacy::Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_LIMIT);
        Some(Self::Direct { client: client.build(connector), silence })
    }

    /// The way that the client takes; its limits are the client's.
    pub fn through(client: reqwest::Client) -> Self {
        Self::Client(client)
    }

    /// Returns the answer as soon as it begins.
    pub async fn send(&self, request: Request<PassedBody>) -> Result<Response<PassedBody>, PassError> {
        match self {
            Self::Direct { client, silence } => {
                let answer = tokio::time::timeout(*silence, client.request(request)).await;
                let answer = answer.map_err(|_| PassError::Silence)?.map_err(PassError::Direct)?;
                Ok(answer.map(|body| TimeoutBody::new(*silence, body).boxed_unsync()))
            }
            Self::Client(client) => {
                let request = request.map(streamed).try_into().map_err(PassError::Client)?;
                let answer = client.execute(request).await.map_err(PassError::Client)?;
                Ok(Response::from(answer).map(|body| body.map_err(Into::into).boxed_unsync()))
            }
        }
    }
}

/// An empty body is none: a stream would announce one.
fn streamed(body: PassedBody) -> reqwest::Body {
    if body.is_end_stream() { reqwest::Body::default() } else { reqwest::Body::wrap_stream(body.into_data_stream()) }
}

//! The way of calls that are passed on as they came, bodies streamed in both directions.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Body;
use hyper_util::client::legacy;

use super::direct::{self, ConnectionLimits, Direct};
use super::flowing::Flowing;
use super::{CONNECT_LIMIT, DenyList, IDLE_LIMIT};

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

/// Connections to WeCom for calls that are passed on. Clones share them.
#[derive(Debug, Clone)]
pub enum Passage {
    /// Straight to WeCom.
    Direct { client: Direct<PassedBody>, silence: Duration },
    /// Through the general client, which knows outbound proxies.
    Client(reqwest::Client),
}

impl Passage {
    /// Straight to WeCom. Nothing may come for as long as `silence` before or in the middle of an answer.
    pub fn direct(silence: Duration) -> Result<Self, rustls::Error> {
        let limits = ConnectionLimits { connect: CONNECT_LIMIT, idle: IDLE_LIMIT };
        Ok(Self::Direct { client: direct::client(&DenyList::default(), limits)?, silence })
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
                Ok(answer.map(|body| streamed(Flowing::new(body, *silence))))
            }
            Self::Client(client) => {
                let request = request.map(for_client).try_into().map_err(PassError::Client)?;
                let answer = client.execute(request).await.map_err(PassError::Client)?;
                Ok(Response::from(answer).map(streamed))
            }
        }
    }
}

/// An empty body is none: a stream would announce one.
fn for_client(body: PassedBody) -> reqwest::Body {
    if body.is_end_stream() { reqwest::Body::default() } else { reqwest::Body::wrap_stream(body.into_data_stream()) }
}

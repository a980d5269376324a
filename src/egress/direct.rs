//! hyper's client itself, for the calls that are made all the time: to bots and services, and those that are
//! passed on to WeCom.
//!
//! The one decision a reader would question: not the general client. Its layers and its second parse of each
//! address cost as much as all the rest of a small call.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use bytes::Bytes;
use http::Uri;
use hyper::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::{self, Builder};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Service;
use tower::timeout::Timeout;
use tower::timeout::error::Elapsed;
use tower::timeout::future::ResponseFuture;
use tower::util::MapFuture;

use super::look_ups::LookUps;
use super::{Denied, DenyList, tls};

/// Bytes that a connection holds of what it receives, and of what it sends. hyper's own limit, three times as much,
/// makes large downloads no faster.
const BUFFER: usize = 128 * 1024;

type Https = HttpsConnector<HttpConnector<GuardedResolver>>;
type Connecting = ResponseFuture<<Https as Service<Uri>>::Future>;
/// The client wants a future that can be moved; every call clones this, so that it is no boxed service.
type Connector = MapFuture<Timeout<Https>, fn(Connecting) -> Pin<Box<Connecting>>>;
/// Connections by host, kept for a while. Clones share them.
pub(super) type Direct<B> = legacy::Client<Connector, B>;

/// How long connections are waited for, and kept while nobody needs them; how many names are looked up at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimits {
    pub(super) connect: Duration,
    pub(super) idle: Duration,
    pub(super) look_ups: usize,
}

/// Never through a proxy, never redirected, never to a denied address that a name leads to.
pub(super) fn client<B>(denied: &DenyList, limits: ConnectionLimits) -> Result<Direct<B>, rustls::Error>
where
    B: Body<Data = Bytes> + Send,
{
    let mut tcp = HttpConnector::new_with_resolver(GuardedResolver {
        denied: denied.clone(),
        look_ups: LookUps::new(limits.look_ups),
    });
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    // Shared out among the addresses of a name, so that a dead one leaves time for the others.
    tcp.set_connect_timeout(Some(limits.connect));
    let https = HttpsConnectorBuilder::new().with_tls_config(tls()?).https_or_http().enable_http1();
    let connector: Connector = MapFuture::new(Timeout::new(https.wrap_connector(tcp), limits.connect), Box::pin);
    let mut builder: Builder = legacy::Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(limits.idle).http1_max_buf_size(BUFFER);
    Ok(builder.build(connector))
}

/// Whether a connection did not come about in time.
pub(super) fn is_late(error: &legacy::Error) -> bool {
    let is_late = |cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut;
    super::causes(error).any(|cause| cause.is::<Elapsed>() || cause.downcast_ref().is_some_and(is_late))
}

/// Drops denied addresses before the client sees them.
#[derive(Debug, Clone)]
pub struct GuardedResolver {
    denied: DenyList,
    look_ups: LookUps,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Service<Name> for GuardedResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { denied, look_ups } = self.clone();
        Box::pin(async move {
            let found = look_ups.addresses(name.as_str().to_owned()).await?;
            let allowed = denied.retained(found).ok_or_else(|| Denied(name.as_str().to_owned()))?;
            Ok(allowed.into_iter())
        })
    }
}

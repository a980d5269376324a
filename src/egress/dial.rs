//! Connections that callers are handed as they are. The name is resolved here, once: the address that
//! was checked is the one that is connected to.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, Uri};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower::{ServiceExt as _, service_fn};
use url::Url;

use super::{AllowedHost, Denied, DenyList, Mark};

/// For the connection as a whole, its name's resolution included.
const LIMIT: Duration = Duration::from_secs(10);
/// For one of several addresses: those of WeCom change, and old ones stop answering.
const LIMIT_OF_ONE: Duration = Duration::from_secs(3);

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("its name does not resolve")]
    Unresolved,
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    #[error("the proxy of HTTPS_PROXY does not lead there: {0}")]
    Proxy(String),
    #[error("no connection within {} s", LIMIT.as_secs())]
    TimedOut,
}

/// Opens connections, through the outbound proxy where there is one.
#[derive(Debug)]
pub struct Dialer {
    denied: DenyList,
    proxy: Option<OutboundProxy>,
}

#[derive(Debug)]
struct OutboundProxy {
    matcher: Matcher,
    mark: Mark,
}

impl Dialer {
    /// The proxy's own address must be an `http://` one.
    pub fn new(denied: DenyList, proxy: Option<&Url>, no_proxy: Option<&str>) -> Self {
        let proxy = proxy.map(|proxy| OutboundProxy {
            matcher: Matcher::builder().all(proxy.as_str()).no(no_proxy.unwrap_or_default()).build(),
            mark: Mark::of_proxy(proxy),
        });
        Self { denied, proxy }
    }

    pub async fn dial(&self, to: &AllowedHost) -> Result<TcpStream, DialError> {
        let dialing = async {
            match self.proxy_to(to) {
                Some((proxy, mark)) => through(proxy, mark.into(), to).await,
                None => self.straight(to).await,
            }
        };
        let stream = timeout(LIMIT, dialing).await.map_err(|_| DialError::TimedOut)??;
        // Without it, small pieces wait for the other side's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// Whether a request comes through the outbound proxy, which then is this gateway.
    pub fn leads_back(&self, headers: &HeaderMap) -> bool {
        self.proxy.as_ref().is_some_and(|proxy| proxy.mark.is_on(headers))
    }

    fn proxy_to(&self, to: &AllowedHost) -> Option<(Intercept, &Mark)> {
        let proxy = self.proxy.as_ref()?;
        let found = proxy.matcher.intercept(&format!("https://{}", to.label()).parse().ok()?)?;
        Some((found, &proxy.mark))
    }

    async fn straight(&self, to: &AllowedHost) -> Result<TcpStream, DialError> {
        let found = match to.literal() {
            Some(address) => vec![SocketAddr::new(address, to.port())],
            None => resolve(to.host(), to.port()).await?,
        };
        let allowed = self.denied.retained(found).ok_or_else(|| Denied(to.host().to_owned()))?;
        Ok(connect(&allowed).await?)
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let found: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(|_| DialError::Unresolved)?.collect();
    if found.is_empty() { Err(DialError::Unresolved) } else { Ok(found) }
}

/// The first that takes the connection.
async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(LIMIT_OF_ONE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// A tunnel within a tunnel. The proxy resolves the name, so that no address can be checked here; that
/// the host is an allowed one was checked before.
async fn through(proxy: Intercept, mark: HeaderMap, to: &AllowedHost) -> Result<TcpStream, DialError> {
    let connecting = service_fn(|proxy: Uri| async move {
        let host = proxy.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let found = resolve(&host, proxy.port_u16().unwrap_or(80)).await?;
        Ok::<_, DialError>(TokioIo::new(connect(&found).await?))
    });
    let mut tunnel = Tunnel::new(proxy.uri().clone(), connecting).with_headers(mark);
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    let target = format!("https://{}", to.label()).parse().map_err(|_| DialError::Unresolved)?;
    let tunnel = tunnel.oneshot(target).await.map_err(|error| DialError::Proxy(error.to_string()))?;
    Ok(tunnel.into_inner())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::egress::AllowedHosts;

    async fn dial(denied: &str, to: &str) -> Result<TcpStream, DialError> {
        let dialer = Dialer::new(DenyList::parse(denied).unwrap(), None, None);
        dialer.dial(AllowedHosts::parse(to).unwrap().find(to.split(':').next().unwrap(), None).unwrap()).await
    }

    #[tokio::test]
    async fn denied_addresses_are_not_connected_to_whether_named_or_resolved() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port_number = port.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            let to = format!("{host}:{port_number}");
            assert!(matches!(dial("127.0.0.0/8,::1/128", &to).await, Err(DialError::Denied(_))), "{to}");
            assert!(dial("10.0.0.0/8", &to).await.is_ok(), "{to}");
        }
    }

    #[tokio::test]
    async fn an_address_that_takes_no_connection_is_followed_by_the_next() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap() };
        let there = port.local_addr().unwrap();
        assert_eq!(connect(&[nobody, there]).await.unwrap().peer_addr().unwrap(), there);
        assert_eq!(connect(&[nobody]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(matches!(dial("", "nobody.invalid").await, Err(DialError::Unresolved)));
    }
}

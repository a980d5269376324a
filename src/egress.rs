//! Outgoing calls: which addresses may be called, and the one place that builds HTTP clients.
//!
//! The address that is checked is the address that is used: names are resolved by our own resolver,
//! which drops denied addresses before the client sees them, so a name that changes its address
//! between check and call (DNS rebinding) gains nothing. Redirects are never followed.

mod answer;
mod courier;
mod dial;
mod direct;
mod flowing;
mod hosts;
mod look_ups;
mod mark;
mod passage;

pub use answer::fault_in_words;
pub use courier::{Courier, Undelivered};
pub use dial::{DialError, Dialer};
pub use hosts::{AllowedHost, AllowedHosts};
pub use mark::{Mark, PROXY_MARK};
pub use passage::{BodyError, PassError, Passage, PassedBody, streamed, whole};

use std::error::Error;
use std::iter::successors;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Once, OnceLock};
use std::time::Duration;

use ipnet::IpNet;
use reqwest::{Client, ClientBuilder, NoProxy, Proxy, redirect};
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;
use url::{Host, Url};

use look_ups::LookUps;

/// Networks that no bot or service may live in, unless `DISPATCH_DENY_NETWORKS` says otherwise:
/// link-local and cloud metadata, multicast, unspecified, documentation.
pub const DENIED_BY_DEFAULT: &str = "169.254.0.0/16,fe80::/10,100.100.100.200/32,fd00:ec2::254/128,fd20:ce::254/128,\
    224.0.0.0/4,ff00::/8,0.0.0.0/8,::/128,192.0.2.0/24,198.51.100.0/24,203.0.113.0/24,2001:db8::/32";

/// The addresses that calls to bots and services must not reach.
#[derive(Debug, Clone, Default)]
pub struct DenyList(Arc<[IpNet]>);

impl DenyList {
    /// Parses comma-separated networks; the error is the entry at fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries
            .map(|entry| entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from)))
            .zip(text.split(',').map(str::trim).filter(|entry| !entry.is_empty()))
            .map(|(parsed, entry)| parsed.map_err(|_| entry.to_owned()))
            .collect::<Result<Vec<_>, _>>()
            .map(|networks| Self(networks.into()))
    }

    /// Whether the address, or the IPv4 address written inside of it (mapped, compatible, NAT64,
    /// 6to4), lies in a denied network.
    pub fn denies(&self, address: IpAddr) -> bool {
        let inner = match address {
            IpAddr::V6(v6) => embedded_v4(v6),
            IpAddr::V4(_) => None,
        };
        self.0.iter().any(|net| net.contains(&address) || inner.is_some_and(|inner| net.contains(&inner)))
    }

    /// The addresses that are not denied; `None` when there were some, and all of them are.
    fn retained(&self, mut found: Vec<SocketAddr>) -> Option<Vec<SocketAddr>> {
        let nothing_found = found.is_empty();
        found.retain(|address| !self.denies(address.ip()));
        (nothing_found || !found.is_empty()).then_some(found)
    }

    /// The denied address that the URL names literally; names are checked when they are resolved.
    pub fn denies_literal(&self, url: &Url) -> Option<IpAddr> {
        let address = match url.host()? {
            Host::Ipv4(v4) => IpAddr::V4(v4),
            Host::Ipv6(v6) => IpAddr::V6(v6),
            Host::Domain(_) => return None,
        };
        self.denies(address).then_some(address)
    }
}

impl DenyList {
    /// The denied address that the URL leads to as things stand: literal, or resolved within a
    /// second. What a name resolves to may change, so each call checks again.
    pub async fn first_denied(&self, url: &Url) -> Option<IpAddr> {
        static LOOK_UPS: LazyLock<LookUps> = LazyLock::new(|| LookUps::new(look_ups::FEW));
        let Some(Host::Domain(name)) = url.host() else { return self.denies_literal(url) };
        let found = tokio::time::timeout(Duration::from_secs(1), LOOK_UPS.addresses(name.to_owned())).await;
        let addresses: Vec<IpAddr> = found.ok()?.ok()?.iter().map(SocketAddr::ip).collect();
        let all_denied = addresses.iter().all(|&address| self.denies(address));
        addresses.first().copied().filter(|_| all_denied)
    }
}

/// The IPv4 address that an IPv6 address stands for, if it is one of the translated kinds.
fn embedded_v4(v6: Ipv6Addr) -> Option<IpAddr> {
    let octets = v6.octets();
    let last_four = || IpAddr::from([octets[12], octets[13], octets[14], octets[15]]);
    match octets {
        [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ..] => Some(last_four()), // NAT64, RFC 6052
        [0x00, 0x64, 0xff, 0x9b, 0, 1, ..] => Some(last_four()),                   // local NAT64, RFC 8215
        [0x20, 0x02, a, b, c, d, ..] => Some(IpAddr::from([a, b, c, d])),          // 6to4, RFC 3056
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ..] if v6 != Ipv6Addr::LOCALHOST => Some(last_four()),
        _ => v6.to_ipv4_mapped().map(IpAddr::V4),
    }
}

/// Why a name gave no address to call.
#[derive(Debug, thiserror::Error)]
#[error("{0} resolves only to addresses that DISPATCH_DENY_NETWORKS forbids")]
pub struct Denied(String);

/// Chooses the process's TLS provider, which every HTTP client needs; this module's clients see to
/// it themselves.
pub fn install_tls_provider() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that somebody has installed one already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// One configuration for all clients: each would read and keep the machine's certificates by itself.
fn tls() -> Result<ClientConfig, rustls::Error> {
    static CONFIG: OnceLock<Result<ClientConfig, rustls::Error>> = OnceLock::new();
    install_tls_provider();
    CONFIG.get_or_init(ClientConfig::with_platform_verifier).clone()
}

/// What the gateway calls itself.
const NAME: &str = concat!("wxkf-gateway/", env!("CARGO_PKG_VERSION"));

/// What all clients share: no redirects, no proxy of the environment, a name in the log of the other side.
fn builder() -> ClientBuilder {
    #[expect(clippy::disallowed_methods, reason = "the one builder")]
    let builder = Client::builder();
    let builder = match tls() {
        Ok(tls) => builder.tls_backend_preconfigured(tls),
        // The client says what is wrong when it is built.
        Err(_) => builder,
    };
    builder.redirect(redirect::Policy::none()).no_proxy().tcp_nodelay(true).user_agent(NAME)
}

/// For a connection to WeCom.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// WeCom's addresses change several times a day, so connections are not kept for long.
const IDLE_LIMIT: Duration = Duration::from_secs(15);

/// What an error came from, the nearest first.
pub fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(error.source(), |&cause| cause.source())
}

/// The client of whoever is neither the gateway's dispatch nor its way to WeCom: traces, commands, the simulators.
/// `limit` is for the whole call.
pub fn client(limit: Duration) -> reqwest::Result<Client> {
    builder().connect_timeout(limit.min(CONNECT_LIMIT)).timeout(limit).build()
}

/// The client towards WeCom. Whoever calls has limits of his own.
pub fn wecom_client(proxy: Option<&Url>, no_proxy: Option<&str>) -> reqwest::Result<Client> {
    let mut builder = builder().connect_timeout(CONNECT_LIMIT).pool_idle_timeout(IDLE_LIMIT);
    if let Some(proxy) = proxy {
        let exceptions = no_proxy.and_then(NoProxy::from_string);
        let marked = Proxy::all(proxy.clone())?.headers((&Mark::of_proxy(proxy)).into());
        builder = builder.proxy(marked.no_proxy(exceptions));
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denies_metadata_in_every_spelling() {
        let list = DenyList::parse(DENIED_BY_DEFAULT).unwrap();
        let spellings = [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
        ];
        for text in spellings {
            assert!(list.denies(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1", "::1", "10.0.0.8", "192.168.1.1", "2400::1", "8.8.8.8"] {
            assert!(!list.denies(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn names_the_entry_at_fault() {
        assert_eq!(DenyList::parse("10.0.0.0/8, nonsense").unwrap_err(), "nonsense");
        assert!(DenyList::parse("10.1.2.3").unwrap().denies("10.1.2.3".parse().unwrap()));
    }
}

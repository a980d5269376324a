//! `EGRESS_PORT`: a forward proxy for bots that know nothing but `HTTPS_PROXY`, so that they share the
//! gateway's one trusted address. It reaches `EGRESS_HOSTS` and nothing else.
//!
//! The one decision a reader would question: a call in absolute form (`GET https://…`, what older clients
//! send in place of a tunnel) goes where `/cgi-bin/*` goes, to `WECOM_API_BASE_URL`, whichever allowed
//! host it names. The tokens that are filled in and healed are those of that WeCom.

mod places;
pub mod routes;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use metrics::counter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tracing::debug;

use self::places::{Place, Places};
use self::tunnel::Passed;
use crate::egress::{AllowedHost, AllowedHosts, DialError, Dialer};
use crate::lifecycle::Tasks;
use crate::observe::{Family, Label, Measure, Values};

/// What a tunnel may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Tunnels at a time, over all callers.
    tunnels: usize,
    /// For neither side to send anything.
    idle: Duration,
    /// For a tunnel as a whole, so that what was forgotten ends, and a changed password counts.
    life: Duration,
    /// As `idle`, once the gateway stops: what is in flight has until the end of the drain.
    idle_in_drain: Duration,
}

const LIMITS: Limits = Limits {
    // Some 20 KiB each, most of it for bytes on their way.
    tunnels: 2_000,
    // Clients keep idle connections for less.
    idle: Duration::from_secs(5 * 60),
    life: Duration::from_secs(60 * 60),
    // Longer than WeCom thinks about an answer.
    idle_in_drain: Duration::from_secs(4),
};

/// Why no tunnel leads there.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("this proxy reaches {0} and nothing else (EGRESS_HOSTS)")]
    NotAllowed(AllowedHosts),
    #[error("too many tunnels are open: come back later")]
    Full,
    #[error("{host} cannot be reached: {source}")]
    Unreachable { host: Arc<str>, source: DialError },
}

/// The forward proxy.
#[derive(Debug)]
pub struct ForwardProxy {
    hosts: AllowedHosts,
    dialer: Dialer,
    limits: Limits,
    places: Places,
    tasks: Tasks,
}

/// A connection to an allowed host, which waits for its caller.
#[derive(Debug)]
pub struct Tunnel {
    host: AllowedHost,
    server: TcpStream,
    limits: Limits,
    place: Place,
    tasks: Tasks,
}

impl ForwardProxy {
    pub fn new(hosts: AllowedHosts, dialer: Dialer, tasks: Tasks) -> Self {
        Self::within(LIMITS, hosts, dialer, tasks)
    }

    fn within(limits: Limits, hosts: AllowedHosts, dialer: Dialer, tasks: Tasks) -> Self {
        Self { hosts, dialer, limits, places: Places::new(limits.tunnels), tasks }
    }

    /// The host that a call names, if it is an allowed one; no port stands for any.
    pub fn allowed(&self, host: &str, port: Option<u16>) -> Result<&AllowedHost, Refusal> {
        self.hosts.find(host, port).ok_or_else(|| Refusal::NotAllowed(self.hosts.clone()))
    }

    /// Whether the gateway itself asks, because its `HTTPS_PROXY` is this port.
    pub fn leads_back(&self, headers: &HeaderMap) -> bool {
        self.dialer.leads_back(headers)
    }

    /// Opens a tunnel.
    pub async fn open(&self, host: &str, port: u16) -> Result<Tunnel, Refusal> {
        let host = self.allowed(host, Some(port)).inspect_err(|_| count(None, "tunnel", "not_allowed"))?;
        let outcome = self.connect(host).await;
        let label = match &outcome {
            Ok(_) => "served",
            Err(Refusal::Full) => "full",
            Err(Refusal::NotAllowed(_) | Refusal::Unreachable { .. }) => "unreachable",
        };
        count(Some(host), "tunnel", label);
        outcome
    }

    async fn connect(&self, host: &AllowedHost) -> Result<Tunnel, Refusal> {
        let place = self.places.take(host).ok_or(Refusal::Full)?;
        let unreachable = |source| Refusal::Unreachable { host: host.label(), source };
        let server = self.dialer.dial(host).await.map_err(unreachable)?;
        Ok(Tunnel { host: host.clone(), server, limits: self.limits, place, tasks: self.tasks.clone() })
    }
}

impl Tunnel {
    /// Carries bytes, in the background, from when the caller is there until it ends.
    pub fn lead<C, E>(self, caller: impl Future<Output = Result<C, E>> + Send + 'static)
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        E: std::fmt::Display + Send,
    {
        let Self { host, server, limits, place, tasks } = self;
        let background = tasks.clone();
        background.spawn(async move {
            let passed = Passed::new(&host);
            let ended = match caller.await {
                Ok(caller) => tunnel::carry(caller, server, passed.clone(), limits, &tasks).await.to_string(),
                Err(error) => format!("the caller did not wait for it: {error}"),
            };
            debug!(host = %host.label(), bytes = passed.total(), ended, "a tunnel ended");
            drop(place);
        });
    }
}

/// Counts a call. Hosts that are not allowed are one to the metric: callers may write any.
fn count(host: Option<&AllowedHost>, form: &'static str, result: &'static str) {
    let host = host.map_or_else(|| "other".into(), AllowedHost::label);
    counter!("wxkf_egress_requests_total", "host" => host, "form" => form, "result" => result).increment(1);
}

const HOSTS: Label =
    Label { name: "host", values: Values::Of("those of `EGRESS_HOSTS`; any other one is `other`, in requests alone") };

/// The metrics of the forward proxy.
pub const METRICS: &[Family] = &[
    Family {
        name: "wxkf_egress_requests_total",
        measure: Measure::Counter,
        labels: &[
            HOSTS,
            Label { name: "form", values: Values::These(&["tunnel", "absolute"]) },
            Label { name: "result", values: Values::These(&["served", "not_allowed", "full", "unreachable"]) },
        ],
        says: "Requests to `EGRESS_PORT` by host, form and result",
        advice: "`not_allowed`: a program asks for a host beyond `EGRESS_HOSTS`, which its own log names, or for a whole URL that is not below `/cgi-bin/`. `full`: more tunnels than there are places.",
    },
    Family {
        name: "wxkf_egress_bytes_total",
        measure: Measure::Counter,
        labels: &[HOSTS, Label { name: "direction", values: Values::These(&["up", "down"]) }],
        says: "Bytes through tunnels by host and direction (`up`: from the caller)",
        advice: "What media costs; what goes through `wxkfRequestProxy` is not in it.",
    },
    Family {
        name: "wxkf_egress_tunnels",
        measure: Measure::Gauge,
        labels: &[HOSTS],
        says: "Open tunnels by host",
        advice: "Each needs two file descriptors: compare with `process_open_fds`.",
    },
];

#[cfg(test)]
mod tests;

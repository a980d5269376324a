//! Listeners, and their life: bind everything first, serve, drain.
//!
//! hyper directly instead of `axum::serve`, which knows no time limit for a request's head, no limit
//! of connections and no end of draining.

mod stall;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use futures::stream::{FuturesUnordered, StreamExt as _};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::stall::Unstalled;
use crate::http::routes::Routes;
use crate::lifecycle::{Readiness, Tasks};

/// What a listener grants to its callers.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections held at once; further ones wait in the kernel's queue.
    connections: usize,
    /// For the first request's head, so that silent connections cannot fill the listener.
    first_head: Duration,
    /// For each further head, its idle time included.
    next_head: Duration,
    /// Bytes of a head, the URL included; a larger one is answered 431. A connection holds no more of
    /// what it receives, nor of what it sends.
    head: usize,
    /// For a caller to take a further part of its answer.
    stall: Duration,
}

const LIMITS: Limits = Limits {
    connections: 20_000,
    first_head: Duration::from_secs(10),
    // Longer than the 60 s that nginx and the clouds' load balancers keep idle connections: whoever
    // reuses one at the moment we close it gets an error.
    next_head: Duration::from_secs(75),
    // What nginx grants. hyper's own limit, 400 KiB, would be 8 GiB over all connections. (Its limit of
    // 100 fields, answered 431 as well, is left as it is.)
    head: 32 * 1024,
    stall: Duration::from_secs(30),
};

/// After `accept` failed, mostly because no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For connections that are cut off to be gone.
const CUT: Duration = Duration::from_millis(100);

/// A port that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({setting})")]
pub struct BindError {
    pub address: SocketAddr,
    /// The variable that names the port.
    pub setting: &'static str,
    pub source: io::Error,
}

/// A bound port and what is served there.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    setting: &'static str,
}

impl Listener {
    /// Binds the port that `setting` names; port 0 is any free one.
    pub async fn bind(address: IpAddr, port: u16, setting: &'static str) -> Result<Self, BindError> {
        let address = SocketAddr::new(address, port);
        let fault = |source| BindError { address, setting, source };
        let socket = TcpListener::bind(address).await.map_err(fault)?;
        let address = socket.local_addr().map_err(fault)?;
        Ok(Self { socket, address, setting })
    }

    /// Where it listens, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The variable that names the port.
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

/// What the life of the listeners hangs on.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    /// The background tasks, which outlive the connections: what is in flight may need them.
    pub tasks: Tasks,
    pub readiness: Readiness,
    /// How long everything is still served after the stop signal.
    pub delay: Duration,
    /// How long what is in flight may take after that.
    pub grace: Duration,
}

/// How the drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Nothing was in flight any more.
    Complete,
    /// The grace was over; what was left is cut off.
    Cut,
}

/// Serves until `stop` completes, then drains. When it returns, no connection is left.
pub async fn serve(listeners: Vec<(Listener, Routes)>, life: &Lifecycle, stop: impl Future<Output = ()>) -> Drained {
    serve_within(LIMITS, listeners, life, stop).await
}

async fn serve_within(
    limits: Limits,
    listeners: Vec<(Listener, Routes)>,
    life: &Lifecycle,
    stop: impl Future<Output = ()>,
) -> Drained {
    let connections = Connections { limits, open: Tasks::new(), cut: CancellationToken::new() };
    for (listener, routes) in listeners {
        let accepting = accept(listener, routes, connections.clone());
        connections.open.spawn(accepting);
    }
    stop.await;
    life.readiness.draining();
    if !life.delay.is_zero() {
        info!(delay = ?life.delay, "no longer ready, still serving");
        sleep(life.delay).await;
    }
    drain(&connections, life).await
}

async fn drain(connections: &Connections, life: &Lifecycle) -> Drained {
    let deadline = Instant::now() + life.grace;
    connections.open.stop();
    let answered = connections.open.drained(life.grace).await;
    connections.cut.cancel();
    // Ends at once, unless a handler blocks its thread.
    connections.open.drained(CUT).await;
    life.tasks.stop();
    let finished = life.tasks.drained(deadline.saturating_duration_since(Instant::now())).await;
    if answered && finished { Drained::Complete } else { Drained::Cut }
}

/// All connections of all listeners.
#[derive(Debug, Clone)]
struct Connections {
    limits: Limits,
    /// Accepting loops and open connections; its stop signal ends accepting and idle connections.
    open: Tasks,
    /// Ends every connection at once.
    cut: CancellationToken,
}

/// Accepts until the drain begins.
async fn accept(listener: Listener, routes: Routes, connections: Connections) {
    let places = Arc::new(Semaphore::new(connections.limits.connections));
    loop {
        let accepted = async {
            // The semaphore is never closed, so that the place is always given.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.socket.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = connections.open.stopping() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let serving = serve_connection(stream, peer, routes.clone(), connections.clone());
                connections.open.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) if is_the_callers(&error) => debug!(%error, "a connection ended before it was accepted"),
            Err(error) => {
                warn!(port = listener.address.port(), %error, "cannot accept connections, trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Errors of the accepted connection, not of the listener.
fn is_the_callers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// One connection until it ends, is idle in the drain, or is cut.
async fn serve_connection(stream: TcpStream, peer: SocketAddr, routes: Routes, connections: Connections) {
    // Without it, small answers wait for the caller's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let first_head = Arc::new(Notify::new());
    let service = service_fn({
        let first_head = Arc::clone(&first_head);
        move |mut request: http::Request<Incoming>| {
            first_head.notify_one();
            request.extensions_mut().insert(ConnectInfo(peer));
            routes.serve(request.map(Body::new))
        }
    });
    let mut builder = http1::Builder::new();
    let Limits { first_head: first_limit, next_head, head, stall, .. } = connections.limits;
    builder.timer(TokioTimer::new()).header_read_timeout(next_head).max_buf_size(head);
    let stream = TokioIo::new(Unstalled::new(stream, stall));
    // What `CONNECT` opens is no longer the connection's: it goes to the handler's own task.
    let mut connection = std::pin::pin!(builder.serve_connection(stream, service).with_upgrades());
    let told = async {
        tokio::select! {
            biased;
            () = silent(&first_head, first_limit) => Told::ToEnd,
            () = connections.cut.cancelled() => Told::ToEnd,
            () = connections.open.stopping() => Told::ToDrain,
        }
    };
    // In a set of its own, which looks at it only when it was woken: all connections share the two signals, and each
    // look at one takes its lock.
    let mut told = FuturesUnordered::from_iter([told]);

    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        Some(told) = told.next() => {
            if told == Told::ToEnd {
                return;
            }
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = connections.cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection ended early");
    }
}

/// What a connection is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    ToEnd,
    /// What is in flight is answered yet.
    ToDrain,
}

/// Completes when no first request came in time.
async fn silent(first_head: &Notify, limit: Duration) {
    if timeout(limit, first_head.notified()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;

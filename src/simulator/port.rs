//! A listening port that can vanish as a killed process's does: the listener and every connection
//! go at once, in the middle of whatever they were doing, and may come back later.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::lifecycle::Tasks;

/// The address a request came from, in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller(pub SocketAddr);

/// In a response's extensions: the connection is cut instead of answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct CutConnection;

/// One port of this machine and whether somebody listens on it.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    tasks: Tasks,
    stop: Mutex<CancellationToken>,
    open: watch::Sender<bool>,
}

impl Port {
    /// A port that nobody listens on yet.
    pub fn new(address: SocketAddr, tasks: Tasks) -> Self {
        Self { address, tasks, stop: Mutex::default(), open: watch::Sender::new(false) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Binds the port again and serves.
    pub async fn reopen(&self, router: Router) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.serve(listener, router);
        Ok(())
    }

    /// Serves on a listener that was bound to this port.
    pub fn serve(&self, listener: TcpListener, router: Router) {
        let stop = CancellationToken::new();
        *self.stop.lock() = stop.clone();
        let open = self.open.clone();
        open.send_replace(true);
        self.tasks.spawn(async move {
            accept(listener, router, stop).await;
            open.send_replace(false);
        });
    }

    /// Closes without waiting: what a handler that kills its own server calls.
    pub fn kill(&self) {
        self.stop.lock().cancel();
    }

    /// Closes; when this returns, connections to the port are refused.
    pub async fn close(&self) {
        self.kill();
        let mut open = self.open.subscribe();
        // An error means that the sender is gone, and so is the port.
        let _ = open.wait_for(|open| !open).await;
    }
}

/// Kills the port when the last handle of its simulator goes.
#[derive(Debug)]
pub(super) struct KillOnDrop(pub std::sync::Arc<Port>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    // Dropping the set at the end aborts every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, router.clone()));
                }
                // No more file descriptors, or the like: the listener lives on.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Caller(peer));
            let response: Response = match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            match response.extensions().get::<CutConnection>() {
                Some(_) => Err(io::Error::other("cut on request")),
                None => Ok(response),
            }
        }
    });
    // A broken connection is the other side's business.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

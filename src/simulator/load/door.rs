//! A port that is kept for its bots while nobody listens on it: connections to it are refused, and
//! nobody else can take it meanwhile.
//!
//! A bound socket that does not listen does both; the one that listens shares the port with it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Shared, bots};
use crate::lifecycle::Tasks;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4_096;

/// The connection is cut instead of answered.
#[derive(Debug, thiserror::Error)]
#[error("cut")]
pub(super) struct Cut;

#[derive(Debug)]
pub(super) struct Door {
    address: SocketAddr,
    _kept: TcpSocket,
    open: Mutex<Option<CancellationToken>>,
}

impl Door {
    /// Takes a port; it stays closed.
    pub fn reserve(address: SocketAddr) -> io::Result<Self> {
        let kept = socket(address)?;
        Ok(Self { address: kept.local_addr()?, _kept: kept, open: Mutex::default() })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bots answer there from now on.
    pub fn open(&self, shared: &Arc<Shared>, tasks: &Tasks) -> io::Result<()> {
        let listener = socket(self.address)?.listen(BACKLOG)?;
        let closed = CancellationToken::new();
        if let Some(before) = self.open.lock().replace(closed.clone()) {
            before.cancel();
        }
        tasks.spawn(accept(listener, Arc::clone(shared), closed));
        Ok(())
    }

    /// The listener and all its connections go at once, as those of a killed process.
    pub fn close(&self) {
        if let Some(open) = self.open.lock().take() {
            open.cancel();
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, closed: CancellationToken) {
    // Dropping the set at the end aborts every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = closed.cancelled() => return,
            () = shared.over.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                // No more file descriptors, or the like: the listener lives on.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _open = shared.tally.connections.enter();
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { bots::answer(&shared, request).await }
    });
    // A broken connection is the other side's business.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

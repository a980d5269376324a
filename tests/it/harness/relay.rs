//! A TCP relay that a test can break, in the ways networks break.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wxkf_gateway::lifecycle::Tasks;

/// What the relay does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Passes,
    /// Connections break off, and new ones at once after they were taken.
    Cut,
    /// Connections are taken and stay, but no byte passes: half-open.
    Silent,
}

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    line: Arc<watch::Sender<Line>>,
    accepting: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(watch::Sender::new(Line::Passes));
        let accepting = Tasks::new().spawn(accept(listener, target, line.clone()));
        Self { address, line, accepting }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn cut(&self) {
        self.line.send_replace(Line::Cut);
    }

    pub(crate) fn hang(&self) {
        self.line.send_replace(Line::Silent);
    }

    pub(crate) fn mend(&self) {
        self.line.send_replace(Line::Passes);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, line: Arc<watch::Sender<Line>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        drop(Tasks::new().spawn(relay(stream, target, line.subscribe())));
    }
}

async fn relay(mut caller: TcpStream, target: SocketAddr, mut line: watch::Receiver<Line>) {
    let mut called = None;
    loop {
        let now = *line.borrow_and_update();
        match now {
            Line::Cut => return,
            // What was silent once lost bytes on the way: it breaks when the line is mended.
            Line::Silent => {
                while *line.borrow_and_update() == Line::Silent {
                    if line.changed().await.is_err() {
                        return;
                    }
                }
                return;
            }
            Line::Passes => {}
        }
        if called.is_none() {
            match TcpStream::connect(target).await {
                Ok(stream) => called = Some(stream),
                Err(_) => return,
            }
        }
        let Some(target) = &mut called else { return };
        tokio::select! {
            _ = copy_bidirectional(&mut caller, target) => return,
            changed = line.changed() => if changed.is_err() { return },
        }
    }
}

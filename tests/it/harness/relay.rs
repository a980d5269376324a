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

mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Sends back every byte.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(Tasks::new().spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                drop(Tasks::new().spawn(async move {
                    let (mut from, mut to) = stream.split();
                    drop(tokio::io::copy(&mut from, &mut to).await);
                }));
            }
        }));
        address
    }

    async fn call(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.write_u8(7).await?;
        stream.read_u8().await
    }

    async fn calls(relay: &Relay) -> std::io::Result<u8> {
        call(&mut TcpStream::connect(relay.address()).await?).await
    }

    #[tokio::test]
    async fn cut_it_breaks_connections_and_takes_none_until_it_is_mended() {
        let relay = Relay::start(echo().await).await;
        let mut open = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(call(&mut open).await.unwrap(), 7);
        relay.cut();
        assert!(open.read_u8().await.is_err(), "it breaks without a word of the caller");
        assert!(calls(&relay).await.is_err());
        relay.mend();
        assert_eq!(calls(&relay).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn hanging_it_takes_connections_and_carries_nothing() {
        let relay = Relay::start(echo().await).await;
        let mut open = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(call(&mut open).await.unwrap(), 7);
        relay.hang();
        let mut new = TcpStream::connect(relay.address()).await.unwrap();
        for stream in [&mut open, &mut new] {
            let answer = tokio::time::timeout(Duration::from_millis(100), call(stream)).await;
            assert!(answer.is_err(), "neither an answer nor an end: {answer:?}");
        }
        relay.mend();
        assert!(open.read_u8().await.is_err(), "what was silent has lost bytes");
        assert_eq!(calls(&relay).await.unwrap(), 7);
    }
}

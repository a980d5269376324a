//! A service that takes a corp's events: it checks each one's signature, knows which it had before, and
//! answers as told.
//!
//! It says what it saw and judges nothing: a repeat is no fault of a sender that delivers at least once,
//! and a gap may still be filled.

mod handle;
mod ledger;
mod options;
mod reading;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::net::TcpListener;

pub use ledger::{Sequence, Tally};
pub use options::{Answer, ReceiverOptions};
pub use reading::Form;

use super::journal::Journal;
use super::port::{KillOnDrop, Port};
use crate::lifecycle::Tasks;
use crate::services::signature::SignatureFault;
use ledger::Ledger;

/// One event as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// `webhook-id`; empty where the header lacks.
    pub id: String,
    /// WeCom's name of it, where it can be read.
    pub event: Option<String>,
    pub form: Form,
    /// `None`: the receiver knows no secret to check it by.
    pub signature: Option<Result<(), SignatureFault>>,
    /// How often this id has come, this time included.
    pub attempt: u32,
    /// It was accepted before.
    pub is_repeat: bool,
    pub sequence: Sequence,
    /// What it was answered; `None`: the connection was cut.
    pub status: Option<u16>,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What was in an envelope that the receiver could open.
    pub opened: Option<Bytes>,
}

impl Received {
    pub fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A running service. It ends when it is dropped, in the middle of whatever it does.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    _port: KillOnDrop,
}

struct Shared {
    options: ReceiverOptions,
    port: Arc<Port>,
    journal: Journal<Received>,
    answer: Mutex<Answer>,
    ledger: Mutex<Ledger>,
    chance: Mutex<StdRng>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Receiver {
    pub async fn start(options: ReceiverOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let port = Arc::new(Port::new(listener.local_addr()?, Tasks::new()));
        let shared = Arc::new(Shared {
            port: Arc::clone(&port),
            journal: Journal::new(options.clock.clone()),
            answer: Mutex::new(options.answer.clone()),
            ledger: Mutex::default(),
            chance: Mutex::new(StdRng::seed_from_u64(options.seed)),
            options,
        });
        if shared.options.answer != Answer::Closed {
            port.serve(listener, handle::routes(Arc::clone(&shared)));
        }
        Ok(Self { shared, _port: KillOnDrop(port) })
    }

    pub fn address(&self) -> SocketAddr {
        self.shared.port.address()
    }

    /// What a corp's operator gives as the service's `url`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address())
    }

    /// Every request, whatever it was answered; of a long run the last ones.
    pub fn journal(&self) -> &Journal<Received> {
        &self.shared.journal
    }

    /// The events that were accepted, each once, in the order in which they were first.
    pub fn accepted(&self) -> Vec<Received> {
        let entries = self.journal().entries().into_iter().map(|entry| entry.what);
        entries.filter(|received| received.is_accepted() && !received.is_repeat).collect()
    }

    /// Waits until so many different events were accepted; false when `limit` passes before.
    pub async fn wait_for_accepted(&self, count: usize, limit: Duration) -> bool {
        let mut seen = 0;
        let accepted = |received: &Received| {
            seen += usize::from(received.is_accepted() && !received.is_repeat);
            seen >= count
        };
        count == 0 || self.journal().wait_for(limit, accepted).await.is_some()
    }

    /// What came so far, counted.
    pub fn tally(&self) -> Tally {
        self.shared.ledger.lock().tally()
    }

    /// Changes how it answers what arrives from now on.
    pub async fn behave(&self, answer: Answer) -> io::Result<()> {
        let before = std::mem::replace(&mut *self.shared.answer.lock(), answer.clone());
        match (before, answer) {
            (Answer::Closed, Answer::Closed) => {}
            (_, Answer::Closed) => self.shared.port.close().await,
            (Answer::Closed, _) => self.shared.port.reopen(handle::routes(Arc::clone(&self.shared))).await?,
            _ => {}
        }
        Ok(())
    }
}

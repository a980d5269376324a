//! A bot that behaves as the unmodified puppet does (puppet-wxkf, `service/manager.ts` and
//! `callback-server.ts`), its ways to die included: what it survives, the real ones survive.
//!
//! [`Mode::Robust`] is the bot one would write today: ready before it registers, every token from
//! the manager, and no dispatch kills it.

mod client;
mod dispatch;
mod happening;
mod life;
mod options;
#[cfg(test)]
pub(super) mod testkit;
mod work;
mod xml;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub use happening::{BotHappening, Death, Poke, Received, TokenSource};
pub use options::{Answer, Behaviour, BotOptions, Mode};

use super::journal::Journal;
use super::port::{KillOnDrop, Port};
use crate::lifecycle::Tasks;

/// A running bot. Dropping it is a SIGTERM: it goes without a word.
#[derive(Debug)]
pub struct Bot {
    shared: Arc<Shared>,
    _port: KillOnDrop,
}

struct Shared {
    options: BotOptions,
    endpoint: String,
    port: Arc<Port>,
    http: reqwest::Client,
    journal: Journal<BotHappening>,
    received: Mutex<Vec<Received>>,
    behaviour: Mutex<Behaviour>,
    ready: Mutex<bool>,
    died: Mutex<Option<Death>>,
    token: Mutex<Option<client::Token>>,
    /// Held while messages are read, so that two dispatches do not answer one message twice.
    cursor: tokio::sync::Mutex<String>,
    ended: CancellationToken,
    tasks: Tasks,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.shared.ended.cancel();
    }
}

impl Bot {
    /// Starts the process: it fetches a token from WeCom, registers once, and is ready a little later.
    /// Returns at once; [`Bot::registered`] and [`Bot::ready`] wait.
    pub async fn start(options: BotOptions) -> io::Result<Self> {
        life::start(options).await
    }

    /// What it registers.
    pub fn endpoint(&self) -> &str {
        &self.shared.endpoint
    }

    pub fn address(&self) -> SocketAddr {
        self.shared.port.address()
    }

    pub fn journal(&self) -> &Journal<BotHappening> {
        &self.shared.journal
    }

    /// Everything that was sent to it, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// The dispatches it understood, in order.
    pub fn pokes(&self) -> Vec<Poke> {
        self.shared.received.lock().iter().filter_map(|received| received.poke.clone()).collect()
    }

    /// Waits until it has understood so many dispatches; false when `limit` passes before.
    pub async fn wait_for_pokes(&self, count: usize, limit: Duration) -> bool {
        let mut seen = 0;
        let poked = |what: &BotHappening| {
            seen += usize::from(matches!(what, BotHappening::Dispatched { poke: Some(_), .. }));
            seen >= count
        };
        count == 0 || self.journal().wait_for(limit, poked).await.is_some()
    }

    /// Waits for its registration; false when `limit` passes before.
    pub async fn registered(&self, limit: Duration) -> bool {
        self.journal().wait_for(limit, |what| *what == BotHappening::Registered).await.is_some()
    }

    /// Waits until a dispatch no longer kills it; false when `limit` passes before.
    pub async fn ready(&self, limit: Duration) -> bool {
        self.journal().wait_for(limit, |what| *what == BotHappening::Ready).await.is_some()
    }

    /// What ended it, if anything did.
    pub fn died(&self) -> Option<Death> {
        *self.shared.died.lock()
    }

    /// How far it has read; a bot that is started again with it answers nothing twice.
    pub async fn cursor(&self) -> String {
        self.shared.cursor.lock().await.clone()
    }

    /// Changes how it meets what is sent to it.
    pub async fn behave(&self, behaviour: Behaviour) -> io::Result<()> {
        life::behave(&self.shared, behaviour).await
    }

    /// SIGINT: deregisters, then ends.
    pub async fn stop(self) {
        life::stop(&self.shared).await;
    }

    /// SIGTERM: ends without a word; when this returns, the port is closed.
    pub async fn terminate(self) {
        self.shared.ended.cancel();
        self.shared.port.close().await;
    }
}

//! A bot that behaves as the unmodified puppet does (puppet-wxkf, `service/manager.ts` and
//! `callback-server.ts`), its ways to die included: what it survives, the real ones survive.
//!
//! [`Mode::Robust`] is the bot one would write today: ready before it registers, every token from
//! the manager, and no dispatch kills it.

mod client;
mod dispatch;
mod life;
#[cfg(test)]
mod testkit;
mod work;
mod xml;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::port::{KillOnDrop, Port};
use super::wecom::Credential;
use crate::domain::Clock;
use crate::lifecycle::Tasks;

/// Which of the two bots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    #[default]
    Unmodified,
    Robust,
}

/// What customers get.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Answer {
    /// What they wrote, with a word in front.
    #[default]
    Echo,
    /// Always the same.
    Canned(String),
    Silent,
}

/// How the bot meets whatever is sent to it; changeable while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    #[default]
    Normal,
    /// Answers 200 and does nothing else.
    Accept,
    /// Answers with this status.
    Refuse(u16),
    /// Holds the request so long, then cuts the connection.
    Hang(Duration),
    /// Waits so long, then does as usual.
    Slow(Duration),
    /// Nobody listens on the port.
    Closed,
}

/// Who the bot is and where its world lies.
#[derive(Debug, Clone)]
pub struct BotOptions {
    pub corp: String,
    /// The app's secret.
    pub secret: String,
    /// What it opens callbacks with.
    pub credential: Credential,
    pub open_kf_id: String,
    pub name: String,
    /// `PUPPET_WXKF_MANAGER_ENDPOINT`: the gateway, userinfo included.
    pub manager: String,
    /// WeCom's API.
    pub wecom: String,
    /// Port 0: any.
    pub listen: SocketAddr,
    /// `PUPPET_WXKF_SELF_ENDPOINT`: what it registers; by default where it listens.
    pub endpoint: Option<String>,
    pub mode: Mode,
    pub answer: Answer,
    /// How long after it has registered the port opens; zero: it is open before.
    pub listen_after: Duration,
    /// How long after it has registered and listens a dispatch no longer kills it.
    pub ready_after: Duration,
    /// False: it asks its manager for the token before each round of work, as stateless programs do.
    pub keeps_token: bool,
    /// Asks WeCom for news without a dispatch, as the puppet does every minute.
    pub poll_every: Option<Duration>,
    /// When a registration failed.
    pub register_again_after: Duration,
    /// Where to go on reading, after a restart: see [`Bot::cursor`].
    pub cursor: String,
    pub clock: Clock,
}

impl BotOptions {
    pub fn new(corp: &str, secret: &str, credential: Credential, open_kf_id: &str) -> Self {
        Self {
            corp: corp.to_owned(),
            secret: secret.to_owned(),
            credential,
            open_kf_id: open_kf_id.to_owned(),
            name: format!("bot {open_kf_id}"),
            manager: "http://127.0.0.1:7777".to_owned(),
            wecom: "https://qyapi.weixin.qq.com".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            endpoint: None,
            mode: Mode::default(),
            answer: Answer::default(),
            listen_after: Duration::ZERO,
            ready_after: Duration::from_millis(200),
            keeps_token: true,
            poll_every: Some(Duration::from_secs(60)),
            register_again_after: Duration::from_secs(300),
            cursor: String::new(),
            clock: Clock::default(),
        }
    }
}

/// What a dispatch said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Poke {
    pub token: Option<String>,
    pub open_kf_id: String,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Timestamp,
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What the bot read in it, when it was a dispatch that it accepts.
    pub poke: Option<Poke>,
}

/// What ended the process of an unmodified bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    #[error("a dispatch came before it was ready")]
    NotReady,
    #[error("the content type of /callback was neither application/xml nor text/xml")]
    ContentType,
    #[error("the body of /callback was no XML")]
    NotXml,
    #[error("the body of /callback had no Encrypt")]
    NoEncrypt,
    #[error("the decrypted event was no XML")]
    EventNotXml,
    #[error("the event had no ToUserName")]
    NoToUserName,
    #[error("the event had no Event")]
    NoEvent,
    #[error("the event had no OpenKfId")]
    NoOpenKfId,
}

/// Where a token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    Wecom,
    Manager,
}

/// One thing that the bot did or saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BotHappening {
    TokenFetched { from: TokenSource, expires_in: u64 },
    TokenRefused { from: TokenSource, why: String },
    Registered,
    RegistrationFailed { why: String },
    Ready,
    Dispatched { path: String, status: u16, poke: Option<Poke> },
    Synced { messages: usize, tokenless: bool },
    Answered { customer: String, text: String },
    CallFailed { api: String, why: String },
    Deregistered,
    Died { reason: Death },
}

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

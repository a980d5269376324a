//! What a bot is told before it starts, and how it meets the world.

use std::net::SocketAddr;
use std::time::Duration;

use crate::domain::Clock;
use crate::simulator::wecom::Credential;

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
    /// Where to go on reading, after a restart: see [`Bot::cursor`](super::Bot::cursor).
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

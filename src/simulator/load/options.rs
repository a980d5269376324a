//! What a load run is told before it starts.

use std::net::SocketAddr;
use std::time::Duration;

use url::Url;

use super::Shares;
use crate::domain::{EncodingAesKey, Secret};

/// When the next callback is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Open loop: so many a second, however long the answers take.
    Rate(f64),
    /// Closed loop: so many callers, each of which waits for its answer.
    Callers(usize),
}

/// How long callbacks are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Time(Duration),
    Callbacks(u64),
}

/// Who makes the bots known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Each bot registers at the gateway, and so brings its corp's credentials along.
    ByBots,
    /// Nobody: what is called forwards to the bots without it.
    None,
}

/// How a run goes.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The gateway's replicas, called in turns; with a password as `http://bot:PASSWORD@host:port`.
    pub gateways: Vec<Url>,
    pub registration: Registration,
    /// Part of every corp's and account's id: two runs at one gateway need two.
    pub name: String,
    pub corps: usize,
    pub accounts: usize,
    /// Token and `EncodingAESKey` of every corp's callbacks.
    pub token: Secret,
    pub aes_key: EncodingAesKey,
    pub pace: Pace,
    pub length: Length,
    /// In which condition the bots are.
    pub bots: Shares,
    /// Where the steady bots listen; the absent and the restarting ones take free ports beside it.
    pub listen: SocketAddr,
    /// How the gateway reaches the bots' machine, when not by the address they listen on.
    pub host: Option<String>,
    /// How long bots are absent or refusing before they are good for as long, and so on; without it they are
    /// until everything heals.
    pub spell: Option<Duration>,
    /// How long a slow bot takes for its answer.
    pub slow: Duration,
    /// How often an unacknowledged callback is sent again: WeCom's 3 (document 91116).
    pub repeats: u32,
    /// Connections to the gateway at most, in an open loop.
    pub connections: usize,
    /// From the last registration to the first callback.
    pub pause: Duration,
    /// How long the proof may take after the last callback.
    pub settle: Duration,
}

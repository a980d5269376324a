//! A WeCom that keeps WeCom's rules, each with its source beside it (documents are
//! `https://developer.work.weixin.qq.com/document/path/N`).
//!
//! Every rule is a plain function over the `World` under one lock: an answer depends
//! on the calls before it and on nothing else. Waiting, HTTP and faults are the shell around that.

mod acts;
mod api;
mod callbacks;
mod control;
mod errcode;
mod events;
mod faults;
mod handle;
mod page;
mod seal;
mod setup;
#[cfg(test)]
pub(super) mod testkit;
mod world;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::net::TcpListener;
use utoipa::ToSchema;

pub use api::Api;
pub use callbacks::{Attempt, Delivery, Verification};
pub use events::{EventFields, SHAPED, inner_xml};
pub use faults::{Fault, NewRule, Rule, Target, When};
pub use seal::{Credential, SignedCallback, Stamp, signed_callback, stamped_callback, verification_query};
pub use setup::CorpSetup;

use super::journal::Journal;
use super::port::{KillOnDrop, Port};
use crate::domain::Clock;
use crate::egress;
use crate::lifecycle::Tasks;
use faults::Faults;
use world::World;

/// What `gettoken` returns while an earlier token is still valid. WeCom's documents say both: 97164
/// the same, 91039 nothing since 2024; what `expires_in` then says is documented nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RepeatedToken {
    /// The same token with the seconds that remain.
    #[default]
    SameRemaining,
    /// The same token with a full `expires_in`, which overstates its life.
    SameFull,
    /// A new token; the earlier ones stay valid.
    New,
}

/// How the simulated WeCom behaves. The default is the real one's behaviour.
#[derive(Debug, Clone)]
pub struct WecomOptions {
    /// Decides every token, nonce and id.
    pub seed: u64,
    /// Decides what has expired; advance it to let hours pass.
    pub clock: Clock,
    /// 7200 s (document 91039).
    pub token_lifetime: Duration,
    pub repeated_token: RepeatedToken,
    /// What an expired token is answered with: 42001, or 40014 as seen in NotFound403/wecom-sdk #22.
    pub expired_errcode: i64,
    /// 5 s (document 91116).
    pub callback_timeout: Duration,
    /// 1 s (document 91116).
    pub verification_timeout: Duration,
    /// 3 (document 91116).
    pub callback_repeats: usize,
    /// Documented nowhere.
    pub repeat_after: Duration,
    pub limits: Limits,
}

impl Default for WecomOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            clock: Clock::default(),
            token_lifetime: Duration::from_secs(7200),
            repeated_token: RepeatedToken::default(),
            expired_errcode: errcode::TOKEN_EXPIRED,
            callback_timeout: Duration::from_secs(5),
            verification_timeout: Duration::from_secs(1),
            callback_repeats: 3,
            repeat_after: Duration::from_secs(1),
            limits: Limits::default(),
        }
    }
}

/// How often WeCom may be called.
#[derive(Debug, Clone)]
pub struct Limits {
    /// 10,000 a minute, corp and API, and 15 times as many an hour, then 45009 (document 90454);
    /// `usize::MAX`: no limit.
    pub calls_per_minute: usize,
    /// Calls of `kf/sync_msg` without a valid sync token: 10 a minute, then 45009 (staff answer,
    /// forum 0006e047caca30ab50ec916195b800).
    pub tokenless_syncs_per_minute: usize,
    /// Calls of `kf/sync_msg` at the same time, then 45033: 5 a corp (forum
    /// 000ac64c76061029b501aee3066400).
    pub syncs_at_once: usize,
    /// Wrong secrets: 2,000 an hour and address, then banned for an hour (staff answer, forum
    /// 0000c80533033826589c94f6356400).
    pub wrong_secrets_per_hour: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_per_minute: 10_000,
            tokenless_syncs_per_minute: 10,
            syncs_at_once: 5,
            wrong_secrets_per_hour: 2_000,
        }
    }
}

/// One thing that WeCom did or saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Happening {
    /// Somebody called the API.
    ApiCalled {
        /// The path below `/cgi-bin/`.
        api: String,
        corp: Option<String>,
        #[schema(value_type = String)]
        caller: IpAddr,
        /// Null: the connection was cut.
        status: Option<u16>,
        errcode: Option<i64>,
        /// Why it was answered so.
        why: String,
    },
    CustomerWrote {
        corp: String,
        open_kf_id: String,
        customer: String,
        text: String,
    },
    /// A customer opened the conversation.
    CustomerEntered {
        corp: String,
        open_kf_id: String,
        customer: String,
    },
    /// A bot's message reached the customer.
    CustomerAnswered {
        corp: String,
        open_kf_id: String,
        customer: String,
        text: String,
    },
    CallbackSent {
        corp: String,
        event: String,
        /// 0: the first sending.
        repeat: usize,
        outcome: Attempt,
    },
    UrlVerified {
        corp: String,
        url: String,
        outcome: Verification,
    },
    /// A script or the page changed something.
    Scripted {
        what: String,
    },
}

/// A running WeCom. Clones are handles to the same one; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct Wecom {
    shared: Arc<Shared>,
    port: Arc<KillOnDrop>,
}

/// What the handles, the HTTP side and the running deliveries share.
struct Shared {
    options: WecomOptions,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    journal: Journal<Happening>,
    client: reqwest::Client,
    /// Running `kf/sync_msg` calls by corp.
    syncing: Mutex<std::collections::BTreeMap<String, usize>>,
    tasks: Tasks,
    /// Tells one start from another, where both count their journals from 1.
    started: Timestamp,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The world is full of secrets.
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Wecom {
    /// Starts on a free port of this machine.
    pub async fn start(options: WecomOptions) -> io::Result<Self> {
        Self::serve(TcpListener::bind("127.0.0.1:0").await?, options)
    }

    /// Starts on a listener.
    pub fn serve(listener: TcpListener, options: WecomOptions) -> io::Result<Self> {
        let tasks = Tasks::new();
        let port = Arc::new(Port::new(listener.local_addr()?, tasks.clone()));
        // Customers' servers live anywhere, this machine included: nothing is denied.
        let client = egress::client(options.callback_timeout).map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new(options.seed)),
            faults: Mutex::default(),
            journal: Journal::new(options.clock.clone()),
            client,
            syncing: Mutex::default(),
            tasks,
            started: options.clock.now(),
            options,
        });
        port.serve(listener, routes(&shared));
        Ok(Self { shared, port: Arc::new(KillOnDrop(port)) })
    }

    /// What goes into `WECOM_API_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.port.0.address())
    }

    /// The API can no longer be reached, as in an outage; [`Wecom::go_on`] ends it.
    pub async fn go_away(&self) {
        self.port.0.close().await;
    }

    /// Ends an outage: the same address, everything remembered.
    pub async fn go_on(&self) -> io::Result<()> {
        self.port.0.reopen(routes(&self.shared)).await
    }
}

fn routes(shared: &Arc<Shared>) -> Router {
    api::routes(Arc::clone(shared)).merge(control::routes(Arc::clone(shared))).merge(page::routes())
}

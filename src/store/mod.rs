//! What must outlive the process, as traits: each method says what happens on conflict, absence and
//! expiry, and every back end passes the same conformance suite (`tests/it/store/`).
//!
//! Times are kept in whole milliseconds, as [`Clock`](crate::domain::Clock) gives them. Lists leave a
//! damaged row out and log it, so that it hides no other; asking for that row alone fails. A list with fewer rows than were
//! asked for is at its end.
//!
//! The one decision a reader would question: held events are *inserted and deleted, never
//! overwritten*. Two writers can then never put an old event over a new one, whatever a back end's
//! update is worth; the worst case is one poke too many.

mod breaker;
pub mod copy;
pub mod corps_file;
pub mod declaration;
mod declared_services;
mod directory;
mod error;
pub mod mongodb;
mod pages;
pub mod sealed;
mod service_events;
pub mod sqlite;
mod superseded;

pub use breaker::{Breaker, Turn};
pub use directory::{CorpKeys, Directory, SHARED_FRESHNESS, Sharing};
pub use error::{Result, StoreError};
pub use pages::PuppetPages;
pub use service_events::{FailedTry, QueueBounds, QueueFilter, QueuedEvent, ServiceEvents};
pub use superseded::Superseded;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::{
    Account, AppKey, AuditEntry, AuditId, Corp, CorpId, EventId, KfEvent, OpenKfId, Order, Pair, Puppet, Secret, Trust,
};

/// Everything durable, behind one handle. `Arc<dyn Store>` upcasts to each of its parts.
#[async_trait]
pub trait Store: Corps + Puppets + Events + ServiceEvents + Tokens + Audit {
    /// Makes the back end ready: its indexes, its version, secrets sealed anew with the first key. Asked
    /// once at the start, and again for as long as it is [`StoreError::Unavailable`].
    async fn prepare(&self) -> Result<()>;

    /// Reads something small; fails when the back end cannot serve.
    async fn check(&self) -> Result<()>;

    /// The back end's name for people: `sqlite`, `mongodb`.
    fn name(&self) -> &'static str;

    /// How much there is, for operators: counted anew at each call, which takes as long as there is much.
    async fn stock(&self) -> Result<Stock>;
}

/// How much a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock {
    /// Registrations that are online.
    pub online_bots: u64,
    /// Those that were deregistered.
    pub offline_bots: u64,
    /// Live events for bots; their bytes are not counted.
    pub held: Backlog,
    /// Live events for services.
    pub queued: Backlog,
}

/// Events that wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    pub events: u64,
    /// Of their contents.
    pub bytes: u64,
    /// When the first of them arrived.
    pub oldest: Option<Timestamp>,
}

/// Corps that an operator declared by the admin API.
#[async_trait]
pub trait Corps: Debug + Send + Sync {
    /// The declared corp; `None` when nobody declared it.
    async fn corp(&self, id: &CorpId) -> Result<Option<Corp>>;

    /// All declared corps, by id.
    async fn corps(&self) -> Result<Vec<Corp>>;

    /// Declares the corp, or replaces its declaration as a whole. Durable when it returns. Refused as
    /// [`StoreError::ReadOnly`] when `CORPS_FILE` declares it, as is its deletion.
    async fn put_corp(&self, corp: &Corp) -> Result<()>;

    /// False when there was nothing to delete.
    async fn delete_corp(&self, id: &CorpId) -> Result<bool>;
}

/// Registered bots. A kf id has one registration in all, under one corp.
#[async_trait]
pub trait Puppets: Debug + Send + Sync {
    /// The registration of the account, online or not.
    async fn puppet(&self, kf: &OpenKfId) -> Result<Option<Puppet>>;

    /// All registrations of the corp, online or not, by kf id.
    async fn puppets_of(&self, corp: &CorpId) -> Result<Vec<Puppet>>;

    /// All registrations, by kf id, after `after`, at most `limit`.
    async fn puppets(&self, after: Option<&OpenKfId>, limit: usize) -> Result<Vec<Puppet>>;

    /// The distinct pairs of token and AES key of the corp's registrations, deregistered ones
    /// included, the latest registered first. Empty when the corp has no registration.
    async fn pairs_of(&self, corp: &CorpId) -> Result<Vec<Pair>>;

    /// Registers: inserts or replaces the whole registration of its kf id. Durable when it returns.
    async fn put_puppet(&self, puppet: &Puppet) -> Result<()>;

    /// Deregisters: offline as of `at`, the rest kept. False when the account is unknown.
    async fn set_offline(&self, kf: &OpenKfId, at: Timestamp) -> Result<bool>;

    /// Notes since when the bot is away (`None`: it is back), but only while `registered_at` is still
    /// the registration that was observed: a newer registration knows better. False when not noted.
    async fn set_away(&self, kf: &OpenKfId, registered_at: Option<Timestamp>, since: Option<Timestamp>)
    -> Result<bool>;

    /// All online bots that are marked away.
    async fn away_puppets(&self) -> Result<Vec<Puppet>>;

    /// Forgets the registration. False when there was none.
    async fn delete_puppet(&self, kf: &OpenKfId) -> Result<bool>;
}

/// Whether a held event is still on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeldState {
    /// Retried, or waiting for its bot.
    Live,
    /// Given up; kept for the operator, who can redeliver it.
    Expired,
}

/// An undelivered event with the state of its delivery. `event.id` is the row's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldEvent {
    pub event: Arc<KfEvent>,
    pub state: HeldState,
    /// When a live event expires. An operator's redelivery moves it.
    pub expires_at: Timestamp,
    /// When it is looked at next: for the next attempt, or to expire.
    pub due_at: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// Why the last attempt failed, or why none was made; for operators.
    pub last_error: Option<String>,
    /// The replica that works on it, until when.
    pub lease: Option<Lease>,
}

/// A claim on a row: while it lasts, only its owner works on the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub owner: String,
    pub until: Timestamp,
}

/// Which rows a delivery makes needless: those that [`KfEvent::settles`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    pub order: Order,
    pub trust: Trust,
}

/// What a failed attempt leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postponed {
    pub due_at: Timestamp,
    pub attempts: u32,
    pub last_error: Option<String>,
}

/// Which held events to list; `None` means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldFilter {
    pub state: Option<HeldState>,
    pub corp: Option<CorpId>,
    pub kf: Option<OpenKfId>,
}

/// Undelivered events.
#[async_trait]
pub trait Events: Debug + Send + Sync {
    /// Inserts the row. Durable (on disk, or on a majority) when it returns: an acknowledgement
    /// depends on it. A row with the same id stays as it is. Live rows of the account that it settles
    /// may go with it, or be left to [`Events::sweep`]; never before it is durable.
    async fn hold(&self, held: &HeldEvent) -> Result<()>;

    /// Deletes the rows of the account, live and expired, that the delivery settled; returns how many.
    async fn settle(&self, account: &Account, settled: &Settled) -> Result<u64>;

    /// Live rows with `due_at <= now` and no lease that lasts beyond now, the longest due first, at
    /// most `limit`; leases each to the owner. Rows of one account may come together.
    async fn claim_due(&self, now: Timestamp, lease: &Lease, limit: usize) -> Result<Vec<HeldEvent>>;

    /// When the next live row is due (counting a lease's end), `None` without any.
    async fn next_due(&self) -> Result<Option<Timestamp>>;

    /// The newest live row of the account: the newest signed one, or without any the newest.
    async fn newest(&self, account: &Account) -> Result<Option<HeldEvent>>;

    /// After a failed attempt: sets the three fields and drops the lease, unless another owner holds
    /// it now (no lease at all is nobody's objection). False when the row is gone, expired or not ours.
    async fn postpone(&self, id: &EventId, owner: &str, postponed: &Postponed) -> Result<bool>;

    /// Makes the account's live rows due at `at`: its bot is back. Leases stay, because their owners may
    /// be at work.
    async fn wake(&self, account: &Account, at: Timestamp) -> Result<()>;

    /// Gives the live row up, as of `at`, and drops its lease; rows of the account that it settles are
    /// deleted, live and expired. When another expired row is left, the newest of the two stays (as
    /// [`Events::newest`] chooses). False when the row is gone or expired already.
    async fn expire(&self, id: &EventId, at: Timestamp) -> Result<bool>;

    /// One row by its id.
    async fn held(&self, id: &EventId) -> Result<Option<HeldEvent>>;

    /// Rows in the order of their ids, after `after`, at most `limit`.
    async fn list_held(&self, filter: &HeldFilter, after: Option<&EventId>, limit: usize) -> Result<Vec<HeldEvent>>;

    /// The operator's wish: the row, expired or live, is live, due at `at`, expires at `expires_at`, and
    /// free of any lease. False when it is gone.
    async fn revive(&self, id: &EventId, at: Timestamp, expires_at: Timestamp) -> Result<bool>;

    /// Deletes the row. False when it was gone.
    async fn delete_held(&self, id: &EventId) -> Result<bool>;

    /// Deletes live rows that a newer live row of their account settles (of two that settle each other,
    /// the one with the later id stays), and expired rows older than
    /// `expired_before` (by `due_at`, which is when they expired). Returns how many.
    async fn sweep(&self, expired_before: Timestamp) -> Result<u64>;

    /// The accounts that have live rows (at start: which lanes have something waiting).
    async fn waiting_accounts(&self) -> Result<Vec<Account>>;

    /// Which of these accounts have rows, live or expired.
    async fn holding(&self, accounts: &[Account]) -> Result<Vec<Account>>;

    /// How many unsigned live rows of the corp belong to accounts without a registration.
    async fn count_unknown_unsigned(&self, corp: &CorpId) -> Result<u64>;
}

/// A cached access token as it survives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    pub app: AppKey,
    pub access_token: Secret,
    pub fetched_at: Timestamp,
    pub expires_at: Timestamp,
    /// Whether upstream answered a renewal with this same token: it is not renewed ahead again.
    pub renewed_to_same: bool,
    /// The app's, with which whoever meets the token renews it. `None` in what earlier releases stored.
    pub corp_secret: Option<Secret>,
    /// Those before it that are known still, in no order.
    pub superseded: Vec<Superseded>,
}

/// Cached access tokens, for the in-process cache. Expired ones stay: they say which pair of corp
/// and secret was good once.
#[async_trait]
pub trait Tokens: Debug + Send + Sync {
    async fn token(&self, app: &AppKey) -> Result<Option<StoredToken>>;

    /// All tokens, by corp and fingerprint.
    async fn tokens(&self) -> Result<Vec<StoredToken>>;

    /// Inserts or replaces, unless a token fetched later is there: then that one stays. A power cut may
    /// undo it: that costs one upstream call.
    async fn put_token(&self, token: &StoredToken) -> Result<()>;
}

/// The record of changes. Entries are added and swept, never changed.
#[async_trait]
pub trait Audit: Debug + Send + Sync {
    /// Adds the entry. Durable when it returns. An entry with the same id stays as it is.
    async fn append_audit(&self, entry: &AuditEntry) -> Result<()>;

    /// Entries by id, the newest first, only those before `before`, at most `limit`.
    async fn list_audit(&self, before: Option<&AuditId>, limit: usize) -> Result<Vec<AuditEntry>>;

    /// Deletes entries made before `made_before` (by id, see [`AuditId::floor`]), and the oldest of more
    /// than `keep`, which is at least 1. Returns how many.
    async fn sweep_audit(&self, made_before: Timestamp, keep: usize) -> Result<u64>;
}

/// The parts of a store, for those who need one only.
impl dyn Store {
    pub fn audit_part(self: &Arc<Self>) -> Arc<dyn Audit> {
        self.clone()
    }

    pub fn events(self: &Arc<Self>) -> Arc<dyn Events> {
        self.clone()
    }

    pub fn service_events(self: &Arc<Self>) -> Arc<dyn ServiceEvents> {
        self.clone()
    }

    pub fn tokens_part(self: &Arc<Self>) -> Arc<dyn Tokens> {
        self.clone()
    }
}

//! What WeCom knows: corps, their apps, accounts, customers, messages, tokens and files.
//! Plain data behind one lock; the rules live with the APIs that keep them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use super::errcode::{self, Refusal};
use super::seal::Credential;

pub(super) struct World {
    pub corps: BTreeMap<String, Corp>,
    /// Every access token ever issued: an expired one is told apart from an invented one.
    pub tokens: BTreeMap<String, Issued>,
    /// Failed `gettoken` calls by caller.
    pub wrong_secrets: BTreeMap<IpAddr, Window>,
    random: StdRng,
}

#[derive(Default)]
pub(super) struct Corp {
    /// By secret.
    pub apps: BTreeMap<String, App>,
    /// Seals what is sent to the callback URL.
    pub credential: Option<Credential>,
    pub callback_url: Option<String>,
    /// By open kf id.
    pub accounts: BTreeMap<String, KfAccount>,
    /// Of all accounts, in order; a cursor is a place in it.
    pub messages: Vec<Message>,
    /// Sync tokens by their text: for which account, until when.
    pub sync_tokens: BTreeMap<String, (String, Timestamp)>,
    pub tokenless_syncs: Window,
    /// Files by media id.
    pub media: BTreeMap<String, Media>,
    /// Calls by API.
    pub calls: BTreeMap<&'static str, Window>,
}

pub(super) struct App {
    /// The token that a repeated `gettoken` may return.
    pub current: Option<String>,
    /// How often `gettoken` was called with this secret.
    pub calls: u64,
    /// False: 48002, the app was not granted the customer service APIs.
    pub kf_granted: bool,
    /// Empty: any address may call (WeCom asks for the list since 2022).
    pub trusted: BTreeSet<IpAddr>,
}

impl Default for App {
    fn default() -> Self {
        Self { current: None, calls: 0, kf_granted: true, trusted: BTreeSet::new() }
    }
}

#[derive(Clone)]
pub(super) struct Issued {
    pub corp: String,
    pub secret: String,
    pub expires_at: Timestamp,
    pub revoked: bool,
}

#[derive(Debug, Default)]
pub(super) struct KfAccount {
    pub name: String,
    /// Whether the corp's apps may work for it; `kf/account/list` shows it.
    pub manage_privilege: bool,
    /// By external user id.
    pub customers: BTreeMap<String, CustomerState>,
    /// Welcome codes: for whom, until when, used or not.
    pub event_codes: BTreeMap<String, (String, Timestamp)>,
}

impl KfAccount {
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), manage_privilege: true, ..Self::default() }
    }
}

#[derive(Debug, Default)]
pub(super) struct CustomerState {
    /// When it last wrote or opened the conversation.
    pub seen_at: Option<Timestamp>,
    pub wrote_at: Option<Timestamp>,
    /// Messages sent to it since it last wrote.
    pub answers: usize,
    pub service_state: i64,
    pub servicer: Option<String>,
}

/// Something that `kf/sync_msg` returns.
#[derive(Debug)]
pub(super) struct Message {
    pub open_kf_id: String,
    pub sent_at: Timestamp,
    pub content: Value,
}

#[derive(Debug)]
pub(super) struct Media {
    pub file_name: String,
    pub content_type: String,
    pub content: Bytes,
    pub created_at: Timestamp,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            corps: BTreeMap::new(),
            tokens: BTreeMap::new(),
            wrong_secrets: BTreeMap::new(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// An identifier as WeCom makes them: letters, digits, `-` and `_`.
    pub fn identifier(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..length).map(|_| char::from(LETTERS[self.random.random_range(0..LETTERS.len())])).collect()
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A nonce as WeCom makes them: up to ten digits.
    pub fn nonce(&mut self) -> String {
        self.random.random_range(100_000_000_u32..=u32::MAX).to_string()
    }

    pub fn corp(&mut self, id: &str) -> Result<&mut Corp, Refusal> {
        self.corps.get_mut(id).ok_or_else(|| Refusal::new(errcode::BAD_CORP_ID, format!("no corp {id}")))
    }
}

impl Corp {
    /// An account that the corp's apps may work for.
    pub fn account(&mut self, open_kf_id: &str) -> Result<&mut KfAccount, Refusal> {
        let refuse = |why: String| Refusal::new(errcode::BAD_ACCOUNT, why);
        let Some(account) = self.accounts.get_mut(open_kf_id) else {
            return Err(refuse(format!("the corp has no account {open_kf_id}")));
        };
        if !account.manage_privilege {
            return Err(refuse(format!("no manage_privilege for {open_kf_id}")));
        }
        Ok(account)
    }
}

/// Counts what happened within a span of time.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Timestamp>);

impl Window {
    /// How often within `span` before `now`.
    pub fn count(&mut self, now: Timestamp, span: Duration) -> usize {
        while self.0.front().is_some_and(|&at| age(at, now) >= span) {
            self.0.pop_front();
        }
        self.0.len()
    }

    /// How often within a shorter `span` than that of [`Window::count`].
    pub fn recent(&self, now: Timestamp, span: Duration) -> usize {
        self.0.len() - self.0.partition_point(|&at| age(at, now) >= span)
    }

    pub fn add(&mut self, now: Timestamp) {
        self.0.push_back(now);
    }
}

/// How long ago `at` was; nothing for what lies ahead.
pub(super) fn age(at: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(at).try_into().unwrap_or_default()
}

/// `at` and `after` it.
pub(super) fn later(at: Timestamp, after: Duration) -> Timestamp {
    at.saturating_add(after).unwrap_or(Timestamp::MAX)
}

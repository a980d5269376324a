//! A `kf_msg_or_event`: a poke that says "this account has news", with the token to sync by.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{CorpId, Fingerprint, Invalid};

/// The id of a customer-service account (`open_kfid`): 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct OpenKfId(Arc<str>);

impl OpenKfId {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > 128 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid("must be 1 to 128 visible ASCII characters"));
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OpenKfId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a lane, a held event and a registration are keyed by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Account {
    pub corp: CorpId,
    pub kf: OpenKfId,
}

/// Names one arrival of an event, in logs, the admin API and the store. Later ids sort later.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct EventId(Arc<str>);

impl EventId {
    pub fn new(arrival: Timestamp) -> Self {
        let millis = u64::try_from(arrival.as_millisecond()).unwrap_or_default();
        Self(format!("{millis:012x}{:016x}", rand::random::<u64>()).into())
    }

    /// As [`EventId::new`]; those of one process and millisecond sort as they were made.
    pub fn in_order(arrival: Timestamp) -> Self {
        static SEQUENCE: AtomicU32 = AtomicU32::new(0);
        let millis = u64::try_from(arrival.as_millisecond()).unwrap_or_default();
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        Self(format!("{millis:012x}{sequence:08x}{:08x}", rand::random::<u32>()).into())
    }

    /// An id read back from a store or a path.
    pub fn from_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When it arrived; `None` of a text that is no id of ours.
    pub fn arrival(&self) -> Option<Timestamp> {
        let millis = i64::from_str_radix(self.0.get(..12)?, 16).ok()?;
        Timestamp::from_millisecond(millis).ok()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of two events of an account is newer: the greater `CreateTime` (capped at the arrival),
/// then the later arrival. WeCom's clock goes first, because its repeats arrive late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// Whole seconds since 1970: `CreateTime`, or the arrival where it lacks.
    pub created: i64,
    /// Milliseconds since 1970.
    pub arrival: i64,
}

impl Order {
    pub fn new(create_time: Option<i64>, arrival: Timestamp) -> Self {
        let arrived = arrival.as_second();
        Self { created: create_time.unwrap_or(arrived).min(arrived), arrival: arrival.as_millisecond() }
    }
}

/// Whether WeCom's signature (or the gateway's password) vouches for an event. An unsigned one
/// never displaces a signed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trust {
    Unsigned,
    Signed,
}

/// The identity of an event's plaintext: WeCom's repeats have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    pub fn of(plaintext: &[u8]) -> Self {
        let hash = Sha256::digest(plaintext);
        let mut short = [0; 16];
        short.copy_from_slice(&hash[..16]);
        Self(short)
    }
}

/// The callback as WeCom sent it, for bots that decrypt themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawCallback {
    /// The query string, exactly as it came.
    pub query: Arc<str>,
    /// The outer XML, exactly as it came.
    pub body: Bytes,
    /// The pair that opened it: only a bot with the same pair can.
    pub credential: Fingerprint,
}

/// What is sent to the bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The sync token, good for ten minutes; `None` where the caller gave none.
    pub sync_token: Option<Arc<str>>,
    /// Further fields of a decrypted event, passed on unchanged.
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// Present when the event may be sent on as received.
    pub raw: Option<RawCallback>,
}

/// One event on its way to the bot of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KfEvent {
    pub id: EventId,
    pub account: Account,
    pub order: Order,
    pub trust: Trust,
    pub digest: Digest,
    /// From when its age counts: `CreateTime` where that is plausible, else the arrival.
    pub born_at: Timestamp,
    pub payload: Payload,
}

impl KfEvent {
    /// The age of an event counts from `CreateTime` when that lies 0 to 120 s before the arrival:
    /// outside of that, one of the two clocks is wrong and ours is the one we know.
    pub fn born(create_time: Option<i64>, arrival: Timestamp) -> Timestamp {
        create_time
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .filter(|&created| (0..=120).contains(&(arrival.as_second() - created.as_second())))
            .unwrap_or(arrival)
    }

    pub fn arrival(&self) -> Timestamp {
        Timestamp::from_millisecond(self.order.arrival).unwrap_or(Timestamp::MIN)
    }

    /// Whether a delivery of `self` makes that of `other` needless. A signed event answers for every
    /// unsigned one that arrived before it; an unsigned one never answers for a signed one.
    pub fn settles(&self, other: &Self) -> bool {
        Self::rank_settles((self.trust, self.order), (other.trust, other.order))
    }

    /// As [`KfEvent::settles`], by what alone decides it.
    pub fn rank_settles((trust, order): (Trust, Order), (other_trust, other): (Trust, Order)) -> bool {
        match (trust, other_trust) {
            (Trust::Unsigned, Trust::Signed) => false,
            (Trust::Signed, Trust::Unsigned) => other.arrival <= order.arrival || other <= order,
            _ => other <= order,
        }
    }
}

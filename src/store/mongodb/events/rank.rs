//! What decides between rows of one account, and the accounts' newest rows of this process.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use mongodb::bson::{Document, doc};

use super::document::{read_order, read_trust};
use crate::domain::{Account, EventId, KfEvent, Order, Trust};
use crate::store::mongodb::documents::text;
use crate::store::{HeldEvent, Result, Settled};

/// Accounts whose newest row is remembered, some 300 bytes each, and for how long.
const REMEMBERED: u64 = 50_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// A row that has less than this to live may be given up before it is deleted, wherever a clock is fast.
const OLD: SignedDuration = SignedDuration::from_mins(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rank {
    pub trust: Trust,
    pub order: Order,
    pub id: EventId,
}

impl Rank {
    /// The fields that [`Rank::read`] needs.
    pub(super) fn fields() -> Document {
        doc! { "signed": 1, "created": 1, "arrival": 1 }
    }

    /// The newest first.
    pub(super) fn newest_first() -> Document {
        doc! { "signed": -1, "created": -1, "arrival": -1, "_id": -1 }
    }

    pub(super) fn of(event: &KfEvent) -> Self {
        Self { trust: event.trust, order: event.order, id: event.id.clone() }
    }

    pub(super) fn read(document: &Document) -> Result<Self> {
        let id = EventId::from_text(text(document, "_id")?);
        Ok(Self { trust: read_trust(document), order: read_order(document)?, id })
    }

    /// Whether this row makes the other one of its account needless. Of two that settle each other the
    /// one with the later id stays.
    pub(super) fn replaces(&self, older: &Self) -> bool {
        let (this, other) = ((self.trust, self.order), (older.trust, older.order));
        KfEvent::rank_settles(this, other) && (!KfEvent::rank_settles(other, this) || older.id < self.id)
    }

    /// The rows that another one of these, all of one account, makes needless.
    pub(super) fn needless(ranks: &[Self]) -> impl Iterator<Item = &EventId> {
        ranks.iter().filter(|older| ranks.iter().any(|newer| newer.replaces(older))).map(|older| &older.id)
    }

    /// The rows of an account that this one replaces, as a filter.
    pub(super) fn replaced(&self) -> Vec<Document> {
        let before = doc! { "created": self.order.created, "arrival": self.order.arrival };
        let signed = self.trust == Trust::Signed;
        let mut equal = before;
        equal.insert("signed", signed);
        equal.insert("_id", doc! { "$lt": self.id.as_str() });
        let mut earlier = vec![equal];
        earlier.extend(strictly_before(self.order).map(|mut filter| {
            filter.insert("signed", signed);
            filter
        }));
        if signed {
            earlier.extend(unsigned_before(self.order));
        }
        earlier
    }
}

/// The rows of an account that a delivery settles, as a filter.
pub(super) fn settled(settled: &Settled) -> Vec<Document> {
    let up_to = doc! { "created": settled.order.created, "arrival": { "$lte": settled.order.arrival } };
    let earlier = doc! { "created": { "$lt": settled.order.created } };
    let signed = settled.trust == Trust::Signed;
    let same_trust = [up_to, earlier].map(|mut filter| {
        filter.insert("signed", signed);
        filter
    });
    let unsigned = signed.then(|| unsigned_before(settled.order)).into_iter().flatten();
    same_trust.into_iter().chain(unsigned).collect()
}

fn strictly_before(order: Order) -> impl Iterator<Item = Document> {
    let created = doc! { "created": { "$lt": order.created } };
    let arrival = doc! { "created": order.created, "arrival": { "$lt": order.arrival } };
    [created, arrival].into_iter()
}

/// The unsigned rows that a signed one answers for: by arrival, or by order.
fn unsigned_before(order: Order) -> impl Iterator<Item = Document> {
    let arrival = doc! { "signed": false, "arrival": { "$lte": order.arrival } };
    // Of the same second but later arrivals are not before it, so that the second alone decides here.
    let created = doc! { "signed": false, "created": { "$lt": order.created } };
    [arrival, created].into_iter()
}

/// A row that a newer one made needless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needless {
    pub id: EventId,
    /// Whether it is too young to be given up by anybody.
    pub is_young: bool,
}

/// Which row of an account this process held last: the next one may make it needless. What other
/// replicas held is left to the sweep.
#[derive(Debug)]
pub(super) struct Newest(Cache<Account, Remembered>);

#[derive(Debug, Clone)]
struct Remembered {
    rank: Rank,
    expires_at: Timestamp,
}

impl Newest {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(REMEMBERED).time_to_idle(REMEMBERED_FOR).build())
    }

    /// A live row was inserted just now; returns the one that it made needless.
    pub(super) fn replace(&self, held: &HeldEvent, now: Timestamp) -> Option<Needless> {
        let rank = Rank::of(&held.event);
        let before = self.0.get(&held.event.account);
        if before.as_ref().is_some_and(|before| before.rank.replaces(&rank)) {
            return None;
        }
        let remembered = Remembered { rank: rank.clone(), expires_at: held.expires_at };
        self.0.insert(held.event.account.clone(), remembered);
        let Remembered { rank: older, expires_at } = before.filter(|before| rank.replaces(&before.rank))?;
        Some(Needless { id: older.id, is_young: expires_at.duration_since(now) > OLD })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(signed: bool, created: i64, arrival: i64, id: &str) -> Rank {
        let trust = if signed { Trust::Signed } else { Trust::Unsigned };
        Rank { trust, order: Order { created, arrival }, id: EventId::from_text(id) }
    }

    #[test]
    fn of_two_equal_rows_one_stays() {
        let (one, other) = (rank(true, 1, 1, "a"), rank(true, 1, 1, "b"));
        assert!(other.replaces(&one) && !one.replaces(&other) && !one.replaces(&one));
        assert_eq!(Rank::needless(&[one.clone(), other]).collect::<Vec<_>>(), [&one.id]);
    }

    #[test]
    fn a_row_is_needless_only_for_its_own_account_and_a_newer_one() {
        let account = |kf| Account {
            corp: crate::domain::CorpId::parse("ww1").unwrap(),
            kf: crate::domain::OpenKfId::parse(kf).unwrap(),
        };
        let held = |kf, rank: &Rank, life| HeldEvent {
            event: std::sync::Arc::new(KfEvent {
                id: rank.id.clone(),
                account: account(kf),
                order: rank.order,
                trust: rank.trust,
                digest: crate::domain::Digest([0; 16]),
                born_at: Timestamp::UNIX_EPOCH,
                payload: crate::domain::Payload { sync_token: None, extra: serde_json::Map::new(), raw: None },
            }),
            state: crate::store::HeldState::Live,
            expires_at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(life),
            due_at: Timestamp::UNIX_EPOCH,
            attempts: 0,
            last_error: None,
            lease: None,
        };
        let newest = Newest::new();
        let replace = |kf, rank, life| newest.replace(&held(kf, rank, life), Timestamp::UNIX_EPOCH);
        let needless = |rank: &Rank, is_young| Some(Needless { id: rank.id.clone(), is_young });
        let (old, new, newer) = (rank(true, 1, 1, "a"), rank(true, 2, 2, "b"), rank(true, 3, 3, "c"));
        let unsigned = rank(false, 9, 9, "d");
        assert_eq!(replace("wk1", &old, 61), None);
        assert_eq!(replace("wk2", &new, 62), None, "another account");
        assert_eq!(replace("wk1", &new, 60), needless(&old, true));
        assert_eq!(replace("wk1", &old, 62), None, "an older one replaces nothing");
        assert_eq!(replace("wk1", &newer, 62), needless(&new, false), "it may be given up at any moment");
        assert_eq!(replace("wk1", &unsigned, 62), None, "an unsigned one never replaces a signed one");
    }
}

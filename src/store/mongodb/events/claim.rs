//! Leases: which rows are due, and whose they are.
//!
//! The one decision a reader would question: rows are claimed together, by one update whose filter says
//! that they are still free. MongoDB checks it row by row, so no row gets two owners. A server that
//! does not costs a poke too many; within this process claims take turns.

use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::bson::{Bson, Document, doc};

use super::HELD;
use super::document::{LIVE, read_held, read_lease_end};
use crate::store::mongodb::MongoStore;
use crate::store::mongodb::connection::{Limit, Promise, collection};
use crate::store::mongodb::documents::{date, limit, readable, time};
use crate::store::{HeldEvent, Lease, Result};

/// Rows that are looked at together for the next due time. The first one decides, unless it is leased.
const LOOKED_AT: usize = 100;

/// Live rows that are due and that nobody works on.
fn free_at(now: Timestamp) -> Document {
    let now = date(now);
    doc! {
        "state": LIVE,
        "dueAt": { "$lte": now },
        "$or": [{ "leaseUntil": null }, { "leaseUntil": { "$lte": now } }],
    }
}

pub(super) async fn claim_due(
    store: &MongoStore,
    now: Timestamp,
    lease: &Lease,
    rows: usize,
) -> Result<Vec<HeldEvent>> {
    let _one_claims = store.claiming.lock().await;
    let filter = free_at(now);
    let find = async |db| {
        let held = collection(&db, HELD, Promise::Light);
        held.find(filter).sort(doc! { "dueAt": 1 }).limit(limit(rows)).await?.try_collect().await
    };
    let found: Vec<Document> = store.connection.run(Limit::Callback, find).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Bson> = found.iter().filter_map(|row| row.get("_id").cloned()).collect();
    let claim = format!("{:032x}", rand::random::<u128>());
    let mut filter = free_at(now);
    filter.insert("_id", doc! { "$in": &ids });
    let update = doc! { "$set": { "leaseOwner": &lease.owner, "leaseUntil": date(lease.until), "claim": &claim } };
    let take = async |db| collection(&db, HELD, Promise::Light).update_many(filter, update).await;
    let taken = store.connection.run(Limit::Background, take).await?.modified_count;
    let mine = if usize::try_from(taken) == Ok(found.len()) { found } else { of_claim(store, ids, &claim).await? };
    // A row that cannot be read stays leased, so that it is reported once a lease and blocks nobody.
    let mut claimed = readable(&mine, read_held)?;
    claimed.iter_mut().for_each(|row| row.lease = Some(lease.clone()));
    Ok(claimed)
}

/// Another replica was faster with some of them.
async fn of_claim(store: &MongoStore, ids: Vec<Bson>, claim: &str) -> Result<Vec<Document>> {
    let filter = doc! { "_id": { "$in": ids }, "claim": claim };
    let find = async |db| {
        collection(&db, HELD, Promise::Light).find(filter).sort(doc! { "dueAt": 1 }).await?.try_collect().await
    };
    store.connection.run(Limit::Background, find).await
}

/// Rows are looked at by their due time; a later one can only be free earlier than the best so far
/// while it is due earlier.
pub(super) async fn next_due(store: &MongoStore) -> Result<Option<Timestamp>> {
    let mut next: Option<Timestamp> = None;
    let mut looked_at = 0;
    loop {
        let page = by_due_time(store, looked_at).await?;
        for row in &page {
            let due = time(row, "dueAt")?;
            if next.is_some_and(|next| next <= due) {
                return Ok(next);
            }
            let free = read_lease_end(row)?.map_or(due, |until| due.max(until));
            next = Some(next.map_or(free, |next| next.min(free)));
        }
        looked_at += page.len();
        if page.len() < LOOKED_AT {
            return Ok(next);
        }
    }
}

async fn by_due_time(store: &MongoStore, skip: usize) -> Result<Vec<Document>> {
    let skip = u64::try_from(skip).unwrap_or(u64::MAX);
    let find = async |db| {
        let held = collection(&db, HELD, Promise::Light);
        let fields = doc! { "_id": 0, "dueAt": 1, "leaseUntil": 1 };
        let rows = held.find(doc! { "state": LIVE }).projection(fields).sort(doc! { "dueAt": 1 });
        rows.skip(skip).limit(limit(LOOKED_AT)).await?.try_collect().await
    };
    store.connection.run(Limit::Callback, find).await
}

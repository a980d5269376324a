//! Who sends a queue: a document a queue that is being sent, with the end of the lease.
//!
//! The one decision a reader would question: it is read back. A server whose updates are not atomic may
//! let two replicas through; then the one that wrote last leads, and the other sees it.

use jiff::Timestamp;
use mongodb::bson::doc;

use crate::domain::ServiceKey;
use crate::store::mongodb::MongoStore;
use crate::store::mongodb::connection::{Limit, Promise, collection};
use crate::store::mongodb::documents::{date, text};
use crate::store::mongodb::error::is_duplicate_key;
use crate::store::{Lease, Result};

const SENDERS: &str = "wxkf_gateway_senders";

pub(super) async fn lead(store: &MongoStore, service: &ServiceKey, lease: &Lease, now: Timestamp) -> Result<bool> {
    let queue = service.to_string();
    let free = doc! {
        "_id": &queue,
        "$or": [{ "owner": &lease.owner }, { "until": { "$lte": date(now) } }],
    };
    let update = doc! { "$set": { "owner": &lease.owner, "until": date(lease.until) } };
    let take = async |db| collection(&db, SENDERS, Promise::Light).update_one(free, update).await;
    if store.connection.run(Limit::Background, take).await?.matched_count == 0 {
        let document = doc! { "_id": &queue, "owner": &lease.owner, "until": date(lease.until) };
        let insert = async |db| match collection(&db, SENDERS, Promise::Light).insert_one(document).await {
            Err(error) if is_duplicate_key(&error) => Ok(false),
            other => other.map(|_| true),
        };
        if !store.connection.run(Limit::Background, insert).await? {
            return Ok(false);
        }
    }
    let find = async |db| collection(&db, SENDERS, Promise::Light).find_one(doc! { "_id": queue }).await;
    let found = store.connection.run(Limit::Background, find).await?;
    found.map_or(Ok(false), |found| Ok(text(&found, "owner")? == lease.owner))
}

pub(super) async fn leave(store: &MongoStore, service: &ServiceKey, owner: &str) -> Result<()> {
    let filter = doc! { "_id": service.to_string(), "owner": owner };
    let delete = async |db| collection(&db, SENDERS, Promise::Light).delete_one(filter).await;
    store.connection.run(Limit::Background, delete).await.map(drop)
}

//! What goes because there is too much of it: found page by page.

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};

use super::document::{EXPIRED, LIVE};
use super::{QUEUED, all_of};
use crate::domain::ServiceKey;
use crate::store::mongodb::MongoStore;
use crate::store::mongodb::connection::{Limit, Promise, collection};
use crate::store::mongodb::documents::{limit, number, readable, text};
use crate::store::{QueueBounds, Result};

/// Events that are looked at, and deleted, together.
const PAGE: usize = 500;

pub(super) async fn trim(store: &MongoStore, service: &ServiceKey, bounds: QueueBounds) -> Result<u64> {
    let (events, bytes) = held(store, service).await?;
    let allowed = u64::try_from(bounds.events).unwrap_or(u64::MAX);
    let (mut events, mut bytes) = (events.saturating_sub(allowed), bytes.saturating_sub(bounds.bytes));
    let mut deleted = 0;
    for state in [EXPIRED, LIVE] {
        while events > 0 || bytes > 0 {
            let page = oldest(store, service, state).await?;
            if page.is_empty() {
                break;
            }
            let mut last = "";
            for (order, size) in &page {
                if events == 0 && bytes == 0 {
                    break;
                }
                last = order;
                (events, bytes) = (events.saturating_sub(1), bytes.saturating_sub(*size));
            }
            let filter = doc! { "state": state, "queue": service.to_string(), "order": { "$lte": last } };
            let delete = async |db| collection(&db, QUEUED, Promise::Light).delete_many(filter).await;
            deleted += store.connection.run(Limit::Background, delete).await?.deleted_count;
        }
    }
    Ok(deleted)
}

/// How many events the queue holds, and how many bytes. Added up here: FerretDB sums no field.
async fn held(store: &MongoStore, service: &ServiceKey) -> Result<(u64, u64)> {
    let filter = all_of(service);
    let find = async |db| {
        let queued = collection(&db, QUEUED, Promise::Light);
        queued.find(filter).projection(doc! { "_id": 0, "length": 1 }).await?.try_collect().await
    };
    let rows: Vec<Document> = store.connection.run(Limit::Background, find).await?;
    let lengths: Vec<u64> = readable(&rows, |row| number(row, "length"))?;
    Ok((u64::try_from(lengths.len()).unwrap_or(u64::MAX), lengths.iter().sum()))
}

/// Order and size.
async fn oldest(store: &MongoStore, service: &ServiceKey, state: &str) -> Result<Vec<(String, u64)>> {
    let filter = doc! { "state": state, "queue": service.to_string() };
    let find = async |db| {
        let queued = collection(&db, QUEUED, Promise::Light);
        let rows = queued.find(filter).projection(doc! { "order": 1, "length": 1 }).sort(doc! { "order": 1 });
        rows.limit(limit(PAGE)).await?.try_collect().await
    };
    let rows: Vec<Document> = store.connection.run(Limit::Background, find).await?;
    readable(&rows, |row| Ok((text(row, "order")?.to_owned(), number(row, "length")?)))
}

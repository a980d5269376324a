//! How much the database holds. Added up here: FerretDB sums no field.

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};

use super::MongoStore;
use super::connection::{Limit, Promise, collection};
use super::documents::{flag, limit, number, time};
use super::events::HELD;
use super::puppets::PUPPETS;
use super::service_events::QUEUED;
use crate::store::{Backlog, Result, Stock};

/// Whoever has more than this of anything knows it already; counting on would cost the server.
const COUNTED: usize = 100_000;
const LIVE: &str = "live";

pub(super) async fn count(store: &MongoStore) -> Result<Stock> {
    let bots = rows(store, PUPPETS, doc! {}, doc! { "online": 1 }).await?;
    let online = bots.iter().filter(|bot| flag(bot, "online")).count();
    let mut stock = Stock { online_bots: whole(online), offline_bots: whole(bots.len() - online), ..Stock::default() };
    for held in rows(store, HELD, doc! { "state": LIVE }, doc! { "arrival": 1 }).await? {
        let arrival = number(&held, "arrival").ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        add(&mut stock.held, 0, arrival);
    }
    for queued in rows(store, QUEUED, doc! { "state": LIVE }, doc! { "length": 1, "arrivedAt": 1 }).await? {
        add(&mut stock.queued, number(&queued, "length").unwrap_or_default(), time(&queued, "arrivedAt").ok());
    }
    Ok(stock)
}

fn add(backlog: &mut Backlog, bytes: u64, arrived: Option<jiff::Timestamp>) {
    backlog.events += 1;
    backlog.bytes += bytes;
    backlog.oldest = [backlog.oldest, arrived].into_iter().flatten().min();
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

async fn rows(store: &MongoStore, name: &'static str, filter: Document, fields: Document) -> Result<Vec<Document>> {
    let find = async |db| {
        let rows = collection(&db, name, Promise::Light);
        rows.find(filter).projection(fields).limit(limit(COUNTED)).await?.try_collect().await
    };
    store.connection.run(Limit::Background, find).await
}

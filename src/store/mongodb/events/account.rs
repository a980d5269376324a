//! What concerns the rows of one account.

use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use super::document::{EXPIRED, LIVE, read_account, read_held};
use super::rank::{Rank, settled};
use super::{HELD, free};
use crate::domain::{Account, EventId};
use crate::store::mongodb::MongoStore;
use crate::store::mongodb::connection::{Limit, Promise, collection};
use crate::store::mongodb::documents::{date, readable};
use crate::store::{HeldEvent, Result, Settled};

/// Of any state; by the fields of the index.
pub(super) fn rows_of(account: &Account) -> Document {
    doc! { "state": { "$in": [LIVE, EXPIRED] }, "kf": account.kf.as_str(), "corp": account.corp.as_str() }
}

fn live_rows_of(account: &Account) -> Document {
    doc! { "state": LIVE, "kf": account.kf.as_str(), "corp": account.corp.as_str() }
}

pub(super) async fn settle(store: &MongoStore, account: &Account, by: &Settled) -> Result<u64> {
    let mut filter = rows_of(account);
    filter.insert("$or", settled(by));
    let delete = async |db| collection(&db, HELD, Promise::Light).delete_many(filter).await;
    Ok(store.connection.run(Limit::Callback, delete).await?.deleted_count)
}

pub(super) async fn newest(store: &MongoStore, account: &Account) -> Result<Option<HeldEvent>> {
    let filter = live_rows_of(account);
    let find = async |db| collection(&db, HELD, Promise::Light).find_one(filter).sort(Rank::newest_first()).await;
    store.connection.run(Limit::Callback, find).await?.as_ref().map(read_held).transpose()
}

pub(super) async fn wake(store: &MongoStore, account: &Account, at: Timestamp) -> Result<()> {
    let (filter, update) = (live_rows_of(account), doc! { "$set": { "dueAt": date(at) } });
    let wake = async |db| collection(&db, HELD, Promise::Light).update_many(filter, update).await;
    store.connection.run(Limit::Callback, wake).await.map(drop)
}

/// Three steps. After a crash between them a needless row is left, which expires by itself.
pub(super) async fn expire(store: &MongoStore, id: &EventId, at: Timestamp) -> Result<bool> {
    let filter = doc! { "_id": id.as_str(), "state": LIVE };
    let update = doc! { "$set": { "state": EXPIRED, "dueAt": date(at) }, "$unset": free() };
    let give_up = async |db| {
        let held = collection(&db, HELD, Promise::Light);
        held.find_one_and_update(filter, update).return_document(ReturnDocument::After).await
    };
    let Some(row) = store.connection.run(Limit::Callback, give_up).await? else { return Ok(false) };
    let account = read_account(&row)?;
    let mut replaced = rows_of(&account);
    replaced.insert("$or", Rank::read(&row)?.replaced());
    let delete = async |db| collection(&db, HELD, Promise::Light).delete_many(replaced).await;
    store.connection.run(Limit::Callback, delete).await?;
    keep_one_expired(store, &account).await?;
    Ok(true)
}

/// Of several expired rows the newest stays.
async fn keep_one_expired(store: &MongoStore, account: &Account) -> Result<()> {
    let filter = doc! { "state": EXPIRED, "kf": account.kf.as_str(), "corp": account.corp.as_str() };
    let find = async |db| {
        let held = collection(&db, HELD, Promise::Light);
        let rows = held.find(filter).projection(doc! { "_id": 1 }).sort(Rank::newest_first());
        rows.skip(1).await?.try_collect().await
    };
    let others: Vec<Document> = store.connection.run(Limit::Callback, find).await?;
    let ids: Vec<&Bson> = others.iter().filter_map(|row| row.get("_id")).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let filter = doc! { "_id": { "$in": ids }, "state": EXPIRED };
    let delete = async |db| collection(&db, HELD, Promise::Light).delete_many(filter).await;
    store.connection.run(Limit::Callback, delete).await.map(drop)
}

/// Deletes live rows of these accounts that a newer live one settles.
pub(super) async fn sweep(store: &MongoStore, accounts: &[Account]) -> Result<u64> {
    let of_accounts: Vec<_> = accounts.iter().map(live_rows_of).collect();
    let mut fields = Rank::fields();
    fields.extend(doc! { "kf": 1, "corp": 1 });
    let find = async |db| {
        let held = collection(&db, HELD, Promise::Light);
        held.find(doc! { "$or": of_accounts }).projection(fields).await?.try_collect().await
    };
    let documents: Vec<Document> = store.connection.run(Limit::Background, find).await?;
    let rows = readable(&documents, |row| Ok((read_account(row)?, Rank::read(row)?)))?;
    let mut needless = Vec::new();
    for account in accounts {
        let ranks: Vec<Rank> = rows.iter().filter(|(of, _)| of == account).map(|(_, rank)| rank.clone()).collect();
        needless.extend(Rank::needless(&ranks).map(|id| id.as_str().to_owned()));
    }
    if needless.is_empty() {
        return Ok(0);
    }
    let filter = doc! { "_id": { "$in": needless }, "state": LIVE };
    let delete = async |db| collection(&db, HELD, Promise::Light).delete_many(filter).await;
    Ok(store.connection.run(Limit::Background, delete).await?.deleted_count)
}

//! Lists, counts and the sweep of expired rows.

use std::collections::{BTreeSet, HashSet};

use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::bson::{Document, doc};

use super::HELD;
use super::document::{EXPIRED, LIVE, read_account, read_held, state_text};
use crate::domain::{Account, CorpId, EventId};
use crate::store::mongodb::MongoStore;
use crate::store::mongodb::connection::{Limit, Promise, collection};
use crate::store::mongodb::documents::{date, number, readable, text};
use crate::store::mongodb::list::{Direction, List};
use crate::store::mongodb::puppets::PUPPETS;
use crate::store::{HeldEvent, HeldFilter, Result};

/// Accounts, or ids, in one command.
const ASKED_AT_ONCE: usize = 1_000;

pub(super) async fn list(
    store: &MongoStore,
    filter: &HeldFilter,
    after: Option<&EventId>,
    rows: usize,
) -> Result<Vec<HeldEvent>> {
    let mut query = Document::new();
    if let Some(state) = filter.state {
        query.insert("state", state_text(state));
    }
    if let Some(corp) = &filter.corp {
        query.insert("corp", corp.as_str());
    }
    if let Some(kf) = &filter.kf {
        query.insert("kf", kf.as_str());
    }
    let wanted = List { collection: HELD, field: "_id", direction: Direction::Up, filter: query };
    wanted.page(&store.connection, after.map(EventId::as_str), rows, read_held).await
}

/// The live rows of each account, counted by the server.
async fn live_accounts(store: &MongoStore) -> Result<Vec<Document>> {
    let stages = [
        doc! { "$match": { "state": LIVE } },
        doc! { "$group": { "_id": { "kf": "$kf", "corp": "$corp" }, "rows": { "$sum": 1 } } },
    ];
    let count = async |db| collection(&db, HELD, Promise::Light).aggregate(stages).await?.try_collect().await;
    store.connection.run(Limit::Background, count).await
}

fn read_group(group: &Document) -> Result<(Account, u64)> {
    let id = group.get_document("_id").cloned().unwrap_or_default();
    Ok((read_account(&id)?, number(group, "rows")?))
}

pub(super) async fn waiting_accounts(store: &MongoStore) -> Result<Vec<Account>> {
    let groups = readable(&live_accounts(store).await?, read_group)?;
    Ok(groups.into_iter().map(|(account, _)| account).collect())
}

/// Accounts with more than one live row: only these can hold something needless.
pub(super) async fn crowded_accounts(store: &MongoStore) -> Result<Vec<Account>> {
    let groups = readable(&live_accounts(store).await?, read_group)?;
    Ok(groups.into_iter().filter(|(_, rows)| *rows > 1).map(|(account, _)| account).collect())
}

pub(super) async fn holding(store: &MongoStore, accounts: &[Account]) -> Result<Vec<Account>> {
    let mut holding = BTreeSet::new();
    for asked in accounts.chunks(ASKED_AT_ONCE) {
        let kfs: Vec<&str> = asked.iter().map(|account| account.kf.as_str()).collect();
        let filter = doc! { "state": { "$in": [LIVE, EXPIRED] }, "kf": { "$in": kfs } };
        let find = async |db| {
            let held = collection(&db, HELD, Promise::Light);
            held.find(filter).projection(doc! { "_id": 0, "kf": 1, "corp": 1 }).await?.try_collect().await
        };
        let rows: Vec<Document> = store.connection.run(Limit::Callback, find).await?;
        holding.extend(readable(&rows, read_account)?);
    }
    Ok(accounts.iter().filter(|account| holding.contains(account)).cloned().collect())
}

pub(super) async fn delete_expired(store: &MongoStore, before: Timestamp) -> Result<u64> {
    let filter = doc! { "state": EXPIRED, "dueAt": { "$lt": date(before) } };
    let delete = async |db| collection(&db, HELD, Promise::Light).delete_many(filter).await;
    Ok(store.connection.run(Limit::Background, delete).await?.deleted_count)
}

pub(super) async fn count_unknown_unsigned(store: &MongoStore, corp: &CorpId) -> Result<u64> {
    let filter = doc! { "corp": corp.as_str(), "signed": false, "state": LIVE };
    let rows = kf_ids(store, HELD, "kf", filter).await?;
    let distinct: Vec<&String> = rows.iter().collect::<HashSet<_>>().into_iter().collect();
    let mut known = HashSet::new();
    for asked in distinct.chunks(ASKED_AT_ONCE) {
        let filter = doc! { "corpId": corp.as_str(), "kfOpenId": { "$in": asked.to_vec() } };
        known.extend(kf_ids(store, PUPPETS, "kfOpenId", filter).await?);
    }
    let unknown = rows.iter().filter(|kf| !known.contains(*kf)).count();
    Ok(u64::try_from(unknown).unwrap_or(u64::MAX))
}

async fn kf_ids(store: &MongoStore, name: &'static str, field: &'static str, filter: Document) -> Result<Vec<String>> {
    let find = async |db| {
        let rows = collection(&db, name, Promise::Light);
        rows.find(filter).projection(doc! { "_id": 0, field: 1 }).await?.try_collect().await
    };
    let rows: Vec<Document> = store.connection.run(Limit::Callback, find).await?;
    readable(&rows, |row| Ok(text(row, field)?.to_owned()))
}

//! The distinct pairs of token and AES key of a corp's registrations.
//!
//! The one decision a reader would question: two ways. A small corp's bots are all read, in one
//! command. Of a large one only a bot for each pair is, because every replica asks every few seconds.

use std::collections::HashMap;

use futures::TryStreamExt as _;
use futures::future::try_join_all;
use jiff::Timestamp;
use mongodb::bson::{Document, doc};
use mongodb::options::FindOptions;

use super::MongoStore;
use super::connection::{Limit, Promise, collection};
use super::documents::{limit, optional, readable, time};
use super::puppets::{PUPPETS, read_pair};
use crate::domain::{CorpId, Fingerprint, Pair};
use crate::store::Result;
use crate::store::sealed::MasterKeys;

/// Bots that are read at once without looking for their pairs first.
const SMALL: usize = 32;
/// More pairs than this are no longer asked for one by one.
const FEW_PAIRS: usize = 16;

pub(super) async fn pairs_of(store: &MongoStore, corp: &CorpId) -> Result<Vec<Pair>> {
    let of_corp = doc! { "corpId": corp.as_str() };
    let first = find(store, of_corp.clone(), Some(SMALL + 1)).await?;
    if first.len() <= SMALL {
        return distinct(&store.keys, &first);
    }
    let documents = match representatives(store, &of_corp).await? {
        Some(documents) => documents,
        None => find(store, of_corp, None).await?,
    };
    distinct(&store.keys, &documents)
}

/// The bot of each pair that registered last, and every bot without a pair's id. `None`: there are too
/// many pairs, or one bot's secrets cannot be opened, so that another must stand for its pair.
async fn representatives(store: &MongoStore, of_corp: &Document) -> Result<Option<Vec<Document>>> {
    let filter = of_corp.clone();
    let ids = async |db| collection(&db, PUPPETS, Promise::Durable).distinct("pairId", filter).await;
    let ids = store.connection.run(Limit::Callback, ids).await?;
    let ids: Vec<&str> = ids.iter().filter_map(|id| id.as_str()).collect();
    if ids.len() > FEW_PAIRS {
        return Ok(None);
    }
    let with = |pair: Option<&str>| {
        let mut filter = of_corp.clone();
        filter.insert("pairId", pair);
        find(store, filter, pair.map(|_| 1))
    };
    let mut documents = try_join_all(ids.into_iter().map(Some).map(with)).await?.concat();
    let opens = |document: &Document| read_pair(&store.keys, document).is_ok();
    if !documents.iter().all(opens) {
        return Ok(None);
    }
    documents.extend(with(None).await?);
    Ok(Some(documents))
}

/// Those that registered last, where not all are asked for.
async fn find(store: &MongoStore, filter: Document, rows: Option<usize>) -> Result<Vec<Document>> {
    let options = FindOptions::builder()
        .projection(doc! { "kfOpenId": 1, "token": 1, "encodingAESKey": 1, "registeredAt": 1 })
        .sort(rows.map(|_| doc! { "registeredAt": -1 }))
        .limit(rows.map(limit))
        .build();
    let find = async |db| {
        let puppets = collection(&db, PUPPETS, Promise::Durable);
        puppets.find(filter).with_options(options).await?.try_collect().await
    };
    store.connection.run(Limit::Callback, find).await
}

fn distinct(keys: &MasterKeys, documents: &[Document]) -> Result<Vec<Pair>> {
    let read = |document: &Document| Ok((optional(document, "registeredAt", time)?, read_pair(keys, document)?));
    let mut latest: HashMap<Fingerprint, (Option<Timestamp>, Pair)> = HashMap::new();
    for (registered, pair) in readable(documents, read)? {
        let known = latest.entry(pair.id().clone()).or_insert((registered, pair));
        known.0 = known.0.max(registered);
    }
    let mut pairs: Vec<_> = latest.into_iter().collect();
    pairs.sort_by(|(one_id, one), (other_id, other)| other.0.cmp(&one.0).then_with(|| one_id.cmp(other_id)));
    Ok(pairs.into_iter().map(|(_, (_, pair))| pair).collect())
}

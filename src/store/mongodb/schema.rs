//! Version and indexes. Made at every start: each step changes nothing where it was done before, also
//! while other replicas do the same.
//!
//! Only indexes that every MongoDB-compatible service has: neither partial ones nor such that expire.

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::IndexOptions;

use super::connection::{Connection, Limit, Promise, collection};
use super::documents::number;
use super::events::HELD;
use super::puppets::PUPPETS;
use super::service_events::QUEUED;
use super::{newer, retried};
use crate::store::Result;

const META: &str = "wxkf_gateway_meta";
const VERSION: i64 = 1;

/// `IndexOptionsConflict` and `IndexKeySpecsConflict`: there is one of that name or those fields.
const EXISTS_OTHERWISE: [i32; 2] = [85, 86];
const DUPLICATE_KEY: i32 = 11_000;

/// Collection, fields, and whether the values are unique. No index on what changes often, but for the
/// due time.
fn indexes() -> [(&'static str, Document, bool); 9] {
    [
        // The original's own, by the name that mongoose gives it.
        (PUPPETS, doc! { "kfOpenId": 1 }, true),
        // A corp's bots and pairs, the latest registered first.
        (PUPPETS, doc! { "corpId": 1, "pairId": 1, "registeredAt": -1 }, false),
        (PUPPETS, doc! { "awaySince": 1 }, false),
        // The rows of an account, and which accounts wait.
        (HELD, doc! { "state": 1, "kf": 1, "corp": 1 }, false),
        // What is due, and expired rows by their age.
        (HELD, doc! { "state": 1, "dueAt": 1 }, false),
        // Lists of one corp, and its unsigned rows.
        (HELD, doc! { "corp": 1, "state": 1 }, false),
        // The oldest of a queue, and which queues wait.
        (QUEUED, doc! { "state": 1, "queue": 1, "order": 1 }, false),
        // One event, and lists.
        (QUEUED, doc! { "order": 1 }, false),
        // Expired events by their age.
        (QUEUED, doc! { "state": 1, "dueAt": 1 }, false),
    ]
}

/// Refuses data of a newer release before anything is changed. One index after the other: FerretDB
/// breaks off when several are asked for that are there already.
pub(super) async fn prepare(connection: &Connection) -> Result<()> {
    check_version(connection).await?;
    for (name, fields, unique) in indexes() {
        let options = IndexOptions::builder().unique(unique.then_some(true)).build();
        let index = IndexModel::builder().keys(fields).options(options).build();
        let create = async |db| match collection(&db, name, Promise::Durable).create_index(index).await {
            Err(error) if is_left_out(&error) => {
                tracing::warn!(
                    collection = name,
                    "an index could not be made: other indexes or double values are there"
                );
                Ok(())
            }
            other => other.map(drop),
        };
        connection.write(Limit::Start, create).await?;
    }
    Ok(())
}

/// The gateway works without the index, if slower; what is there was somebody's decision.
fn is_left_out(error: &Error) -> bool {
    let ErrorKind::Command(error) = &*error.kind else { return false };
    EXISTS_OTHERWISE.contains(&error.code) || error.code == DUPLICATE_KEY
}

async fn check_version(connection: &Connection) -> Result<()> {
    let find = async |db| collection(&db, META, Promise::Durable).find_one(doc! { "_id": "schema" }).await;
    match connection.run(Limit::Start, find).await? {
        Some(found) => {
            let found: i64 = number(&found, "version")?;
            if found > VERSION { Err(newer(found, VERSION)) } else { Ok(()) }
        }
        None => rewrite_version(connection).await,
    }
}

/// Changes nothing, but is written: the cheapest way to learn whether the server takes writes.
pub(super) async fn rewrite_version(connection: &Connection) -> Result<()> {
    let write = async |db| {
        let meta = collection(&db, META, Promise::Durable);
        let version = doc! { "$set": { "version": VERSION } };
        retried(|| meta.update_one(doc! { "_id": "schema" }, version.clone()).upsert(true)).await.map(drop)
    };
    connection.write(Limit::Callback, write).await
}

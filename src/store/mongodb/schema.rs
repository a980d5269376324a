//! Version and indexes. Made at every start: each step changes nothing where it was done before, also
//! while other replicas do the same.
//!
//! Only indexes that every MongoDB-compatible service has: neither partial ones nor such that expire.

use mongodb::IndexModel;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::IndexOptions;

use super::connection::{Connection, Limit, Promise, collection};
use super::documents::{damaged, number};
use super::events::HELD;
use super::puppets::PUPPETS;
use super::retried;
use crate::store::Result;

pub(super) const META: &str = "wxkf_gateway_meta";
const VERSION: i64 = 1;

/// `IndexOptionsConflict` and `IndexKeySpecsConflict`: there is one of that name or those fields.
const EXISTS_OTHERWISE: [i32; 2] = [85, 86];
const DUPLICATE_KEY: i32 = 11_000;

/// Collection, fields, and whether the values are unique. No index on what changes often, but for the
/// due time.
fn indexes() -> [(&'static str, Document, bool); 6] {
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
        (HELD, doc! { "corp": 1, "signed": 1 }, false),
    ]
}

/// Refuses data of a newer release before anything is changed.
pub(super) async fn prepare(connection: &Connection) -> Result<()> {
    let first = async |db| {
        let meta = collection(&db, META, Promise::Durable);
        let update = doc! { "$setOnInsert": { "version": VERSION } };
        let filter = doc! { "_id": "schema" };
        retried(|| meta.update_one(filter.clone(), update.clone()).upsert(true).into_future()).await
    };
    connection.write(Limit::Start, first).await?;
    let found: i64 = number(&read(connection, Limit::Start).await?, "version")?;
    if found > VERSION {
        let reason = format!("it is {found}, of a newer release; this one knows {VERSION}");
        return Err(damaged("version of schema", &reason));
    }
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

/// The document with the version; an empty one when somebody deleted it.
pub(super) async fn read(connection: &Connection, limit: Limit) -> Result<Document> {
    let find = async |db| collection(&db, META, Promise::Durable).find_one(doc! { "_id": "schema" }).await;
    Ok(connection.run(limit, find).await?.unwrap_or_default())
}

/// The smallest write: whether any can be made.
pub(super) async fn write(connection: &Connection) -> Result<()> {
    let update = doc! { "$inc": { "checks": 1_i64 } };
    let write = async |db| collection(&db, META, Promise::Durable).update_one(doc! { "_id": "schema" }, update).await;
    connection.write(Limit::Callback, write).await.map(drop)
}

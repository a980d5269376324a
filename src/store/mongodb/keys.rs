//! Which keys the values of this database need, and sealing them anew with the first one.
//!
//! The one decision a reader would question: nothing notes which keys are in use. At every start the
//! server finds the values that the first key did not seal, by where they stand in the order of texts:
//! other replicas, and the original manager, may have written some since.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use mongodb::bson::{Document, doc};

use super::connection::{Connection, Limit, Promise, collection};
use super::puppets::{PUPPETS, read_pair};
use super::sealed_fields::{ALL, Sealed, Value};
use crate::store::sealed::{MasterKeys, PLAIN};
use crate::store::{Result, StoreError};

/// Documents looked at together.
const PAGE: i64 = 1_000;
/// Documents written at once.
const AT_ONCE: usize = 16;
/// More than this are worth a word about how far the sealing is.
const PROGRESS: usize = 10_000;

/// Fails when a value needs a key that is not there; else seals with the first key what it did not seal.
pub(super) async fn prepare(connection: &Connection, keys: &MasterKeys) -> Result<()> {
    check_all(connection, keys).await?;
    for sealed in &ALL {
        let (mut pages, mut done) = (Pages::new(connection, keys, sealed), 0);
        while let Some(documents) = pages.next().await? {
            done += documents.len();
            let renewed = documents.into_iter().map(|document| renew(connection, keys, sealed, document));
            stream::iter(renewed).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
            if done % PROGRESS == 0 {
                tracing::info!(collection = sealed.name, done, "looking for secrets to seal with the first MASTER_KEY");
            }
        }
    }
    Ok(())
}

/// Fails when a value needs a key that is not there.
pub(super) async fn check_all(connection: &Connection, keys: &MasterKeys) -> Result<()> {
    for sealed in &ALL {
        let mut pages = Pages::new(connection, keys, sealed);
        while let Some(documents) = pages.next().await? {
            documents.iter().flat_map(sealed.values).try_for_each(|value| check(keys, &value))?;
        }
    }
    Ok(())
}

fn check(keys: &MasterKeys, value: &Value) -> Result<()> {
    let key_id = MasterKeys::id_of(&value.text);
    if keys.holds(key_id) {
        return Ok(());
    }
    Err(StoreError::KeyMissing { place: value.place().to_string(), key_id: key_id.to_owned() })
}

/// Values that the first key did not seal. What a key seals begins with `v1.` and its id, each with a
/// dot behind it; a slash is what comes after a dot.
fn foreign(keys: &MasterKeys, field: &str) -> Vec<Document> {
    match keys.sealing_id() {
        PLAIN => vec![doc! { field: { "$gte": "v1.", "$lt": "v1/" } }],
        id => vec![doc! { field: { "$lt": format!("v1.{id}.") } }, doc! { field: { "$gte": format!("v1.{id}/") } }],
    }
}

/// Documents that hold a value of another key than the first, and bots whose pair has no id yet.
/// Readable bots all: the original may have changed any of them without knowing of the pair's id.
fn candidates(keys: &MasterKeys, sealed: &Sealed) -> Document {
    let readable = keys.sealing_id() == PLAIN;
    if sealed.fields.is_empty() || (readable && sealed.name == PUPPETS) {
        return doc! {};
    }
    let mut any: Vec<Document> = sealed.fields.iter().flat_map(|field| foreign(keys, field)).collect();
    if sealed.name == PUPPETS {
        any.push(doc! { "pairId": null });
    }
    doc! { "$or": any }
}

/// The candidates of a collection, page by page.
struct Pages<'p> {
    connection: &'p Connection,
    name: &'static str,
    filter: Document,
}

impl<'p> Pages<'p> {
    fn new(connection: &'p Connection, keys: &MasterKeys, sealed: &Sealed) -> Self {
        Self { connection, name: sealed.name, filter: candidates(keys, sealed) }
    }

    async fn next(&mut self) -> Result<Option<Vec<Document>>> {
        let (name, filter) = (self.name, self.filter.clone());
        let find = async |db| {
            let documents = collection(&db, name, Promise::Durable);
            documents.find(filter).sort(doc! { "_id": 1 }).limit(PAGE).await?.try_collect().await
        };
        let page: Vec<Document> = self.connection.run(Limit::Start, find).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.filter.insert("_id", doc! { "$gt": last.get("_id").cloned() });
        Ok(Some(page))
    }
}

/// Seals the document's values anew, unless they changed meanwhile: then whoever changed them sealed
/// them too.
async fn renew(connection: &Connection, keys: &MasterKeys, sealed: &Sealed, document: Document) -> Result<()> {
    let Some(id) = document.get("_id") else { return Ok(()) };
    let (mut unchanged, mut set) = (doc! { "_id": id }, Document::new());
    for value in (sealed.values)(&document) {
        if MasterKeys::id_of(&value.text) == keys.sealing_id() {
            continue;
        }
        match keys.open(&value.place(), &value.text).and_then(|secret| keys.seal(&value.place(), &secret)) {
            Ok(renewed) => {
                unchanged.insert(&value.path, value.text);
                set.insert(value.path, renewed);
            }
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "a stored secret cannot be sealed anew and stays as it is");
            }
            Err(error) => return Err(error),
        }
    }
    if sealed.name == PUPPETS
        && let Ok(pair) = read_pair(keys, &document)
    {
        let pair = pair.id().as_str();
        if document.get_str("pairId").ok() != Some(pair) {
            for name in ["token", "encodingAESKey"] {
                unchanged.insert(name, document.get(name));
            }
            set.insert("pairId", pair);
        }
    }
    if set.is_empty() {
        return Ok(());
    }
    let update = doc! { "$set": set };
    let write = async |db| collection(&db, sealed.name, Promise::Durable).update_one(unchanged, update).await;
    connection.write(Limit::Start, write).await.map(drop)
}

//! What a start does to the database: its version, its indexes, and secrets sealed anew with the first
//! key. Replicas may do it at the same time, and while others run.
//!
//! The one decision a reader would question: the server finds the values that need another key than
//! the first, by where they stand in the order of texts. A start need not read a hundred thousand
//! secrets to find all well.

use futures::TryStreamExt as _;
use mongodb::IndexModel;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::IndexOptions;

use super::connection::{Connection, Limit, Promise, collection};
use super::corps::{CORPS, credential_place, credential_row, proxy_place};
use super::documents::{number, text};
use super::events::HELD;
use super::puppets::{PUPPETS, place, read_pair};
use super::tokens::TOKENS;
use super::{newer, retried};
use crate::domain::CallbackCredential;
use crate::store::Result;
use crate::store::sealed::{MasterKeys, PLAIN, Place};

const META: &str = "wxkf_gateway_meta";
/// Of the collections' shape.
const VERSION: i64 = 1;
/// Documents that are sealed anew at a time.
const AT_ONCE: i64 = 500;

pub(super) async fn prepare(connection: &Connection, keys: &MasterKeys) -> Result<()> {
    check_version(connection).await?;
    make_indexes(connection).await?;
    reseal_puppets(connection, keys).await?;
    reseal_corps(connection, keys).await?;
    reseal_tokens(connection, keys).await?;
    name_pairs(connection, keys).await
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

/// One by one: FerretDB breaks off when several are asked for that are there already.
async fn make_indexes(connection: &Connection) -> Result<()> {
    let unique = IndexOptions::builder().unique(true).build();
    // As mongoose makes and names it.
    let by_kf = IndexModel::builder().keys(doc! { "kfOpenId": 1 }).options(unique).build();
    let plain = |keys: Document| IndexModel::builder().keys(keys).build();
    let all = [
        (PUPPETS, vec![by_kf, plain(doc! { "corpId": 1, "pairId": 1 }), plain(doc! { "awaySince": 1 })]),
        (
            HELD,
            vec![
                plain(doc! { "state": 1, "kf": 1, "corp": 1 }),
                plain(doc! { "state": 1, "dueAt": 1 }),
                plain(doc! { "corp": 1, "state": 1 }),
            ],
        ),
    ];
    for (name, indexes) in all {
        for index in indexes {
            let create = async |db| collection(&db, name, Promise::Durable).create_index(index).await.map(drop);
            connection.run(Limit::Start, create).await?;
        }
    }
    Ok(())
}

/// Of values that the first key did not seal: what a key seals begins with `v1.` and its id, a dot
/// behind each, and a slash is what comes after a dot.
fn foreign(keys: &MasterKeys, field: &str) -> Vec<Document> {
    match keys.sealing_id() {
        PLAIN => vec![doc! { field: { "$gte": "v1.", "$lt": "v1/" } }],
        id => vec![doc! { field: { "$lt": format!("v1.{id}.") } }, doc! { field: { "$gte": format!("v1.{id}/") } }],
    }
}

/// The value sealed with the first key, when another one sealed it.
fn anew(keys: &MasterKeys, place: &Place<'_>, stored: &str) -> Result<Option<String>> {
    if MasterKeys::id_of(stored) == keys.sealing_id() {
        return Ok(None);
    }
    keys.seal(place, &keys.open(place, stored)?).map(Some)
}

/// Documents in which one of these fields needs another key than the first.
async fn foreign_in(
    connection: &Connection,
    keys: &MasterKeys,
    name: &'static str,
    fields: &[&str],
) -> Result<Vec<Document>> {
    let any: Vec<Document> = fields.iter().flat_map(|field| foreign(keys, field)).collect();
    let find = async |db| {
        collection(&db, name, Promise::Durable).find(doc! { "$or": any }).limit(AT_ONCE).await?.try_collect().await
    };
    connection.run(Limit::Start, find).await
}

/// Puts sealed values in the place of those that were read, unless they were changed meanwhile.
async fn replace(
    connection: &Connection,
    name: &'static str,
    id: &Bson,
    changes: &[(String, String, String)],
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let (mut filter, mut set) = (doc! { "_id": id }, Document::new());
    for (field, before, after) in changes {
        filter.insert(field, before);
        set.insert(field, after);
    }
    let update = async |db| collection(&db, name, Promise::Durable).update_one(filter, doc! { "$set": set }).await;
    connection.write(Limit::Start, update).await.map(drop)
}

fn id(document: &Document) -> Bson {
    document.get("_id").cloned().unwrap_or(Bson::Null)
}

async fn reseal_puppets(connection: &Connection, keys: &MasterKeys) -> Result<()> {
    const FIELDS: [(&str, &str); 3] =
        [("corpSecret", "corp_secret"), ("token", "token"), ("encodingAESKey", "aes_key")];
    let mut passed = 0;
    loop {
        let documents = foreign_in(connection, keys, PUPPETS, &FIELDS.map(|(field, _)| field)).await?;
        for document in &documents {
            // One without an account is nobody's, and left to whoever wrote it.
            let Ok(kf) = text(document, "kfOpenId") else { continue };
            let mut changes = Vec::new();
            for (field, bound) in FIELDS {
                let Ok(stored) = document.get_str(field) else { continue };
                if let Some(sealed) = anew(keys, &place(kf, bound), stored)? {
                    changes.push((field.to_owned(), stored.to_owned(), sealed));
                }
            }
            replace(connection, PUPPETS, &id(document), &changes).await?;
        }
        passed += documents.len();
        if is_last(&documents) {
            return Ok(());
        }
        tracing::info!(bots = passed, "sealing secrets with the first key");
    }
}

fn is_last(documents: &[Document]) -> bool {
    i64::try_from(documents.len()).is_ok_and(|count| count < AT_ONCE)
}

async fn reseal_corps(connection: &Connection, keys: &MasterKeys) -> Result<()> {
    let fields = ["wecomProxy", "credentials.token", "credentials.encodingAESKey"];
    for document in foreign_in(connection, keys, CORPS, &fields).await? {
        let corp = text(&document, "_id")?;
        let mut changes = Vec::new();
        if let Ok(stored) = document.get_str("wecomProxy")
            && let Some(sealed) = anew(keys, &proxy_place(corp), stored)?
        {
            changes.push(("wecomProxy".to_owned(), stored.to_owned(), sealed));
        }
        for (position, credential) in document.get_array("credentials").into_iter().flatten().enumerate() {
            let row = credential_row(corp, position);
            for (field, bound) in [("token", "token"), ("encodingAESKey", "aes_key")] {
                let Some(stored) = credential.as_document().and_then(|document| document.get_str(field).ok()) else {
                    continue;
                };
                if let Some(sealed) = anew(keys, &credential_place(&row, bound), stored)? {
                    changes.push((format!("credentials.{position}.{field}"), stored.to_owned(), sealed));
                }
            }
        }
        replace(connection, CORPS, &id(&document), &changes).await?;
    }
    Ok(())
}

async fn reseal_tokens(connection: &Connection, keys: &MasterKeys) -> Result<()> {
    loop {
        let documents = foreign_in(connection, keys, TOKENS, &["accessToken"]).await?;
        for document in &documents {
            let (row, stored) = (text(document, "_id")?, text(document, "accessToken")?);
            if let Some(sealed) = anew(keys, &super::tokens::place(row), stored)? {
                replace(connection, TOKENS, &id(document), &[("accessToken".to_owned(), stored.to_owned(), sealed)])
                    .await?;
            }
        }
        if is_last(&documents) {
            return Ok(());
        }
    }
}

/// The original's documents get the pair's id, by which a large corp's pairs are found.
async fn name_pairs(connection: &Connection, keys: &MasterKeys) -> Result<()> {
    let find = async |db| {
        let puppets = collection(&db, PUPPETS, Promise::Durable);
        puppets.find(doc! { "pairId": null }).await?.try_collect().await
    };
    let documents: Vec<Document> = connection.run(Limit::Start, find).await?;
    for document in documents {
        // One that cannot be read is told of when it is asked for.
        let Ok((token, aes_key)) = read_pair(keys, &document) else { continue };
        let pair = CallbackCredential::pair_id(&token, &aes_key);
        let set = doc! { "$set": { "pairId": pair.as_str() } };
        let filter = doc! { "_id": id(&document), "pairId": null };
        let update = async |db| collection(&db, PUPPETS, Promise::Light).update_one(filter, set).await;
        connection.run(Limit::Start, update).await?;
    }
    Ok(())
}

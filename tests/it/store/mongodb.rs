//! MongoDB: the suite on every server of its protocol that can be had, and what only a shared store
//! promises.

mod original;
mod outage;

use std::sync::Arc;

use mongodb::Client;
use mongodb::bson::{Document, doc};
use wxkf_gateway::domain::{Clock, Secret};
use wxkf_gateway::lifecycle::Tasks;
use wxkf_gateway::store::mongodb::MongoStore;
use wxkf_gateway::store::sealed::MasterKeys;
use wxkf_gateway::store::{Store, StoreError};

use super::conformance::{self, Opened};
use super::copy;
use super::samples::{account, corp, corp_id, full_row, kf_id, puppet, token};
use crate::harness::servers::{MongoKind, MongoServer};

/// A database of its own for each test, on a server that all share.
async fn database(kind: MongoKind) -> Secret {
    let server = MongoServer::shared(kind).await;
    Secret::new(format!("mongodb://{}/test_{:016x}", server, rand::random::<u64>()))
}

async fn open_with(uri: &Secret, keys: MasterKeys) -> Result<Arc<dyn Store>, StoreError> {
    let store = MongoStore::new(uri, keys, &Tasks::new(), Clock::default()).unwrap();
    store.prepare().await?;
    Ok(Arc::new(store))
}

fn keys(list: &[&Secret]) -> MasterKeys {
    let list: Vec<_> = list.iter().map(|key| key.expose()).collect();
    MasterKeys::parse(&Secret::new(list.join(","))).unwrap()
}

async fn seed(store: &dyn Store) {
    store.put_corp(&corp("ww1")).await.unwrap();
    store.put_puppet(&puppet("ww1", "wk1")).await.unwrap();
    store.put_token(&token("ww1", "seeded-corp-secret", 1)).await.unwrap();
    store.hold(&full_row(&account("ww1", "wk1"))).await.unwrap();
}

async fn assert_all_open(store: &dyn Store) {
    assert_eq!(store.corps().await, Ok(vec![corp("ww1")]));
    assert_eq!(store.puppets(None, 9).await, Ok(vec![puppet("ww1", "wk1")]));
    assert_eq!(store.tokens().await, Ok(vec![token("ww1", "seeded-corp-secret", 1)]));
}

/// The database without the store, as the original manager or an operator with a shell has it.
async fn raw(uri: &Secret) -> mongodb::Database {
    Client::with_uri_str(uri.expose()).await.unwrap().default_database().unwrap()
}

/// Every document of the database, as text.
async fn dump(uri: &Secret) -> String {
    use futures::TryStreamExt as _;
    let database = raw(uri).await;
    let mut dump = String::new();
    for name in database.list_collection_names().await.unwrap() {
        let documents: Vec<Document> =
            database.collection(&name).find(doc! {}).await.unwrap().try_collect().await.unwrap();
        dump += &documents.iter().map(Document::to_string).collect::<String>();
    }
    dump
}

async fn secrets_are_sealed_and_keys_change_in_two_rollouts(kind: MongoKind) {
    let uri = database(kind).await;
    let (old, new, plain) = (MasterKeys::generate(), MasterKeys::generate(), Secret::new("plain"));
    seed(&*open_with(&uri, MasterKeys::none()).await.unwrap()).await;
    assert!(dump(&uri).await.contains("seeded-"), "readable without a key");
    let refused = open_with(&uri, keys(&[&old])).await;
    assert!(matches!(refused, Err(StoreError::KeyMissing { .. })), "readable values need `plain`: {refused:?}");

    for list in [vec![&old, &plain], vec![&old], vec![&old, &new], vec![&new, &old], vec![&new]] {
        let store = open_with(&uri, keys(&list)).await.unwrap();
        assert_all_open(&*store).await;
        assert!(!dump(&uri).await.contains("seeded-"), "something is readable");
    }
    let refused = open_with(&uri, keys(&[&old])).await;
    assert!(matches!(refused, Err(StoreError::KeyMissing { .. })), "everything was sealed anew");
    let store = open_with(&uri, keys(&[&plain, &new])).await.unwrap();
    assert_all_open(&*store).await;
    assert_all_open(&*open_with(&uri, MasterKeys::none()).await.unwrap()).await;
}

async fn a_value_of_another_row_is_damaged_and_hides_no_other(kind: MongoKind) {
    let uri = database(kind).await;
    let (old, new) = (MasterKeys::generate(), MasterKeys::generate());
    let store = open_with(&uri, keys(&[&old])).await.unwrap();
    for kf in ["wk1", "wk2", "wk3"] {
        store.put_puppet(&puppet("ww1", kf)).await.unwrap();
    }
    let bots = raw(&uri).await.collection::<Document>("wxkfpuppets");
    let one = bots.find_one(doc! { "kfOpenId": "wk1" }).await.unwrap().unwrap();
    let moved = doc! { "$set": { "corpSecret": one.get("corpSecret") } };
    bots.update_one(doc! { "kfOpenId": "wk2" }, moved).await.unwrap();
    let damaged = store.puppet(&kf_id("wk2")).await.unwrap_err();
    assert!(matches!(&damaged, StoreError::Damaged { place, .. } if place == "corp_secret of puppet wk2"), "{damaged}");
    let others = vec![puppet("ww1", "wk1"), puppet("ww1", "wk3")];
    assert_eq!(store.puppets_of(&corp_id("ww1")).await, Ok(others.clone()));
    assert_eq!(store.puppets(Some(&kf_id("wk1")), 1).await, Ok(others[1..].to_vec()), "nor does it end a list");

    let changed = open_with(&uri, keys(&[&new, &old])).await.unwrap();
    assert_eq!(changed.puppets_of(&corp_id("ww1")).await, Ok(others), "nor does it stop a change of keys");
}

async fn a_copy_leads_up_and_back(kind: MongoKind) {
    use wxkf_gateway::store::sqlite::{KeySource, SqliteStore};
    // FerretDB looks at every document for each that is asked for.
    let bots = if kind == MongoKind::FerretDb { 30 } else { 700 };
    let dir = tempfile::tempdir().unwrap();
    let embedded: Arc<dyn Store> =
        Arc::new(SqliteStore::open(dir.path(), KeySource::Kept, super::samples::at(0)).unwrap());
    let shared = async || open_with(&database(kind).await, keys(&[&MasterKeys::generate()])).await.unwrap();
    copy::all_arrives_and_twice_is_as_good_as_once(embedded, shared().await, bots).await;
    let dir = tempfile::tempdir().unwrap();
    let back: Arc<dyn Store> = Arc::new(SqliteStore::open(dir.path(), KeySource::Kept, super::samples::at(0)).unwrap());
    copy::all_arrives_and_twice_is_as_good_as_once(shared().await, back, bots).await;
}

async fn a_newer_releases_database_is_left_alone(kind: MongoKind) {
    let uri = database(kind).await;
    drop(open_with(&uri, MasterKeys::none()).await.unwrap());
    let meta = raw(&uri).await.collection::<Document>("wxkf_gateway_meta");
    meta.update_one(doc! { "_id": "schema" }, doc! { "$set": { "version": 99_i64 } }).await.unwrap();
    let refused = open_with(&uri, MasterKeys::none()).await.unwrap_err();
    assert!(refused.to_string().contains("newer release"), "{refused}");
}

/// The suite and the cases, on one kind of server.
macro_rules! on {
    ($name:ident, $kind:expr, $needs:literal; $($case:ident $(of $part:ident)?),+ $(,)?) => {
        mod $name {
            use super::*;

            pub async fn open() -> Opened {
                let store = open_with(&database($kind).await, keys(&[&MasterKeys::generate()])).await.unwrap();
                Opened { store, keep: Box::new(()) }
            }

            mod conforms {
                super::super::conformance::conformance!(crate::store::mongodb::$name::open, needs $needs);
            }

            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = $needs]
            async fn $case() {
                super::$($part::)?$case($kind).await;
            })+
        }
    };
}

macro_rules! on_each {
    ($($cases:tt)+) => {
        on!(ferretdb, MongoKind::FerretDb, "needs FerretDB: tests/servers/install"; $($cases)+
            a_frozen_store_is_told_in_time_and_found_again of outage, a_store_that_starts_late_is_found of outage,
            whoever_gave_up_in_an_outage_delays_nobody_after_it of outage);
        on!(mongo_java, MongoKind::MongoJava, "needs mongo-java-server: tests/servers/install"; $($cases)+
            a_frozen_store_is_told_in_time_and_found_again of outage, a_store_that_starts_late_is_found of outage,
            whoever_gave_up_in_an_outage_delays_nobody_after_it of outage);
        // It is not ours to stop.
        on!(mongo_given, MongoKind::Given, "needs MONGO_TEST_URI"; $($cases)+);
    };
}

on_each! {
    secrets_are_sealed_and_keys_change_in_two_rollouts,
    a_value_of_another_row_is_damaged_and_hides_no_other,
    a_copy_leads_up_and_back,
    a_newer_releases_database_is_left_alone,
    its_documents_serve_at_once of original,
    the_original_can_go_on_with_what_we_write of original,
    pairs_of_a_large_corp of original,
}

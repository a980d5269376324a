//! Secrets at rest: sealed where a key is given, sealed anew when the first one changes, never in
//! the way of other replicas.

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};
use wxkf_gateway::domain::Secret;
use wxkf_gateway::store::mongodb::MongoStore;
use wxkf_gateway::store::sealed::MasterKeys;
use wxkf_gateway::store::{Corps as _, Events as _, Puppets as _, StoreError, Tokens as _};

use super::server::Kind;
use super::{keys, open_with, raw, shared};
use crate::store::samples::{account, corp, corp_id, kf_id, puppet, signed, token};

/// Every secret of the samples, as it would stand readable.
const SEEDED: [&str; 7] = [
    "seeded-corp-token",
    "seeded-proxy",
    "seeded-corp-secret",
    "seeded-bot-token",
    "seeded-access-token",
    "AAAAAAAAAAAAAAAA",
    "CCCCCCCCCCCCCCCC",
];

async fn seed(store: &MongoStore) {
    store.put_corp(&corp("ww1")).await.unwrap();
    store.put_puppet(&puppet("ww1", "wk1")).await.unwrap();
    store.put_token(&token("ww1", "seeded-corp-secret", 1)).await.unwrap();
    store.hold(&signed(&account("ww1", "wk1"), 1)).await.unwrap();
}

async fn assert_all_open(store: &MongoStore) {
    assert_eq!(store.corps().await, Ok(vec![corp("ww1")]));
    assert_eq!(store.puppets_of(&corp_id("ww1")).await, Ok(vec![puppet("ww1", "wk1")]));
    assert_eq!(store.tokens().await, Ok(vec![token("ww1", "seeded-corp-secret", 1)]));
}

/// The seeded secrets that stand readable anywhere in the database.
async fn readable(uri: &str) -> Vec<&'static str> {
    let database = raw(uri).await;
    let mut all = String::new();
    for name in database.list_collection_names().await.unwrap() {
        let documents: Vec<Document> =
            database.collection(&name).find(doc! {}).await.unwrap().try_collect().await.unwrap();
        all += &format!("{documents:?}");
    }
    assert!(all.contains("wk1"), "the search finds what is there");
    SEEDED.into_iter().filter(|secret| all.contains(secret)).collect()
}

async fn values_are_sealed_and_sealed_anew(kind: Kind) {
    let server = shared(kind).await;
    let uri = server.database();
    let (plain, old, new) = (Secret::new("plain"), MasterKeys::generate(), MasterKeys::generate());
    let first = open_with(&uri, MasterKeys::none()).await.unwrap();
    seed(&first).await;
    assert_eq!(readable(&uri).await, SEEDED);

    let missing = open_with(&uri, keys(&[&old])).await.unwrap_err();
    assert!(matches!(&missing, StoreError::KeyMissing { key_id, .. } if key_id == "plain"), "{missing}");
    assert_all_open(&open_with(&uri, keys(&[&plain, &old])).await.unwrap()).await;
    assert_eq!(readable(&uri).await, SEEDED, "the first key seals, and that is none");

    assert_all_open(&open_with(&uri, keys(&[&old, &plain])).await.unwrap()).await;
    assert_eq!(readable(&uri).await, Vec::<&str>::new());
    assert_all_open(&open_with(&uri, keys(&[&new, &old])).await.unwrap()).await;
    assert_all_open(&open_with(&uri, keys(&[&new])).await.unwrap()).await;
    let missing = open_with(&uri, keys(&[&old])).await.unwrap_err();
    assert!(
        matches!(&missing, StoreError::KeyMissing { place, .. } if place == "wecom_proxy of corp ww1"),
        "{missing}"
    );

    assert_all_open(&open_with(&uri, keys(&[&plain, &new])).await.unwrap()).await;
    assert_eq!(readable(&uri).await, SEEDED, "and back");
}

async fn a_value_of_another_row_is_damaged_and_hides_no_other(kind: Kind) {
    let server = shared(kind).await;
    let uri = server.database();
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

    let changed = open_with(&uri, keys(&[&new, &old])).await.unwrap();
    assert_eq!(changed.puppets_of(&corp_id("ww1")).await, Ok(others), "nor does it stop a change of keys");
}

async fn a_newer_release_is_left_alone(kind: Kind) {
    let server = shared(kind).await;
    let uri = server.database();
    let meta = raw(&uri).await.collection::<Document>("wxkf_gateway_meta");
    meta.insert_one(doc! { "_id": "schema", "version": 2_i64 }).await.unwrap();
    let refused = open_with(&uri, MasterKeys::none()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    assert!(refused.to_string().contains("newer release"), "{refused}");
    assert_eq!(raw(&uri).await.list_collection_names().await.unwrap(), ["wxkf_gateway_meta"]);
}

super::on_each_server! {
    values_are_sealed_and_sealed_anew,
    a_value_of_another_row_is_damaged_and_hides_no_other,
    a_newer_release_is_left_alone,
}

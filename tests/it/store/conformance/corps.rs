use std::sync::Arc;

use wxkf_gateway::store::Store;

use crate::store::samples::{at, corp, corp_id, credential};

pub async fn absence(store: &Arc<dyn Store>) {
    assert_eq!(store.corp(&corp_id("ww1")).await, Ok(None));
    assert_eq!(store.corps().await, Ok(vec![]));
}

pub async fn replaced_as_a_whole(store: &Arc<dyn Store>) {
    let first = corp("ww1");
    store.put_corp(&first).await.unwrap();
    assert_eq!(store.corp(&first.id).await, Ok(Some(first.clone())));

    let mut second = first.clone();
    second.credentials = vec![credential("third-token", 'D')];
    second.wecom_proxy = None;
    second.updated_at = at(9);
    store.put_corp(&second).await.unwrap();
    assert_eq!(store.corp(&first.id).await, Ok(Some(second)));
}

pub async fn listed_by_id(store: &Arc<dyn Store>) {
    for id in ["wwB", "wwa", "wwA", "ww-1"] {
        store.put_corp(&corp(id)).await.unwrap();
    }
    let listed = store.corps().await.unwrap();
    assert_eq!(listed, ["ww-1", "wwA", "wwB", "wwa"].map(corp), "the case of an id counts");
}

pub async fn deleted_once(store: &Arc<dyn Store>) {
    store.put_corp(&corp("ww1")).await.unwrap();
    assert_eq!(store.delete_corp(&corp_id("ww1")).await, Ok(true));
    assert_eq!(store.delete_corp(&corp_id("ww1")).await, Ok(false));
    assert_eq!(store.corp(&corp_id("ww1")).await, Ok(None));
    let mut empty = corp("ww1");
    empty.credentials.clear();
    store.put_corp(&empty).await.unwrap();
    assert_eq!(store.corp(&corp_id("ww1")).await, Ok(Some(empty)), "no credential came back");
}

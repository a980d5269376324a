use std::sync::Arc;

use wxkf_gateway::store::Store;

use crate::store::samples::token;

pub async fn absence(store: &Arc<dyn Store>) {
    assert_eq!(store.token(&token("ww1", "s", 1).app).await, Ok(None));
    assert_eq!(store.tokens().await, Ok(vec![]));
}

pub async fn the_later_fetched_stays(store: &Arc<dyn Store>) {
    let (early, late) = (token("ww1", "s", 10), token("ww1", "s", 11));
    store.put_token(&early).await.unwrap();
    assert_eq!(store.token(&early.app).await, Ok(Some(early.clone())));
    store.put_token(&late).await.unwrap();
    store.put_token(&early).await.unwrap();
    assert_eq!(store.token(&early.app).await, Ok(Some(late.clone())));

    let mut same_time = late.clone();
    same_time.renewed_to_same = !late.renewed_to_same;
    store.put_token(&same_time).await.unwrap();
    assert_eq!(store.token(&early.app).await, Ok(Some(same_time)), "fetched no later: replaced");
}

pub async fn listed_by_app(store: &Arc<dyn Store>) {
    let mut all = vec![token("ww2", "a", 1), token("ww1", "b", 2), token("ww1", "c", 3)];
    for token in &all {
        store.put_token(token).await.unwrap();
    }
    all.sort_by(|one, other| one.app.cmp(&other.app));
    assert_eq!(store.tokens().await, Ok(all));
}

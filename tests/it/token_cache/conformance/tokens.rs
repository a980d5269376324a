//! Tokens: the later one stands, on every replica.

use std::time::Duration;

use wxkf_gateway::domain::Secret;
use wxkf_gateway::store::StoredToken;

use super::super::samples::{app, corp, token};
use super::Opened;

pub(in super::super) async fn absence(cache: &Opened) {
    let app = app("ww1", "s");
    assert_eq!((cache.one.get(&app).await, cache.one.recall(&app).await, cache.one.known(&app)), (None, None, None));
    assert_eq!(cache.one.owner(&Secret::new("T")).await, None);
    assert!(!cache.one.corp_obtained(&corp("ww1")).await);
    assert_eq!(cache.one.all().await, []);
    assert_eq!(cache.one.agreement().failure(&app), None);
    assert_eq!((cache.one.load().await, cache.one.check().await), (Ok(()), Ok(())));
}

pub(in super::super) async fn every_field_comes_back(cache: &Opened) {
    let app = app("ww1", "s");
    for same in [false, true] {
        let corp_secret = same.then(|| Secret::new("s"));
        let put =
            StoredToken { renewed_to_same: same, corp_secret, ..token(&app, "a token +/\u{e9}", i64::from(same)) };
        assert_eq!(*cache.one.put(put.clone()).await, put);
        assert_eq!(*cache.other.recall(&app).await.unwrap(), put);
        assert_eq!(*cache.other.known(&app).unwrap(), put);
        assert_eq!(*cache.one.get(&app).await.unwrap(), put);
    }
}

pub(in super::super) async fn the_later_fetched_stands(cache: &Opened) {
    let app = app("ww1", "s");
    let later = token(&app, "later", 200);
    cache.one.put(later.clone()).await;
    for replica in [&cache.other, &cache.one] {
        let put = replica.put(token(&app, "earlier", 100)).await;
        for stands in [put, replica.get(&app).await.unwrap(), replica.recall(&app).await.unwrap()] {
            // What it knows of the earlier one besides is asked for below.
            assert_eq!(StoredToken { superseded: Vec::new(), ..StoredToken::clone(&stands) }, later);
        }
        assert_eq!(replica.owner(&Secret::new("earlier")).await, Some(app.clone()));
    }
}

pub(in super::super) async fn another_replicas_token_is_seen(cache: &Opened) {
    let app = app("ww1", "s");
    cache.one.put(token(&app, "first", 0)).await;
    assert_eq!(cache.other.get(&app).await.unwrap().access_token, Secret::new("first"));
    cache.one.put(token(&app, "second", 1)).await;
    assert_eq!(cache.other.recall(&app).await.unwrap().access_token, Secret::new("second"), "at once when it is asked");
    cache.one.put(token(&app, "third", 2)).await;
    cache.clock.advance(Duration::from_secs(5));
    assert_eq!(cache.other.get(&app).await.unwrap().access_token, Secret::new("third"), "within five seconds");
}

pub(in super::super) async fn an_expired_token_is_still_known(cache: &Opened) {
    let app = app("ww1", "s");
    let expired = token(&app, "expired", -9000);
    cache.one.put(expired.clone()).await;
    assert_eq!(*cache.other.recall(&app).await.unwrap(), expired, "the pair was good once");
}

pub(in super::super) async fn owners_are_known_for_two_hours_more(cache: &Opened) {
    let app = app("ww1", "s");
    cache.one.put(token(&app, "first", 0)).await;
    cache.clock.advance(Duration::from_secs(60));
    cache.one.put(token(&app, "second", 60)).await;
    for text in ["first", "second"] {
        assert_eq!(cache.other.owner(&Secret::new(text)).await, Some(app.clone()), "{text}");
        assert_eq!(cache.one.owner(&Secret::new(text)).await, Some(app.clone()), "{text}");
    }
    cache.clock.advance(Duration::from_secs(7200));
    for replica in [&cache.one, &cache.other] {
        assert_eq!(replica.owner(&Secret::new("first")).await, None);
        assert_eq!(replica.owner(&Secret::new("second")).await, Some(app.clone()));
    }
    cache.clock.advance(Duration::from_secs(7200));
    assert_eq!(cache.other.owner(&Secret::new("second")).await, None);
}

pub(in super::super) async fn a_corp_has_obtained_one(cache: &Opened) {
    cache.one.put(token(&app("ww1", "s"), "T", 0)).await;
    assert!(cache.one.corp_obtained(&corp("ww1")).await && cache.other.corp_obtained(&corp("ww1")).await);
    assert!(!cache.other.corp_obtained(&corp("ww2")).await);
}

pub(in super::super) async fn all_are_listed(cache: &Opened) {
    for name in ["ww1", "ww2", "ww3"] {
        cache.one.put(token(&app(name, "s"), "T", 0)).await;
    }
    let mut listed: Vec<_> = cache.other.all().await.iter().map(|token| token.app.clone()).collect();
    listed.sort();
    assert_eq!(listed, ["ww1", "ww2", "ww3"].map(|name| app(name, "s")));
}

//! The budget of refusals: the same for any number of replicas.

use std::time::Duration;

use wxkf_gateway::access_token::Standing::{Known, Unknown};
use wxkf_gateway::access_token::{Standing, TokenCache};

use super::super::samples::asker;
use super::Opened;

async fn refuse(replica: &dyn TokenCache, corp: &str, standing: Standing) -> bool {
    match replica.agreement().take_place(asker(corp, standing)).await {
        Some(place) => {
            replica.agreement().use_up(place).await;
            true
        }
        None => false,
    }
}

/// The replica that has its turn.
fn turns(cache: &Opened, number: usize) -> &dyn TokenCache {
    if number.is_multiple_of(2) { &*cache.one } else { &*cache.other }
}

pub(in super::super) async fn a_corp_has_twenty_an_hour(cache: &Opened) {
    for number in 0..20 {
        assert!(refuse(turns(cache, number), "ww1", Known).await, "{number}");
        cache.clock.advance(Duration::from_secs(1));
    }
    for replica in [&cache.one, &cache.other] {
        assert!(!refuse(&**replica, "ww1", Known).await);
    }
    assert!(refuse(&*cache.other, "ww2", Known).await, "another corp has its own");
    cache.clock.advance(Duration::from_secs(3600 - 20));
    assert!(refuse(&*cache.other, "ww1", Known).await, "the oldest is an hour old");
}

pub(in super::super) async fn unknown_corps_share_a_hundred(cache: &Opened) {
    for number in 0..100 {
        assert!(refuse(turns(cache, number), &format!("made-up-{number}"), Unknown).await, "{number}");
    }
    assert!(!refuse(&*cache.one, "made-up", Unknown).await);
    assert!(refuse(&*cache.other, "ww1", Known).await, "known ones do not share it");
}

pub(in super::super) async fn five_hundred_in_all(cache: &Opened) {
    for number in 0..500 {
        assert!(refuse(turns(cache, number), &format!("ww{number}"), Known).await, "{number}");
    }
    for replica in [&cache.one, &cache.other] {
        assert!(!refuse(&**replica, "ww1000", Known).await);
    }
}

pub(in super::super) async fn what_is_given_back_is_free(cache: &Opened) {
    for number in 0..30 {
        let replica = turns(cache, number);
        let place = replica.agreement().take_place(asker("ww1", Unknown)).await.unwrap();
        replica.agreement().give_back(place).await;
    }
}

pub(in super::super) async fn open_answers_are_waited_for(cache: &Opened) {
    let mut open = Vec::new();
    for number in 0..20 {
        open.push(turns(cache, number).agreement().take_place(asker("ww1", Known)).await.unwrap());
    }
    let late = cache.one.agreement().take_place(asker("ww1", Known));
    let end = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        // The last one is the other replica's.
        let place = open.pop().unwrap();
        cache.other.agreement().give_back(place).await;
    };
    let (late, ()) = tokio::join!(late, end);
    cache.one.agreement().use_up(late.unwrap()).await;
    for place in open {
        cache.one.agreement().use_up(place).await;
    }
    assert!(!refuse(&*cache.other, "ww1", Known).await);
}

use std::sync::Arc;

use wxkf_gateway::domain::{CorpId, Pair, Secret};
use wxkf_gateway::store::Store;

use crate::store::samples::{aes_key, at, corp_id, kf_id, puppet};

pub async fn absence(store: &Arc<dyn Store>) {
    let kf = kf_id("wk1");
    assert_eq!(store.puppet(&kf).await, Ok(None));
    assert_eq!(store.puppets_of(&corp_id("ww1")).await, Ok(vec![]));
    assert_eq!(store.puppets(None, 10).await, Ok(vec![]));
    assert_eq!(store.pairs_of(&corp_id("ww1")).await, Ok(vec![]));
    assert_eq!(store.set_offline(&kf, at(1)).await, Ok(false));
    assert_eq!(store.set_away(&kf, None, Some(at(1))).await, Ok(false));
}

pub async fn replaced_as_a_whole(store: &Arc<dyn Store>) {
    let mut bot = puppet("ww1", "wk1");
    bot.away_since = Some(at(3));
    store.put_puppet(&bot).await.unwrap();
    assert_eq!(store.puppet(&bot.kf_id).await, Ok(Some(bot.clone())));

    bot.registered_at = None;
    bot.last_online_at = None;
    bot.away_since = None;
    bot.online = false;
    bot.pair = Pair::new(Secret::new(""), bot.pair.aes_key().clone());
    store.put_puppet(&bot).await.unwrap();
    assert_eq!(store.puppet(&bot.kf_id).await, Ok(Some(bot)));
}

pub async fn one_registration_a_kf(store: &Arc<dyn Store>) {
    store.put_puppet(&puppet("ww1", "wk1")).await.unwrap();
    let taken = puppet("ww2", "wk1");
    store.put_puppet(&taken).await.unwrap();
    assert_eq!(store.puppet(&taken.kf_id).await, Ok(Some(taken.clone())));
    assert_eq!(store.puppets_of(&corp_id("ww1")).await, Ok(vec![]));
    assert_eq!(store.pairs_of(&corp_id("ww1")).await, Ok(vec![]));
    assert_eq!(store.puppets_of(&corp_id("ww2")).await, Ok(vec![taken]));
}

pub async fn paged_by_kf(store: &Arc<dyn Store>) {
    for kf in ["wk3", "wk1", "wK9", "wk2"] {
        store.put_puppet(&puppet(if kf == "wk2" { "ww2" } else { "ww1" }, kf)).await.unwrap();
    }
    let first = store.puppets(None, 3).await.unwrap();
    assert_eq!(first, [puppet("ww1", "wK9"), puppet("ww1", "wk1"), puppet("ww2", "wk2")]);
    assert_eq!(store.puppets(Some(&kf_id("wk2")), 3).await, Ok(vec![puppet("ww1", "wk3")]));
    assert_eq!(store.puppets(Some(&kf_id("wk0")), 1).await, Ok(vec![puppet("ww1", "wk1")]), "`after` need not exist");
    let of_corp = store.puppets_of(&corp_id("ww1")).await.unwrap();
    assert_eq!(of_corp, ["wK9", "wk1", "wk3"].map(|kf| puppet("ww1", kf)));
}

async fn pairs(store: &Arc<dyn Store>, corp: &CorpId) -> Vec<String> {
    let pairs = store.pairs_of(corp).await.unwrap();
    pairs.iter().map(|pair| format!("{} {}", pair.token().expose(), &pair.aes_key().text().expose()[..1])).collect()
}

pub async fn pairs_are_distinct_latest_first(store: &Arc<dyn Store>) {
    let bots = [
        ("wk1", "t1", 'A', Some(5)),
        ("wk2", "t2", 'A', Some(9)),
        ("wk3", "t1", 'A', Some(7)),
        ("wk4", "t1", 'B', None),
    ];
    for (kf, token, letter, registered) in bots {
        let mut bot = puppet("ww1", kf);
        (bot.pair, bot.registered_at) = (Pair::new(Secret::new(token), aes_key(letter)), registered.map(at));
        store.put_puppet(&bot).await.unwrap();
    }
    store.put_puppet(&puppet("ww2", "wk9")).await.unwrap();
    assert_eq!(pairs(store, &corp_id("ww1")).await, ["t2 A", "t1 A", "t1 B"]);

    store.set_offline(&kf_id("wk2"), at(10)).await.unwrap();
    assert_eq!(pairs(store, &corp_id("ww1")).await.len(), 3, "deregistered bots count");
    store.delete_puppet(&kf_id("wk3")).await.unwrap();
    assert_eq!(pairs(store, &corp_id("ww1")).await, ["t2 A", "t1 A", "t1 B"], "another bot has the pair");
    store.delete_puppet(&kf_id("wk2")).await.unwrap();
    assert_eq!(pairs(store, &corp_id("ww1")).await, ["t1 A", "t1 B"]);
}

pub async fn offline_keeps_the_rest(store: &Arc<dyn Store>) {
    let mut bot = puppet("ww1", "wk1");
    bot.away_since = Some(at(3));
    store.put_puppet(&bot).await.unwrap();
    assert_eq!(store.set_offline(&bot.kf_id, at(20)).await, Ok(true));
    bot.online = false;
    bot.last_online_at = Some(at(20));
    assert_eq!(store.puppet(&bot.kf_id).await, Ok(Some(bot.clone())));
    assert_eq!(store.set_offline(&bot.kf_id, at(21)).await, Ok(true), "offline or not, it is known");
}

pub async fn away_for_the_registration_that_was_seen(store: &Arc<dyn Store>) {
    let mut bot = puppet("ww1", "wk1");
    store.put_puppet(&bot).await.unwrap();
    for other in [None, Some(at(0)), Some(at(2))] {
        assert_eq!(store.set_away(&bot.kf_id, other, Some(at(5))).await, Ok(false));
    }
    assert_eq!(store.puppet(&bot.kf_id).await, Ok(Some(bot.clone())));
    assert_eq!(store.set_away(&bot.kf_id, Some(at(1)), Some(at(5))).await, Ok(true));
    bot.away_since = Some(at(5));
    assert_eq!(store.puppet(&bot.kf_id).await, Ok(Some(bot.clone())));
    assert_eq!(store.set_away(&bot.kf_id, Some(at(1)), None).await, Ok(true));
    bot.away_since = None;
    assert_eq!(store.puppet(&bot.kf_id).await, Ok(Some(bot.clone())));

    bot.registered_at = None;
    store.put_puppet(&bot).await.unwrap();
    assert_eq!(store.set_away(&bot.kf_id, Some(at(1)), Some(at(5))).await, Ok(false));
    assert_eq!(store.set_away(&bot.kf_id, None, Some(at(5))).await, Ok(true), "of the original manager");
}

pub async fn only_online_bots_are_listed_as_away(store: &Arc<dyn Store>) {
    let mut away = puppet("ww1", "wk1");
    away.away_since = Some(at(3));
    let mut offline = puppet("ww1", "wk2");
    (offline.away_since, offline.online) = (Some(at(3)), false);
    for bot in [&away, &offline, &puppet("ww1", "wk3")] {
        store.put_puppet(bot).await.unwrap();
    }
    assert_eq!(store.away_puppets().await, Ok(vec![away.clone()]));
    store.set_away(&away.kf_id, away.registered_at, None).await.unwrap();
    assert_eq!(store.away_puppets().await, Ok(vec![]));
}

pub async fn deleted_once(store: &Arc<dyn Store>) {
    store.put_puppet(&puppet("ww1", "wk1")).await.unwrap();
    assert_eq!(store.delete_puppet(&kf_id("wk1")).await, Ok(true));
    assert_eq!(store.delete_puppet(&kf_id("wk1")).await, Ok(false));
    assert_eq!(store.puppet(&kf_id("wk1")).await, Ok(None));
}

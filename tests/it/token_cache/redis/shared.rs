//! Two replicas over one Redis: turns, and what lies there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use wxkf_gateway::access_token::Standing::Unknown;
use wxkf_gateway::access_token::{Company, TokenError};
use wxkf_gateway::domain::Secret;
use wxkf_gateway::store::sealed::MasterKeys;

use super::super::samples::{app, asker, clock, failure, refused, token};
use super::{cache, sealed_cache};
use crate::admin::until;
use crate::harness::servers::RedisServer;

#[tokio::test]
#[ignore = "needs redis-server"]
async fn one_replica_has_the_turn() {
    let (server, clock) = (RedisServer::start().await.unwrap(), clock());
    let (one, other) = (cache(&server.url(), &clock), cache(&server.url(), &clock));
    let app = app("ww1", "s");
    let turn = one.agreement().begin(&app).await;
    assert_eq!(turn.company(), Company::Replicas);
    let end = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        one.agreement().end(&app, turn).await;
        Instant::now()
    };
    let next = async {
        let turn = other.agreement().begin(&app).await;
        (turn, Instant::now())
    };
    let (ended, (turn, began)) = tokio::join!(end, next);
    assert!(began + Duration::from_millis(50) > ended && began < ended + Duration::from_millis(500));
    assert_eq!(turn.company(), Company::Replicas);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_turn_that_lapsed_ends_no_other() {
    let (server, clock) = (RedisServer::start().await.unwrap(), clock());
    let (one, other) = (cache(&server.url(), &clock), cache(&server.url(), &clock));
    let app = app("ww1", "s");
    let lapsing = one.agreement().begin(&app).await;
    let began = Instant::now();
    let next = other.agreement().begin(&app).await;
    assert!((Duration::from_secs(9)..Duration::from_secs(11)).contains(&began.elapsed()));
    one.agreement().end(&app, lapsing).await;
    let turns: Vec<String> = server.ask("KEYS *:turn").await;
    assert_eq!(turns.len(), 1);
    other.agreement().end(&app, next).await;
    let turns: Vec<String> = server.ask("KEYS *:turn").await;
    assert_eq!(turns.len(), 0);
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_place_of_a_dead_process_frees_itself() {
    let (server, clock) = (RedisServer::start().await.unwrap(), clock());
    let (one, other) = (cache(&server.url(), &clock), cache(&server.url(), &clock));
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(one.agreement().take_place(asker("ww1", Unknown)).await.unwrap());
    }
    drop(one);
    clock.advance(Duration::from_secs(60));
    assert!(other.agreement().take_place(asker("ww1", Unknown)).await.is_some());
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn an_outage_is_every_replicas_own() {
    let (server, clock) = (RedisServer::start().await.unwrap(), clock());
    let (one, other) = (cache(&server.url(), &clock), cache(&server.url(), &clock));
    let app = app("ww1", "s");
    let outage = failure(TokenError::Unavailable("down".into()), &clock);
    one.agreement().remember(&app, outage.clone()).await;
    for replica in [&one, &other] {
        replica.recall(&app).await;
    }
    assert_eq!((one.agreement().failure(&app), other.agreement().failure(&app)), (Some(outage), None));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn everything_has_the_prefix_and_an_expiry_and_nothing_is_secret() {
    let (server, clock) = (RedisServer::start().await.unwrap(), clock());
    let keys = MasterKeys::parse(&MasterKeys::generate()).unwrap();
    let cache = sealed_cache(&server.url(), keys, &clock);
    let good = app("ww1", "S3CR3T");
    cache.put(token(&good, "T0K3N", 0)).await;
    cache.put(token(&good, "T0K3N-2", 1)).await;
    let wrong = app("ww2", "S3CR3T-2");
    cache.agreement().remember(&wrong, failure(refused(40001), &clock)).await;
    for _ in 0..2 {
        let place = cache.agreement().take_place(asker("ww2", Unknown)).await.unwrap();
        cache.agreement().use_up(place).await;
    }
    let _open = cache.agreement().take_place(asker("ww2", Unknown)).await.unwrap();
    let _turn = cache.agreement().begin(&good).await;
    cache.agreement().begin_forced(&good).await;
    cache.check().await.unwrap();

    let names: Vec<String> = server.ask("KEYS *").await;
    assert!(names.len() >= 10, "{names:?}");
    for name in &names {
        assert!(name.starts_with("wxkf-gateway:"), "{name}");
        assert!(server.ask::<i64>(&format!("PTTL {name}")).await > 0, "{name}");
        let shown = match server.ask::<String>(&format!("TYPE {name}")).await.as_str() {
            "hash" => format!("{:?}", server.ask::<HashMap<String, String>>(&format!("HGETALL {name}")).await),
            "zset" => format!("{:?}", server.ask::<Vec<String>>(&format!("ZRANGE {name} 0 -1")).await),
            _ => server.ask::<String>(&format!("GET {name}")).await,
        };
        assert!(!shown.contains("S3CR3T") && !shown.contains("T0K3N"), "{name}: {shown}");
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_token_of_a_key_that_is_not_given_is_absent_and_told_of() {
    let (server, clock) = (RedisServer::start().await.unwrap(), clock());
    let [old, new] = [(); 2].map(|()| MasterKeys::parse(&MasterKeys::generate()).unwrap());
    let one = sealed_cache(&server.url(), old, &clock);
    let other = sealed_cache(&server.url(), new, &clock);
    let app = app("ww1", "s");
    one.put(token(&app, "first", 0)).await;
    assert_eq!(other.get(&app).await, None);
    assert!(other.check().await.unwrap_err().contains("does not open"));
    // Its own, fetched later, goes there; the first replica keeps what it read last.
    other.put(token(&app, "second", 1)).await;
    assert_eq!(other.recall(&app).await.unwrap().access_token, Secret::new("second"));
    assert_eq!(one.recall(&app).await.unwrap().access_token, Secret::new("first"));
    assert!(one.check().await.is_err());
    assert_eq!(other.recall(&app).await.unwrap().access_token, Secret::new("second"), "nothing earlier displaces it");
    clock.advance(Duration::from_secs(60));
    assert_eq!(other.check().await, Ok(()));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_damaged_row_hides_no_other() {
    let (server, clock) = (RedisServer::start().await.unwrap(), clock());
    let (one, other) = (cache(&server.url(), &clock), cache(&server.url(), &clock));
    let [whole, damaged] = ["ww1", "ww2"].map(|name| app(name, "s"));
    for app in [&whole, &damaged] {
        one.put(token(app, "T", 0)).await;
    }
    let key = format!("wxkf-gateway:{{ww2/{}}}:token", damaged.secret);
    server.ask::<()>(&format!("HSET {key} fetched_at yesterday")).await;
    until(async || {
        assert_eq!(other.recall(&damaged).await, None);
        other.check().await.is_err_and(|fault| fault.contains("does not open"))
    })
    .await;
    assert_eq!(other.all().await.len(), 1);
    assert!(other.recall(&whole).await.is_some());
    other.put(token(&damaged, "T2", 1)).await;
    assert_eq!(one.recall(&damaged).await.unwrap().access_token, Secret::new("T2"));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_redis_that_takes_no_writes_is_told_of() {
    let server = RedisServer::start_with(&["--maxmemory", "1"]).await.unwrap();
    let cache = cache(&server.url(), &clock());
    let fault = cache.check().await.unwrap_err();
    assert!(fault.contains("OOM"), "{fault}");
    let app = app("ww1", "s");
    cache.put(token(&app, "T", 0)).await;
    assert!(cache.get(&app).await.is_some());
    server.ask::<()>("CONFIG SET maxmemory 0").await;
    until(async || cache.check().await.is_ok()).await;
    let other = super::cache(&server.url(), &clock());
    until(async || other.recall(&app).await.is_some()).await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn tokens_are_sealed_anew_at_the_start() {
    let (server, clock) = (RedisServer::start().await.unwrap(), clock());
    let [old, new] = [(); 2].map(|()| MasterKeys::generate());
    let keys = |list: &[&Secret]| {
        let list: Vec<_> = list.iter().map(|key| key.expose()).collect();
        MasterKeys::parse(&Secret::new(list.join(","))).unwrap()
    };
    let app = app("ww1", "s");
    sealed_cache(&server.url(), keys(&[&old]), &clock).put(token(&app, "T", 0)).await;
    sealed_cache(&server.url(), keys(&[&new, &old]), &clock).load().await.unwrap();
    let last = sealed_cache(&server.url(), keys(&[&new]), &clock);
    assert_eq!(*last.recall(&app).await.unwrap(), token(&app, "T", 0));
}

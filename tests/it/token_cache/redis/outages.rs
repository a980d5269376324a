//! Redis killed, frozen, emptied, cut off and silent: tokens are served, nobody waits, and the later
//! token wins when it is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wxkf_gateway::access_token::{Company, TokenCache};
use wxkf_gateway::domain::{AppKey, Secret};

use super::super::samples::{app, clock, token};
use super::cache;
use crate::admin::until;
use crate::harness::servers::{RedisServer, Relay};

/// What Redis may cost one request, and the machine's own delays.
const ONE_WAIT: Duration = Duration::from_millis(350);

async fn has(cache: &Arc<dyn TokenCache>, app: &AppKey, text: &str) -> bool {
    cache.recall(app).await.is_some_and(|token| token.access_token == Secret::new(text))
}

/// Reads the token a hundred times; all of it costs one wait.
async fn is_served(cache: &Arc<dyn TokenCache>, app: &AppKey, text: &str) {
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(cache.get(app).await.unwrap().access_token, Secret::new(text));
    }
    assert!(began.elapsed() < ONE_WAIT, "{:?}", began.elapsed());
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn killed_and_restarted_empty() {
    let (mut server, clock, app) = (RedisServer::start().await.unwrap(), clock(), app("ww1", "s"));
    let [one, other] = [(); 2].map(|()| cache(&server.url(), &clock));
    one.put(token(&app, "T", 0)).await;
    server.kill().await;
    clock.advance(Duration::from_secs(5));
    is_served(&one, &app, "T").await;
    assert!(one.check().await.is_err());
    assert_eq!(one.agreement().begin(&app).await.company(), Company::Nobody);
    assert_eq!(other.get(&app).await, None);
    server.start_again().await;
    // Whoever uses the token puts it back for the others.
    until(async || {
        one.recall(&app).await;
        has(&other, &app, "T").await
    })
    .await;
    assert_eq!(one.check().await, Ok(()));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn restarted_between_two_requests() {
    let (mut server, clock, app) = (RedisServer::start().await.unwrap(), clock(), app("ww1", "s"));
    let cache = cache(&server.url(), &clock);
    cache.put(token(&app, "T", 0)).await;
    server.kill().await;
    server.start_again().await;
    assert_eq!(cache.agreement().begin(&app).await.company(), Company::Replicas, "nobody notices");
    assert_eq!(cache.check().await, Ok(()));
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn frozen() {
    let (server, clock, app) = (RedisServer::start().await.unwrap(), clock(), app("ww1", "s"));
    let cache = cache(&server.url(), &clock);
    cache.put(token(&app, "T", 0)).await;
    server.freeze();
    clock.advance(Duration::from_secs(5));
    is_served(&cache, &app, "T").await;
    let began = Instant::now();
    let callers = (0..100).map(|_| cache.get(&app));
    assert!(futures::future::join_all(callers).await.iter().all(Option::is_some));
    assert!(began.elapsed() < ONE_WAIT);
    server.thaw();
    until(async || cache.check().await.is_ok()).await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn the_later_token_wins_when_it_is_back() {
    let (mut server, clock, app) = (RedisServer::start().await.unwrap(), clock(), app("ww1", "s"));
    let [one, other] = [(); 2].map(|()| cache(&server.url(), &clock));
    server.kill().await;
    for (cache, text, after) in [(&one, "earlier", 0), (&other, "later", 1)] {
        let began = Instant::now();
        cache.put(token(&app, text, after)).await;
        assert!(began.elapsed() < ONE_WAIT);
        is_served(cache, &app, text).await;
    }
    server.start_again().await;
    until(async || has(&one, &app, "later").await && has(&other, &app, "later").await).await;
    let stored: Vec<String> = server.ask(&format!("HVALS wxkf-gateway:{{ww1/{}}}:token", app.secret)).await;
    assert!(stored.contains(&"later".to_owned()), "{stored:?}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn away_at_the_start() {
    let (mut server, clock, app) = (RedisServer::start().await.unwrap(), clock(), app("ww1", "s"));
    server.kill().await;
    let cache = cache(&server.url(), &clock);
    assert_eq!(cache.get(&app).await, None);
    assert!(cache.check().await.is_err());
    cache.put(token(&app, "T", 0)).await;
    server.start_again().await;
    until(async || server.ask::<Vec<String>>("KEYS *:token").await.len() == 1).await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn cut_off_and_half_open() {
    let (server, clock, app) = (RedisServer::start().await.unwrap(), clock(), app("ww1", "s"));
    let relay = Relay::start(server.address()).await;
    let cache = cache(&Secret::new(format!("redis://{}", relay.address())), &clock);
    cache.put(token(&app, "T", 0)).await;
    for fault in [Relay::cut, Relay::hang] {
        fault(&relay);
        clock.advance(Duration::from_secs(5));
        // The connection is noticed to be cut some milliseconds later.
        tokio::time::sleep(Duration::from_millis(50)).await;
        is_served(&cache, &app, "T").await;
        assert!(cache.check().await.is_err());
        relay.mend();
        // The connections that fell silent stay so: new ones are needed.
        until(async || cache.check().await.is_ok()).await;
        assert_eq!(cache.agreement().begin(&app).await.company(), Company::Replicas);
        server.ask::<()>("FLUSHALL").await;
    }
}

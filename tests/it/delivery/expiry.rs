//! Events that got too old.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{Manner, World, eventually};

async fn expired(world: &World, kf: &str) -> String {
    assert!(eventually(Duration::from_secs(10), async || !world.deliveries("expired", kf).await.is_empty()).await);
    assert!(world.deliveries("live", kf).await.is_empty());
    world.deliveries("expired", kf).await[0]["id"].as_str().unwrap().to_owned()
}

async fn redeliver(world: &World, id: &str) {
    let path = format!("/deliveries/{id}/redeliver");
    assert_eq!(world.gateway.admin(Method::POST, &path).send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn are_kept_for_the_operator_whose_redelivery_goes_without_the_dead_token() {
    let world = World::start(&[("EVENT_TTL", "2s")]).await;
    assert_eq!(world.poke("wk1", "dead").await, 200);
    let id = expired(&world, "wk1").await;
    world.register("wk1").await;
    assert_eq!(world.poke("wk2", "t").await, 200);
    assert!(eventually(Duration::from_secs(5), async || !world.deliveries("expired", "wk2").await.is_empty()).await);
    assert!(world.bots.sent("wk1").is_empty(), "not sent at the registration");

    redeliver(&world, &id).await;
    world.settles("wk1").await;
    let [sent] = &world.bots.sent("wk1")[..] else { panic!("one poke") };
    assert_eq!(sent.path, "callback/decrypted");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&sent.body).unwrap(), json!({ "openKfId": "wk1" }));
}

#[tokio::test]
async fn go_at_most_once_a_minute_an_account() {
    let world = World::start(&[("EVENT_TTL", "2s")]).await;
    world.register("wk1").await;
    world.bots.one("wk1", Manner::Refuse);
    assert_eq!(world.poke("wk1", "dead").await, 200);
    let id = expired(&world, "wk1").await;
    let before = world.bots.sent("wk1").len();
    redeliver(&world, &id).await;
    assert!(eventually(Duration::from_secs(5), async || world.bots.sent("wk1").len() == before + 1).await);
    redeliver(&world, &id).await;
    let paced = eventually(Duration::from_secs(5), async || {
        let held = world.deliveries("live", "wk1").await;
        held.first().is_some_and(|item| item["lastError"] == "a poke without token went less than a minute ago")
    });
    assert!(paced.await, "{:?}", world.deliveries("live", "wk1").await);
    assert_eq!(world.bots.sent("wk1").len(), before + 1);
    // It outlives the minute, although EVENT_TTL is shorter.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.deliveries("live", "wk1").await.len(), 1);
}

#[tokio::test]
async fn go_with_the_delivery_of_a_newer_one() {
    let world = World::start(&[("EVENT_TTL", "1s")]).await;
    world.register("wk1").await;
    world.bots.one("wk1", Manner::Refuse);
    assert_eq!(world.poke("wk1", "dead").await, 200);
    expired(&world, "wk1").await;
    world.bots.one("wk1", Manner::Take);
    let delivered = eventually(Duration::from_secs(8), async || {
        world.poke("wk1", "fresh").await == 200 && !world.bots.taken("wk1").is_empty()
    });
    assert!(delivered.await);
    world.settles("wk1").await;
}

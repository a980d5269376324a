//! The gateway restarts in every phase of a held event; it is delivered within 15 s.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use wxkf_gateway::lifecycle::Tasks;

use super::{Event, Manner, World, eventually, now, sealed};
use crate::harness::CORP;

const TAKEN_OVER: Duration = Duration::from_secs(15);

async fn crash(world: &mut World) -> Instant {
    world.gateway.kill().await;
    world.gateway.start_again().await;
    Instant::now()
}

async fn taken_over(world: &World, kf: &str, token: &str, restarted: Instant) {
    world.takes(kf, token, TAKEN_OVER.saturating_sub(restarted.elapsed())).await;
    world.settles(kf).await;
}

#[tokio::test]
async fn while_there_is_no_bot() {
    let mut world = World::start(&[]).await;
    assert_eq!(world.poke("wk1", "t1").await, 200);
    let restarted = crash(&mut world).await;
    world.register("wk1").await;
    taken_over(&world, "wk1", "t1", restarted).await;
    assert_eq!(world.bots.sent("wk1").len(), 1);
}

#[tokio::test]
async fn while_the_bot_refuses() {
    let mut world = World::start(&[]).await;
    world.register("wk1").await;
    world.bots.one("wk1", Manner::Refuse);
    assert_eq!(world.poke("wk1", "t1").await, 200);
    let restarted = crash(&mut world).await;
    world.bots.one("wk1", Manner::Take);
    taken_over(&world, "wk1", "t1", restarted).await;
}

#[tokio::test]
async fn while_an_attempt_is_in_flight() {
    let mut world = World::start(&[]).await;
    world.register("wk1").await;
    world.bots.one("wk1", Manner::Hang);
    assert_eq!(world.poke("wk1", "t1").await, 200);
    let restarted = crash(&mut world).await;
    world.bots.one("wk1", Manner::Take);
    taken_over(&world, "wk1", "t1", restarted).await;
}

/// Its row is leased, and its bot came back while nobody looked.
#[tokio::test]
async fn while_the_bot_is_away() {
    let mut world = World::start(&[]).await;
    world.register("wk1").await;
    world.bots.close().await;
    assert_eq!(world.poke("wk1", "t1").await, 200);
    let noted = eventually(Duration::from_secs(5), async || {
        let answer = world.gateway.admin(Method::GET, "/puppets").send().await.unwrap();
        !answer.json::<Value>().await.unwrap()["items"][0]["awaySince"].is_null()
    });
    assert!(noted.await);
    world.gateway.kill().await;
    world.bots.open().await;
    world.gateway.start_again().await;
    let restarted = Instant::now();
    taken_over(&world, "wk1", "t1", restarted).await;
    assert!(restarted.elapsed() >= Duration::from_secs(9), "it may not be ready at once");
    assert_eq!(world.bots.sent("wk1").len(), 1);
}

#[tokio::test]
async fn in_the_grace_after_a_registration() {
    let mut world = World::start(&[("REGISTRATION_GRACE", "3s")]).await;
    world.register("wk1").await;
    let registered = Instant::now();
    assert_eq!(world.poke("wk1", "t1").await, 200);
    let restarted = crash(&mut world).await;
    taken_over(&world, "wk1", "t1", restarted).await;
    let early = world.bots.sent("wk1")[0].at < registered + Duration::from_millis(2_900);
    assert!(!early, "the grace outlives the restart");
}

#[tokio::test]
async fn what_is_in_flight_is_answered_before_the_end() {
    let mut world = World::start(&[]).await;
    world.register("wk1").await;
    world.bots.one("wk1", Manner::TakeAfter(Duration::from_millis(800)));
    let callback = sealed(&Event { kf: "wk1", token: "t1", created: now() });
    let url = format!("/callback/{CORP}?{}", callback.query);
    let posting = Tasks::new().spawn(world.gateway.post(&url).body(callback.body).send());
    assert!(eventually(Duration::from_secs(5), async || !world.bots.sent("wk1").is_empty()).await);
    assert_eq!(world.gateway.terminate().await, Some(0));
    assert_eq!(posting.await.unwrap().unwrap().status(), 200, "answered before the end");
}

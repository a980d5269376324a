//! Events that another gateway decrypted: anybody can send them, so they count for less.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};

use super::World;
use crate::harness::CORP;

#[tokio::test]
async fn further_fields_reach_the_bot_unchanged() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    let body = json!({ "token": "t1", "openKfId": "wk1", "b": { "z": [1, 2.5, null], "a": "客服" }, "a": "" });
    assert_eq!(world.post_decrypted(&body).await, (200, "roger".to_owned()));
    let sent = &world.bots.sent("wk1")[0];
    assert_eq!(sent.path, "callback/decrypted");
    assert_eq!(serde_json::from_slice::<Value>(&sent.body).unwrap(), body);
}

#[tokio::test]
async fn what_is_unsigned_neither_displaces_nor_deletes_what_is_signed() {
    let world = World::start(&[]).await;
    assert_eq!(world.poke("wk1", "signed").await, 200);
    let forged = json!({ "token": "forged", "openKfId": "wk1" });
    assert_eq!(world.post_decrypted(&forged).await.0, 200);
    let held = world.deliveries("live", "wk1").await;
    assert_eq!(held.iter().filter(|item| item["signed"] == true).count(), 1, "{held:?}");
    world.register("wk1").await;
    world.takes("wk1", "signed", Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_later_signed_event_settles_what_is_unsigned() {
    let world = World::start(&[]).await;
    assert_eq!(world.post_decrypted(&json!({ "token": "unsigned", "openKfId": "wk1" })).await.0, 200);
    assert_eq!(world.poke("wk1", "signed").await, 200);
    assert_eq!(world.deliveries("live", "wk1").await.len(), 1);
    world.register("wk1").await;
    world.takes("wk1", "signed", Duration::from_secs(5)).await;
    assert_eq!(world.bots.sent("wk1").len(), 1);
}

#[tokio::test]
async fn with_the_password_it_counts_as_signed() {
    let world = World::start(&[("PUPPET_PASSWORD", "the-password")]).await;
    let post = async |token: &str, password: &str| {
        let path = format!("/callback/decrypted/{CORP}");
        let body = json!({ "token": token, "openKfId": "wk1" });
        world.gateway.post(&path).bearer_auth(password).json(&body).send().await.unwrap().status()
    };
    assert_eq!(post("t1", "wrong").await, 401);
    assert_eq!(post("t1", "the-password").await, 200);
    assert_eq!(post("t2", "the-password").await, 200);
    let held = world.deliveries("live", "wk1").await;
    assert_eq!((held.len(), &held[0]["signed"]), (1, &json!(true)));
}

#[tokio::test]
async fn a_thousand_unknown_accounts_are_held_and_no_more() {
    let world = World::start(&[("RUST_LOG", "error,wxkf_gateway::cli=info")]).await;
    let post = async |kf: String| world.post_decrypted(&json!({ "token": "t", "openKfId": kf })).await.0;
    let posts = (0..1_100).map(|number| post(format!("wk-{number}")));
    let statuses: Vec<u16> = futures::stream::iter(posts).buffer_unordered(64).collect().await;
    let held = statuses.iter().filter(|&&status| status == 200).count();
    assert_eq!(held, 1_000, "however many come at once");
    assert!(statuses.iter().all(|status| [200, 503].contains(status)));
    assert_eq!(world.gateway.deliveries("live").await.len(), 1_000);
    assert_eq!(world.poke("wk-signed", "t").await, 200, "what is signed is not bounded by it");
    world.register("wk-known").await;
    world.deregister("wk-known").await;
    assert_eq!(post("wk-known".to_owned()).await, 200, "nor an account that has a registration");
}

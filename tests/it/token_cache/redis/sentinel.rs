//! A failover: the master dies, its replica takes over.

use std::time::Duration;

use wxkf_gateway::domain::Secret;

use super::super::samples::{app, clock, token};
use super::cache;
use crate::admin::until;
use crate::harness::servers::RedisSentinel;

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_failover_loses_nothing_and_the_old_master_is_left() {
    let (mut sentinel, clock) = (RedisSentinel::start().await.unwrap(), clock());
    let [one, other] = [(); 2].map(|()| cache(&sentinel.url(), &clock));
    let (before, meanwhile) = (app("ww1", "s"), app("ww2", "s"));
    one.put(token(&before, "first", 0)).await;
    until(async || other.recall(&before).await.is_some()).await;
    sentinel.master.kill().await;
    one.put(token(&meanwhile, "T", 0)).await;
    one.put(token(&before, "second", 1)).await;
    let arrived = async |text: &str| {
        let token = other.recall(&before).await;
        token.is_some_and(|token| token.access_token == Secret::new(text))
    };
    until(async || arrived("second").await && other.recall(&meanwhile).await.is_some()).await;
    until(async || one.check().await.is_ok() && other.check().await.is_ok()).await;
    assert!(sentinel.replica.replication().await.contains("role:master"));

    // The old master comes back as a replica, and everything goes on.
    sentinel.master.start_again().await;
    until(async || sentinel.master.replication().await.contains("master_link_status:up")).await;
    one.put(token(&before, "third", 2)).await;
    until(async || arrived("third").await).await;
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_master_that_is_demoted_is_left() {
    let (sentinel, clock) = (RedisSentinel::start().await.unwrap(), clock());
    let [one, other] = [(); 2].map(|()| cache(&sentinel.url(), &clock));
    let app = app("ww1", "s");
    one.put(token(&app, "first", 0)).await;
    let promoted = async || sentinel.replica.replication().await.contains("role:master");
    sentinel.fail_over().await;
    until(promoted).await;
    for number in 1..50 {
        one.put(token(&app, &format!("T{number}"), number)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What the old master took last is lost with it, until whoever fetched it uses it again.
    let latest = Secret::new("T49");
    until(async || {
        one.recall(&app).await;
        other.recall(&app).await.is_some_and(|token| token.access_token == latest)
    })
    .await;
    until(async || one.check().await.is_ok() && other.check().await.is_ok()).await;
}

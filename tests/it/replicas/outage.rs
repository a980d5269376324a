//! The services go away, hang, and come back while the gateway runs, and before it starts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Replicas, Services, declare};
use crate::delivery::{Manner, World, eventually};
use crate::harness::{AES_KEY, CORP, Gateway, SOON, TOKEN, credential};

/// A callback is answered within this, whatever hangs.
const ANSWER: Duration = Duration::from_millis(4_500);

/// What `/readyz` says: the status, the state and the parts that fail.
async fn readyz(gateway: &Gateway) -> (u16, String, Vec<String>) {
    let answer = gateway.get("/readyz").send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    let parts = body["degraded"].as_array().cloned().unwrap_or_default();
    let parts = parts.iter().map(|part| part["part"].as_str().unwrap().to_owned()).collect();
    (status, body["status"].as_str().unwrap().to_owned(), parts)
}

/// How a service fails.
#[derive(Debug, Clone, Copy)]
enum Outage {
    Refuses,
    NeverAnswers,
    Killed,
    Frozen,
}

impl Outage {
    async fn of_the_store(self, replicas: &mut Replicas) {
        match self {
            Self::Refuses => replicas.services.to_store.cut(),
            Self::NeverAnswers => replicas.services.to_store.hang(),
            Self::Killed => replicas.services.store.kill().await,
            Self::Frozen => replicas.services.store.freeze(),
        }
    }

    async fn is_over(self, replicas: &mut Replicas) {
        match self {
            Self::Refuses | Self::NeverAnswers => replicas.services.to_store.mend(),
            Self::Killed => replicas.services.store.start_again().await,
            Self::Frozen => replicas.services.store.thaw(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_without_the_store_deliveries_go_on_and_nothing_is_acknowledged_in_vain() {
    for outage in [Outage::Refuses, Outage::NeverAnswers, Outage::Killed, Outage::Frozen] {
        let mut replicas = Replicas::start(1, &[]).await;
        replicas.each[0].register("up").await;
        replicas.each[0].register("refusing").await;
        replicas.bots.one("refusing", Manner::Refuse);
        assert_eq!(replicas.each[0].poke("up", "before").await, 200);
        // What was read last is no longer fresh.
        tokio::time::sleep(Duration::from_secs(6)).await;

        outage.of_the_store(&mut replicas).await;
        let world = &replicas.each[0];
        for (kf, token, expected) in [("up", "during", 200), ("refusing", "lost", 503), ("unknown", "lost", 503)] {
            let began = Instant::now();
            assert_eq!(world.poke(kf, token).await, expected, "{outage:?}: {kf}; {}", world.gateway.log());
            assert!(began.elapsed() < ANSWER, "{outage:?}: {kf} took {:?}", began.elapsed());
        }
        assert!(world.bots.taken("up").contains(&Some("during".to_owned())));
        let degraded = async || readyz(&world.gateway).await == (200, "degraded".into(), vec!["store".into()]);
        assert!(eventually(SOON, degraded).await, "{outage:?}: {:?}", readyz(&world.gateway).await);
        let began = Instant::now();
        assert_eq!(verified(&world.gateway, "ww-unknown").await, 503);
        assert!(began.elapsed() < Duration::from_secs(1), "{outage:?}: {:?}", began.elapsed());
        assert_eq!(verified(&world.gateway, CORP).await, 200, "{outage:?}: its keys were read before");

        outage.is_over(&mut replicas).await;
        let world = &replicas.each[0];
        let ready = async || readyz(&world.gateway).await.1 == "ready";
        assert!(eventually(Duration::from_secs(10), ready).await, "{outage:?}: {:?}", readyz(&world.gateway).await);
        let held = async || world.poke("refusing", "held").await == 200;
        assert!(eventually(Duration::from_secs(5), held).await, "{outage:?}: {}", world.gateway.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_a_replica_knows_bots_that_nobody_called_through_it() {
    let mut replicas = Replicas::start(1, &[]).await;
    replicas.each[0].register("early").await;
    let gateway = replicas.services.replica(&[("REGISTRATION", "open"), ("RUST_LOG", "debug")]).await;
    let idle = World { gateway, bots: replicas.bots.shared() };
    let knows = async |bots: usize| {
        let says = [format!("\"bots\":{bots},"), format!("bots={bots} ")];
        eventually(Duration::from_secs(30), async || says.iter().any(|said| idle.gateway.log().contains(said))).await
    };
    assert!(knows(1).await, "{}", idle.gateway.log());
    replicas.each[0].register("later").await;
    assert!(knows(2).await, "{}", idle.gateway.log());
    Outage::Refuses.of_the_store(&mut replicas).await;
    for kf in ["early", "later"] {
        assert_eq!(idle.poke(kf, "during").await, 200, "{}", idle.gateway.log());
        assert!(idle.bots.taken(kf).contains(&Some("during".to_owned())));
    }
}

/// The status that WeCom's verification of the callback URL is answered.
async fn verified(gateway: &Gateway, corp: &str) -> u16 {
    let query = wxkf_gateway::simulator::wecom::verification_query(
        &credential(),
        "hello",
        &wxkf_gateway::simulator::wecom::Stamp::now(),
    );
    gateway.get(&format!("/callback/{corp}?{query}")).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_a_store_that_is_away_at_the_start_is_waited_for() {
    let mut services = Services::start().await;
    services.store.kill().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("corps.json");
    let corps = json!({ "corps": { CORP: { "credentials": [{ "token": TOKEN, "encodingAESKey": AES_KEY }] } } });
    std::fs::write(&file, corps.to_string()).unwrap();
    let settings = services.settings();
    let mut settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("CORPS_FILE", file.to_str().unwrap()));
    let gateway = Gateway::start_unready(&settings).await;
    assert_eq!(readyz(&gateway).await, (503, "starting".into(), vec![]));
    assert_eq!(verified(&gateway, CORP).await, 200, "the corp stands in a file");
    services.store.start_again().await;
    let ready = async || readyz(&gateway).await.1 == "ready";
    assert!(eventually(Duration::from_secs(10), ready).await, "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_a_missing_master_key_stops_the_start_and_is_named() {
    let services = Services::start().await;
    let gateway = services.replica(&[]).await;
    declare(&gateway).await;
    let uri = format!("mongodb://{}/wxkf", services.store.address());
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.env_clear().env("PORT", "0").env("MONGO_URI", uri).kill_on_drop(true);
    command.env("MASTER_KEY", "HxABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4=");
    let output = tokio::time::timeout(SOON, command.output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("error: MASTER_KEY: "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_a_dead_redis_is_told_and_forgotten() {
    let mut replicas = Replicas::start(1, &[]).await;
    replicas.services.to_cache.hang();
    let gateway = &replicas.each[0].gateway;
    let degraded = async || readyz(gateway).await == (200, "degraded".into(), vec!["cache".into()]);
    assert!(eventually(SOON, degraded).await, "{:?}", readyz(gateway).await);
    replicas.services.to_cache.mend();
    let gateway = &replicas.each[0].gateway;
    let ready = async || readyz(gateway).await.1 == "ready";
    assert!(eventually(SOON, ready).await, "{:?}", readyz(gateway).await);
    replicas.each.clear();
}

//! Two replicas over one MongoDB: one sender a queue among them, whoever dies.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use wxkf_gateway::lifecycle::Tasks;

use super::crash::{Load, SERVICES, backlog, call, declare_all, prove};
use super::receiver::{Manner, Receiver};
use super::{CORP, declare, json, numbered, signed_callback, texts};
use crate::delivery::eventually;
use crate::harness::servers::MongoKind;
use crate::harness::{Gateway, by_hand, credential};
use crate::replicas;

const CALLERS: usize = 2;

struct Pair {
    /// Outlives the replicas.
    _servers: replicas::Services,
    each: Vec<Gateway>,
    services: Receiver,
}

impl Pair {
    async fn start() -> Self {
        let servers = replicas::Services::start_on(MongoKind::MongoJava).await;
        let settings = [("DISPATCH_TIMEOUT", "2s"), ("RUST_LOG", "warn,wxkf_gateway::cli=info")];
        let each = vec![servers.replica(&settings).await, servers.replica(&settings).await];
        replicas::declare(&each[0]).await;
        Self { _servers: servers, each, services: Receiver::start().await }
    }

    async fn post(&self, replica: usize, text: &str) {
        let callback = signed_callback(&credential(), &numbered(text));
        let url = format!("/callback/{CORP}?{}", callback.query);
        let answer = self.each[replica].post(&url).body(callback.body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", self.each[replica].log());
    }

    /// What one declared, the other knows within five seconds.
    async fn is_known(&self) {
        tokio::time::sleep(wxkf_gateway::store::SHARED_FRESHNESS + Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongo-java-server and Redis: tests/servers/install"]
async fn mongo_java_what_one_stored_arrives_in_order_and_a_dead_ones_queue_is_taken_over() {
    let mut pair = Pair::start().await;
    let crm = json!({ "url": pair.services.url("crm"), "events": ["text"], "format": "decrypted-xml" });
    declare(&pair.each[0], "crm", &crm).await;
    pair.is_known().await;
    for number in 0..20 {
        pair.post(number % 2, &format!("n{number}")).await;
    }
    let all = eventually(super::SOON, async || pair.services.taken("crm").len() >= 20).await;
    let numbers = |range: std::ops::Range<usize>| range.map(|number| format!("n{number}")).collect::<Vec<_>>();
    assert!(all, "{:?}", texts(&pair.services.taken("crm")));
    assert_eq!(texts(&pair.services.taken("crm")), numbers(0..20));
    let list = |replica: usize| backlog(&pair.each[replica], "crm");
    assert!(eventually(super::SOON, async || list(1).await.is_empty()).await);

    // A repeat of what was delivered comes to the other replica.
    let inner = numbered("repeated");
    for replica in [0, 1, 0, 1] {
        let callback = signed_callback(&credential(), &inner);
        let url = format!("/callback/{CORP}?{}", callback.query);
        assert_eq!(pair.each[replica].post(&url).body(callback.body).send().await.unwrap().status(), 200);
        assert!(eventually(super::SOON, async || pair.services.taken("crm").len() == 21).await);
        assert!(eventually(super::SOON, async || list(1).await.is_empty()).await);
    }

    pair.services.meet("crm", Manner::Answer(503));
    for number in 20..30 {
        pair.post(0, &format!("n{number}")).await;
    }
    assert!(eventually(super::SOON, async || pair.services.calls("crm").len() > 23).await);
    pair.each[0].kill().await;
    pair.services.meet("crm", Manner::Take);
    let taken_over = eventually(Duration::from_secs(30), async || pair.services.taken("crm").len() >= 31).await;
    assert!(taken_over, "{}", pair.each[1].log());
    let expected = [numbers(0..20), vec!["repeated".to_owned()], numbers(20..30)].concat();
    assert_eq!(texts(&pair.services.taken("crm")), expected);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongo-java-server and Redis: tests/servers/install"]
async fn mongo_java_every_acknowledged_event_arrives_in_order_whoever_is_killed() {
    let (kills, events) = (by_hand("SERVICE_KILLS", 2), by_hand("SERVICE_EVENTS", 600));
    let mut pair = Pair::start().await;
    declare_all(&pair.each[0], &pair.services).await;
    pair.is_known().await;
    let load = Arc::new(Load::default());
    let urls: Vec<String> = pair.each.iter().map(|replica| replica.callback_url(CORP)).collect();
    let calling = |caller| Tasks::new().spawn(call(urls.clone(), caller, events / CALLERS, load.clone()));
    let callers: Vec<_> = (0..CALLERS).map(calling).collect();
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(rand::random_range(500..3_000))).await;
        let victim = &mut pair.each[kill % 2];
        victim.kill().await;
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..3_000))).await;
        victim.start_again().await;
    }
    let posted: Vec<usize> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    prove(&pair.services, &posted, Duration::from_secs(90 + events as u64 / 10)).await;
    let dead: Vec<Value> = backlog(&pair.each[1], "dead").await;
    assert_eq!(dead.len(), posted.iter().sum::<usize>(), "what nobody takes waits");
    println!(
        "{kills} crashes, {} services: {} events acknowledged, {} posted again",
        SERVICES.len(),
        load.acknowledged.load(Ordering::Relaxed),
        load.repeats.load(Ordering::Relaxed),
    );
}

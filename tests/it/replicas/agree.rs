//! What one replica takes counts at the others; what a dead one held goes on at another.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Replicas;
use crate::delivery::{Manner, Recorder, eventually};
use crate::harness::{SOON, TOKEN};

/// Until a change counts everywhere.
const EVERYWHERE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_a_registration_counts_at_once_where_the_account_was_unknown() {
    let replicas = Replicas::start(2, &[]).await;
    let [one, other] = &replicas.each[..] else { panic!("two replicas") };
    for number in 0..10 {
        let kf = format!("wk{number}");
        assert_eq!(other.poke(&kf, "before").await, 200, "held: no bot is known");
        one.register(&kf).await;
        assert_eq!(other.poke(&kf, "after").await, 200);
        other.takes(&kf, "after", Duration::from_secs(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_a_new_endpoint_and_a_deregistration_count_within_five_seconds() {
    let replicas = Replicas::start(2, &[]).await;
    let [one, other] = &replicas.each[..] else { panic!("two replicas") };
    let elsewhere = Recorder::start().await;
    one.register("wk1").await;
    assert_eq!(other.poke("wk1", "known").await, 200);
    other.takes("wk1", "known", SOON).await;

    one.register_at("wk1", &elsewhere.endpoint("wk1"), TOKEN).await;
    tokio::time::sleep(EVERYWHERE).await;
    assert_eq!(other.poke("wk1", "moved").await, 200);
    assert_eq!(elsewhere.taken("wk1"), [Some("moved".to_owned())]);

    one.deregister("wk1").await;
    tokio::time::sleep(EVERYWHERE).await;
    assert_eq!(other.poke("wk1", "gone").await, 200);
    assert_eq!(elsewhere.taken("wk1").len(), 1, "a deregistered bot is sent nothing");
    assert_eq!(one.deliveries("live", "wk1").await.len(), 1, "and its event is held for all to see");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_what_a_killed_replica_held_reaches_its_bot_within_thirty_seconds() {
    let mut replicas = Replicas::start(2, &[]).await;
    let accounts: Vec<String> = (0..20).map(|number| format!("wk{number}")).collect();
    replicas.bots.all(Manner::Hang);
    for kf in &accounts {
        replicas.each[0].register(kf).await;
        // Some are stored while their attempt is under way, some while backing off.
        assert_eq!(replicas.each[0].poke(kf, "held").await, 200);
    }
    replicas.each[0].gateway.kill().await;
    let killed = Instant::now();
    replicas.bots.all(Manner::Take);
    let wanted = Some("held".to_owned());
    let all_arrived = async || accounts.iter().all(|kf| replicas.bots.taken(kf).contains(&wanted));
    let arrived = eventually(Duration::from_secs(30), all_arrived).await;
    println!("taken over after {:?}", killed.elapsed());
    assert!(arrived, "{}", replicas.each[1].gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_a_bot_that_registers_at_one_is_served_what_the_other_holds() {
    let mut replicas = Replicas::start(2, &[]).await;
    replicas.bots.close().await;
    replicas.each[0].register("wk1").await;
    assert_eq!(replicas.each[0].poke("wk1", "held").await, 200);
    tokio::time::sleep(EVERYWHERE).await;
    assert!(replicas.bots.sent("wk1").is_empty());
    replicas.bots.open().await;
    replicas.each[1].register("wk1").await;
    replicas.each[1].takes("wk1", "held", Duration::from_secs(2)).await;
    replicas.each[0].settles("wk1").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_an_away_bot_is_probed_by_another_when_the_one_that_noticed_dies() {
    let mut replicas = Replicas::start(2, &[]).await;
    replicas.bots.close().await;
    replicas.each[0].register("wk1").await;
    assert_eq!(replicas.each[0].poke("wk1", "held").await, 200);
    let away = async || {
        let shown = replicas.each[1].gateway.admin(reqwest::Method::GET, "/puppets").send().await.unwrap();
        let shown: Value = shown.json().await.unwrap();
        shown["items"][0]["awaySince"].is_string()
    };
    assert!(eventually(SOON, away).await, "the other replica does not know that it is away");
    replicas.each[0].gateway.kill().await;
    // It comes back without a word, as after a network that was down.
    replicas.bots.open().await;
    replicas.each[1].takes("wk1", "held", 2 * SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_a_delivery_settles_what_another_replica_holds() {
    let replicas = Replicas::start(2, &[]).await;
    let [one, other] = &replicas.each[..] else { panic!("two replicas") };
    one.register("wk1").await;
    replicas.bots.one("wk1", Manner::Refuse);
    assert_eq!(one.poke("wk1", "older").await, 200);
    // So that the next attempt is seconds away, and the two events farther apart than clocks may be.
    assert!(eventually(SOON, async || replicas.bots.sent("wk1").len() == 3).await);
    assert_eq!(one.deliveries("live", "wk1").await.len(), 1);
    replicas.bots.one("wk1", Manner::Take);
    assert_eq!(other.poke("wk1", "newer").await, 200);
    other.takes("wk1", "newer", SOON).await;
    one.settles("wk1").await;
    assert_eq!(replicas.bots.taken("wk1"), [Some("newer".to_owned())], "the older one is needless");
}

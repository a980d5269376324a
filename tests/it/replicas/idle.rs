//! What replicas cost the services while nothing happens.

use std::time::Duration;

use super::Replicas;

const WATCHED_FOR: Duration = Duration::from_secs(30);

/// With bots registered and a token cached, as in an ordinary night.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_idle_replicas_ask_less_than_once_a_second_each() {
    let replicas = Replicas::start(3, &[]).await;
    for number in 0..50 {
        replicas.each[number % 3].register(&format!("wk{number}")).await;
    }
    // What a start costs is over.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = (replicas.services.store.commands().await, replicas.services.cache.commands().await);
    tokio::time::sleep(WATCHED_FOR).await;
    let after = (replicas.services.store.commands().await, replicas.services.cache.commands().await);
    let (store, cache) = (after.0 - before.0, after.1 - before.1);
    println!("3 idle replicas, {WATCHED_FOR:?}: {store} commands to the store, {cache} to Redis");
    let most = 3 * WATCHED_FOR.as_secs();
    assert!(store < most && cache < most, "{store} and {cache}");
}

//! A store that is away, frozen, or started late: told in time, and found again without a restart.

use std::time::{Duration, Instant};

use futures::future::join_all;
use wxkf_gateway::domain::{Clock, Secret};
use wxkf_gateway::lifecycle::Tasks;
use wxkf_gateway::store::mongodb::MongoStore;
use wxkf_gateway::store::sealed::MasterKeys;
use wxkf_gateway::store::{Events as _, Puppets as _, Store as _, StoreError};

use crate::harness::servers::{MongoKind, MongoServer};
use crate::store::samples::{account, kf_id, puppet, signed};

/// What one operation may take, and some for a busy machine.
const IN_TIME: Duration = Duration::from_millis(2_500);
const SOON: Duration = Duration::from_secs(30);

fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unavailable(text)) => text,
        other => panic!("not away: {other:?}"),
    }
}

/// Connects to nothing yet.
fn store_on(server: &MongoServer) -> MongoStore {
    let uri = format!("mongodb://{}/wxkf", server.address());
    MongoStore::new(&Secret::new(uri), MasterKeys::none(), &Tasks::new(), Clock::default()).unwrap()
}

async fn answers_again(store: &MongoStore) {
    let until = Instant::now() + SOON;
    while let Err(error) = store.check().await {
        assert!(Instant::now() < until, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub async fn a_frozen_store_is_told_in_time_and_found_again(kind: MongoKind) {
    let server = MongoServer::start(kind).await.unwrap();
    let store = store_on(&server);
    answers_again(&store).await;
    store.prepare().await.unwrap();
    store.put_puppet(&puppet("ww1", "wk1")).await.unwrap();

    server.freeze();
    let started = Instant::now();
    let rows: Vec<_> = (0..50).map(|n| signed(&account("ww1", &format!("wk{n}")), n)).collect();
    let kf = kf_id("wk1");
    let (held, read) = tokio::join!(join_all(rows.iter().map(|row| store.hold(row))), store.puppet(&kf));
    held.into_iter().for_each(|held| drop(unavailable(held)));
    unavailable(read);
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());

    unavailable(store.held(&rows[0].event.id).await);
    // One looks for the store, the others are told at once.
    let told_at_once = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = Instant::now();
        (unavailable(store.hold(&rows[0]).await), asked.elapsed())
    };
    let (looking, (text, took)) = tokio::join!(store.check(), told_at_once);
    unavailable(looking);
    assert!(text.contains("has not answered for") && took < Duration::from_secs(1), "{text}");

    server.thaw();
    answers_again(&store).await;
    for row in &rows {
        store.hold(row).await.unwrap();
    }
    assert_eq!(store.puppet(&kf_id("wk1")).await, Ok(Some(puppet("ww1", "wk1"))));
}

/// The driver keeps a place in its line for whoever gave up, and moves it by one at a time.
pub async fn whoever_gave_up_in_an_outage_delays_nobody_after_it(kind: MongoKind) {
    let server = MongoServer::start(kind).await.unwrap();
    let store = store_on(&server);
    answers_again(&store).await;
    store.prepare().await.unwrap();
    server.freeze();
    let accounts: Vec<_> = (0..400).map(|n| account("ww1", &format!("wk{n}"))).collect();
    let given_up = join_all(accounts.iter().map(|account| store.newest(account))).await;
    given_up.into_iter().for_each(|newest| drop(unavailable(newest)));
    server.thaw();
    let thawed = Instant::now();
    answers_again(&store).await;
    assert!(thawed.elapsed() < SOON / 3, "{:?}", thawed.elapsed());
}

pub async fn a_store_that_starts_late_is_found(kind: MongoKind) {
    let mut server = MongoServer::start(kind).await.unwrap();
    let store = store_on(&server);
    server.kill().await;
    let started = Instant::now();
    unavailable(store.prepare().await);
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());

    server.start_again().await;
    answers_again(&store).await;
    store.prepare().await.unwrap();
    store.put_puppet(&puppet("ww1", "wk1")).await.unwrap();
    server.kill().await;
    server.start_again().await;
    answers_again(&store).await;
    assert_eq!(store.puppet(&kf_id("wk1")).await, Ok(Some(puppet("ww1", "wk1"))));
}

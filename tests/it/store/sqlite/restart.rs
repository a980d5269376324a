//! What a new process finds, and how few syncs a crowd needs.

use std::time::Duration;

use futures::future::join_all;
use wxkf_gateway::domain::Puppet;
use wxkf_gateway::store::sqlite::{KeySource, SqliteStore};
use wxkf_gateway::store::{
    Corps as _, Events as _, HeldFilter, HeldState, Puppets as _, QueueFilter, ServiceEvents as _, Tokens as _,
};

use super::open_in;
use crate::store::samples::{account, at, corp, corp_id, full_queued, full_row, lease, puppet, queue, signed, token};

#[tokio::test]
async fn everything_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut row = full_row(&account("ww1", "wk1"));
    row.lease = None;
    row.due_at = at(0);
    let mut expired = signed(&account("ww1", "wk1"), 1);
    expired.state = HeldState::Expired;
    let store = open_in(dir.path()).unwrap();
    store.put_corp(&corp("ww1")).await.unwrap();
    store.put_puppet(&puppet("ww1", "wk1")).await.unwrap();
    store.put_token(&token("ww1", "s", 1)).await.unwrap();
    store.hold(&row).await.unwrap();
    store.hold(&expired).await.unwrap();
    let waiting = full_queued(&queue("ww1/crm"));
    store.append_queued(std::slice::from_ref(&waiting)).await.unwrap();
    drop(store);

    let store = open_in(dir.path()).unwrap();
    assert_eq!(store.list_queued(&QueueFilter::default(), None, 9).await, Ok(vec![waiting]));
    assert_eq!(store.corps().await, Ok(vec![corp("ww1")]));
    assert_eq!(store.puppets_of(&corp_id("ww1")).await, Ok(vec![puppet("ww1", "wk1")]));
    assert_eq!(store.tokens().await, Ok(vec![token("ww1", "s", 1)]));
    assert_eq!(store.held(&row.event.id).await, Ok(Some(row)));
    assert_eq!(store.held(&expired.event.id).await, Ok(Some(expired)));
}

#[tokio::test]
async fn leases_of_the_process_before_end_and_what_a_bot_can_take_is_due_soon() {
    let dir = tempfile::tempdir().unwrap();
    let mut leased = signed(&account("ww1", "wk1"), 1);
    leased.lease = Some(lease("the process before", 900));
    let mut put_off = signed(&account("ww1", "wk2"), 2);
    put_off.due_at = at(900);
    let [mut offline, mut away, mut unknown] = ["wk4", "wk5", "wk6"].map(|kf| signed(&account("ww1", kf), 4));
    for waiting in [&mut offline, &mut away, &mut unknown] {
        waiting.due_at = at(900);
    }
    let mut expired = signed(&account("ww1", "wk3"), 3);
    (expired.state, expired.due_at) = (HeldState::Expired, at(900));
    let store = open_in(dir.path()).unwrap();
    for row in [&leased, &put_off, &offline, &away, &unknown, &expired] {
        store.hold(row).await.unwrap();
    }
    for (kf, online, away_since) in [("wk2", true, None), ("wk4", false, None), ("wk5", true, Some(at(3)))] {
        store.put_puppet(&Puppet { online, away_since, ..puppet("ww1", kf) }).await.unwrap();
    }
    drop(store);

    let store = SqliteStore::open(dir.path(), KeySource::Kept, at(100)).unwrap();
    leased.lease = None;
    put_off.due_at = at(105);
    for row in [leased, put_off, offline, away, unknown, expired] {
        assert_eq!(store.held(&row.event.id).await, Ok(Some(row)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_concurrent_writes_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    let rows: Vec<_> = (0..1_000).map(|n| signed(&account("ww1", &format!("wk{n}")), n)).collect();
    let before = store.commits();
    for held in join_all(rows.iter().map(|row| store.hold(row))).await {
        held.unwrap();
    }
    let commits = store.commits() - before;
    assert!(commits <= 250, "{commits} commits for 1,000 rows");
    drop(store);
    let store = open_in(dir.path()).unwrap();
    let due = store.claim_due(at(2_000), &lease("me", 9_000), 2_000).await.unwrap();
    assert_eq!(due.len(), rows.len());
}

#[tokio::test]
async fn one_live_row_an_account_is_kept_however_many_events_come() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    let kf = account("ww1", "wk1");
    for n in 1..=100 {
        store.hold(&signed(&kf, n)).await.unwrap();
        let rows = store.list_held(&HeldFilter::default(), None, 10).await.unwrap();
        let arrivals: Vec<_> = rows.iter().map(|row| row.event.arrival()).collect();
        assert_eq!(arrivals, [at(n)]);
    }
    store.hold(&signed(&kf, 50)).await.unwrap();
    assert_eq!(store.newest(&kf).await.unwrap().unwrap().event.arrival(), at(100), "an older one displaces nothing");
}

/// A caller that gives up changes nothing for the others, nor for the store.
#[tokio::test]
async fn callers_may_give_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    let rows: Vec<_> = (0..50).map(|n| signed(&account("ww1", &format!("wk{n}")), n)).collect();
    for row in &rows {
        let _ = tokio::time::timeout(Duration::ZERO, store.hold(row)).await;
        let _ = tokio::time::timeout(Duration::ZERO, store.held(&row.event.id)).await;
    }
    store.hold(&rows[0]).await.unwrap();
    assert_eq!(store.held(&rows[0].event.id).await, Ok(Some(rows[0].clone())));
}

use std::sync::Arc;
use std::time::Duration;

use wxkf_gateway::domain::EventId;
use wxkf_gateway::store::{HeldEvent, Postponed, Store};

use crate::store::samples::{account, at, lease, signed};

async fn hold_all(store: &Arc<dyn Store>, rows: &[HeldEvent]) {
    for row in rows {
        store.hold(row).await.unwrap();
    }
}

fn ids(rows: &[HeldEvent]) -> Vec<&EventId> {
    rows.iter().map(|row| &row.event.id).collect()
}

pub async fn due_rows_are_claimed_longest_due_first(store: &Arc<dyn Store>) {
    let mut rows: Vec<_> = (1..=5).map(|n| signed(&account("ww1", &format!("wk{n}")), n)).collect();
    rows[4].due_at = at(0);
    hold_all(store, &rows).await;
    let claimed = store.claim_due(at(3), &lease("me", 100), 2).await.unwrap();
    assert_eq!(ids(&claimed), ids(&[rows[4].clone(), rows[0].clone()]), "at most the limit");
    assert_eq!(claimed[0].lease, Some(lease("me", 100)));
    assert_eq!(store.held(&rows[4].event.id).await.unwrap().as_ref(), Some(&claimed[0]));
    let rest = store.claim_due(at(3), &lease("me", 100), 10).await.unwrap();
    assert_eq!(ids(&rest), ids(&rows[1..3]), "due up to now, inclusive");
}

pub async fn a_lease_keeps_others_away_until_it_ends(store: &Arc<dyn Store>) {
    let mut row = signed(&account("ww1", "wk1"), 1);
    row.lease = Some(lease("first", 50));
    let mut free = signed(&account("ww1", "wk2"), 2);
    free.due_at = at(40);
    hold_all(store, &[row.clone(), free.clone()]).await;
    let before = at(50) - Duration::from_millis(1);
    let claimed = store.claim_due(before, &lease("second", 60), 10).await.unwrap();
    assert_eq!(ids(&claimed), [&free.event.id]);
    let claimed = store.claim_due(at(50), &lease("third", 70), 10).await.unwrap();
    assert_eq!(ids(&claimed), [&row.event.id]);
    assert_eq!(claimed[0].lease, Some(lease("third", 70)));
    let both = store.claim_due(at(70), &lease("fourth", 80), 10).await.unwrap();
    assert_eq!(ids(&both), [&row.event.id, &free.event.id], "the longest due first, however it became free");
}

pub async fn concurrent_claims_share_nothing(store: &Arc<dyn Store>) {
    let rows: Vec<_> = (0..40).map(|n| signed(&account("ww1", &format!("wk{n}")), n)).collect();
    hold_all(store, &rows).await;
    let owners: Vec<_> = (0..8).map(|n| lease(&format!("owner-{n}"), 500)).collect();
    let claims = owners.iter().map(|owner| store.claim_due(at(100), owner, 5));
    let mut claimed = Vec::new();
    for claim in futures::future::join_all(claims).await {
        claimed.extend(claim.unwrap().into_iter().map(|row| row.event.id.clone()));
    }
    claimed.sort();
    assert_eq!(claimed, ids(&rows).into_iter().cloned().collect::<Vec<_>>());
}

pub async fn the_next_due_counts_leases(store: &Arc<dyn Store>) {
    assert_eq!(store.next_due().await, Ok(None));
    let mut leased = signed(&account("ww1", "wk1"), 1);
    leased.lease = Some(lease("me", 50));
    store.hold(&leased).await.unwrap();
    assert_eq!(store.next_due().await, Ok(Some(at(50))));
    let mut free = signed(&account("ww1", "wk2"), 2);
    free.due_at = at(60);
    store.hold(&free).await.unwrap();
    assert_eq!(store.next_due().await, Ok(Some(at(50))));
    let postponed = Postponed { due_at: at(70), attempts: 1, last_error: None };
    store.postpone(&leased.event.id, "me", &postponed).await.unwrap();
    assert_eq!(store.next_due().await, Ok(Some(at(60))));
    store.expire(&free.event.id, at(61)).await.unwrap();
    assert_eq!(store.next_due().await, Ok(Some(at(70))), "expired rows are not due");
    let mut late = signed(&account("ww1", "wk3"), 3);
    (late.due_at, late.lease) = (at(65), Some(lease("me", 62)));
    store.hold(&late).await.unwrap();
    assert_eq!(store.next_due().await, Ok(Some(at(65))), "a lease that ends earlier makes it no earlier");
}

pub async fn postponed_by_its_owner_alone(store: &Arc<dyn Store>) {
    let mut row = signed(&account("ww1", "wk1"), 1);
    row.lease = Some(lease("mine", 50));
    store.hold(&row).await.unwrap();
    let postponed = Postponed { due_at: at(9), attempts: 3, last_error: Some("HTTP 500".into()) };
    let id = &row.event.id;
    assert_eq!(store.postpone(id, "other", &postponed).await, Ok(false));
    assert_eq!(store.held(id).await, Ok(Some(row.clone())));

    assert_eq!(store.postpone(id, "mine", &postponed).await, Ok(true));
    (row.due_at, row.attempts, row.last_error, row.lease) = (at(9), 3, Some("HTTP 500".into()), None);
    assert_eq!(store.held(id).await, Ok(Some(row.clone())));
    assert_eq!(store.postpone(id, "other", &postponed).await, Ok(true), "nobody holds it");

    store.delete_held(id).await.unwrap();
    assert_eq!(store.postpone(id, "mine", &postponed).await, Ok(false));
}

pub async fn woken_rows_are_due_and_keep_their_lease(store: &Arc<dyn Store>) {
    let back = account("ww1", "wk1");
    let mut leased = signed(&back, 1);
    leased.lease = Some(lease("me", 500));
    let mut later = signed(&back, 2);
    later.due_at = at(300);
    let others = [signed(&account("ww2", "wk1"), 3), signed(&account("ww1", "wk2"), 4)];
    hold_all(store, &[later.clone(), leased.clone()]).await;
    hold_all(store, &others).await;
    store.wake(&back, at(10)).await.unwrap();
    for row in [&mut leased, &mut later] {
        row.due_at = at(10);
        assert_eq!(store.held(&row.event.id).await, Ok(Some(row.clone())));
    }
    for row in &others {
        assert_eq!(store.held(&row.event.id).await, Ok(Some(row.clone())));
    }
}

pub async fn expired_rows_are_not_worked_on(store: &Arc<dyn Store>) {
    let mut row = signed(&account("ww1", "wk1"), 1);
    row.lease = Some(lease("me", 500));
    store.hold(&row).await.unwrap();
    store.expire(&row.event.id, at(5)).await.unwrap();
    let expired = store.held(&row.event.id).await.unwrap().unwrap();
    assert_eq!((expired.due_at, &expired.lease), (at(5), &None));
    assert_eq!(store.claim_due(at(1_000), &lease("me", 2_000), 10).await, Ok(vec![]));
    store.wake(&row.event.account, at(9)).await.unwrap();
    let postponed = Postponed { due_at: at(9), attempts: 1, last_error: None };
    assert_eq!(store.postpone(&row.event.id, "me", &postponed).await, Ok(false));
    assert_eq!(store.held(&row.event.id).await, Ok(Some(expired)));
}

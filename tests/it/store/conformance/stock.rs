//! How much a store holds, as operators see it.

use std::sync::Arc;

use wxkf_gateway::store::{Backlog, HeldState, Stock, Store};

use crate::store::samples::{account, at, kf_id, puppet, queue, queued, signed};

pub async fn absence(store: &Arc<dyn Store>) {
    assert_eq!(store.stock().await, Ok(Stock::default()));
}

pub async fn what_is_live_is_counted(store: &Arc<dyn Store>) {
    for kf in ["wk1", "wk2", "wk3"] {
        store.put_puppet(&puppet("ww1", kf)).await.unwrap();
    }
    store.set_offline(&kf_id("wk3"), at(5)).await.unwrap();
    let (one, other) = (account("ww1", "wk1"), account("ww1", "wk2"));
    let mut expired = signed(&one, 1);
    expired.state = HeldState::Expired;
    for row in [&expired, &signed(&one, 20), &signed(&other, 10)] {
        store.hold(row).await.unwrap();
    }
    let (crm, erp) = (queue("ww1/crm"), queue("ww1/erp"));
    let mut given_up = queued(&crm, 2);
    given_up.state = HeldState::Expired;
    let events = [given_up, queued(&crm, 31), queued(&erp, 30)];
    store.append_queued(&events).await.unwrap();

    let bytes: usize = events[1..].iter().map(|queued| queued.event.content.size()).sum();
    let expected = Stock {
        online_bots: 2,
        offline_bots: 1,
        held: Backlog { events: 2, bytes: 0, oldest: Some(at(10)) },
        queued: Backlog { events: 2, bytes: bytes as u64, oldest: Some(at(30)) },
    };
    assert_eq!(store.stock().await, Ok(expected));
}

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use wxkf_gateway::domain::{Clock, EventId, Trust};
use wxkf_gateway::store::{HeldEvent, HeldFilter, HeldState, Store};

use crate::store::samples::{
    account, at, corp_id, event, full_row, held, kf_id, lease, puppet, settled_by, signed, unsigned,
};

/// The newest first, so that no row goes with one that settles it.
async fn hold_all(store: &Arc<dyn Store>, rows: &[HeldEvent]) {
    let mut rows: Vec<&HeldEvent> = rows.iter().collect();
    rows.sort_by_key(|row| Reverse((row.event.trust, row.event.order, &row.event.id)));
    for row in rows {
        store.hold(row).await.unwrap();
    }
}

/// Which of the rows are there, by their place in the list.
async fn left(store: &Arc<dyn Store>, rows: &[HeldEvent]) -> Vec<usize> {
    let mut left = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        if store.held(&row.event.id).await.unwrap().is_some() {
            left.push(at);
        }
    }
    left
}

pub async fn absence(store: &Arc<dyn Store>) {
    let nobody = signed(&account("ww1", "wk1"), 1);
    let (id, account) = (&nobody.event.id, &nobody.event.account);
    assert_eq!(store.held(id).await, Ok(None));
    assert_eq!(store.newest(account).await, Ok(None));
    assert_eq!(store.settle(account, &settled_by(&nobody)).await, Ok(0));
    assert_eq!(store.expire(id, at(1)).await, Ok(false));
    assert_eq!(store.revive(id, at(1), at(2)).await, Ok(false));
    assert_eq!(store.wake(account, at(1)).await, Ok(()));
    assert_eq!(store.claim_due(at(9), &lease("me", 10), 9).await, Ok(vec![]));
    assert_eq!(store.list_held(&HeldFilter::default(), None, 9).await, Ok(vec![]));
    assert_eq!(store.waiting_accounts().await, Ok(vec![]));
    assert_eq!(store.sweep(at(9)).await, Ok(0));
}

pub async fn every_field_comes_back(store: &Arc<dyn Store>) {
    let full = full_row(&account("ww1", "wk1"));
    let mut bare = unsigned(&account("ww1", "wk1"), 8);
    Arc::make_mut(&mut bare.event).payload.sync_token = None;
    bare.state = HeldState::Expired;
    hold_all(store, &[full.clone(), bare.clone()]).await;
    let stored = store.held(&full.event.id).await.unwrap().unwrap();
    assert_eq!(stored, full);
    let text = |row: &HeldEvent| serde_json::to_string(&row.event.payload.extra).unwrap();
    assert_eq!(text(&stored), text(&full), "in the order of the fields as well");
    assert_eq!(store.held(&bare.event.id).await, Ok(Some(bare)));
}

pub async fn a_second_row_of_an_id_changes_nothing(store: &Arc<dyn Store>) {
    let row = signed(&account("ww1", "wk1"), 1);
    let mut again = signed(&account("ww1", "wk2"), 5);
    Arc::make_mut(&mut again.event).id = row.event.id.clone();
    store.hold(&row).await.unwrap();
    store.hold(&again).await.unwrap();
    assert_eq!(store.held(&row.event.id).await, Ok(Some(row)));
}

pub async fn settled_up_to_the_order(store: &Arc<dyn Store>) {
    let kf = account("ww1", "wk1");
    let rows = [
        signed(&kf, 1),
        held(event(&kf, 5, 9, Trust::Signed)),
        held(event(&kf, 5, 8, Trust::Signed)),
        held(event(&kf, 6, 7, Trust::Signed)),
        signed(&account("ww2", "wk1"), 1),
        signed(&account("ww1", "wk2"), 1),
    ];
    hold_all(store, &rows).await;
    assert_eq!(store.settle(&kf, &settled_by(&rows[2])).await, Ok(2), "created first, then arrival, inclusive");
    assert_eq!(left(store, &rows).await, [1, 3, 4, 5], "and no other account");
}

pub async fn a_signed_delivery_settles_earlier_unsigned_rows(store: &Arc<dyn Store>) {
    let kf = account("ww1", "wk1");
    let delivered = held(event(&kf, 5, 8, Trust::Signed));
    let rows = [
        held(event(&kf, 99, 8, Trust::Unsigned)),
        held(event(&kf, 4, 20, Trust::Unsigned)),
        held(event(&kf, 6, 9, Trust::Unsigned)),
    ];
    hold_all(store, &rows).await;
    assert_eq!(store.settle(&kf, &settled_by(&delivered)).await, Ok(2), "by arrival or by order");
    assert_eq!(left(store, &rows).await, [2]);
}

pub async fn an_unsigned_delivery_settles_no_signed_row(store: &Arc<dyn Store>) {
    let kf = account("ww1", "wk1");
    let rows = [signed(&kf, 1), unsigned(&kf, 2), unsigned(&kf, 4)];
    hold_all(store, &rows).await;
    assert_eq!(store.settle(&kf, &settled_by(&unsigned(&kf, 3))).await, Ok(1));
    assert_eq!(left(store, &rows).await, [0, 2]);
}

pub async fn expired_rows_are_settled_too(store: &Arc<dyn Store>) {
    let kf = account("ww1", "wk1");
    let mut row = signed(&kf, 1);
    row.state = HeldState::Expired;
    store.hold(&row).await.unwrap();
    assert_eq!(store.settle(&kf, &settled_by(&signed(&kf, 2))).await, Ok(1));
}

pub async fn the_newest_by_trust_then_order(store: &Arc<dyn Store>) {
    let kf = account("ww1", "wk1");
    for (row, newest) in [
        (unsigned(&kf, 50), 50),
        (unsigned(&kf, 40), 50),
        (signed(&kf, 3), 3),
        (held(event(&kf, 2, 9, Trust::Signed)), 3),
        (held(event(&kf, 3, 4, Trust::Signed)), 4),
        (held(event(&kf, 4, 4, Trust::Signed)), 4),
        (unsigned(&kf, 60), 4),
    ] {
        store.hold(&row).await.unwrap();
        let found = store.newest(&kf).await.unwrap().unwrap();
        assert_eq!(found.event.arrival(), at(newest), "after {:?}", row.event.order);
    }
    assert_eq!(store.newest(&account("ww2", "wk1")).await, Ok(None));
}

pub async fn only_live_rows_are_newest(store: &Arc<dyn Store>) {
    let kf = account("ww1", "wk1");
    let mut expired = signed(&kf, 9);
    expired.state = HeldState::Expired;
    let live = unsigned(&kf, 1);
    hold_all(store, &[expired, live.clone()]).await;
    assert_eq!(store.newest(&kf).await, Ok(Some(live)));
}

pub async fn expiry_leaves_one_expired_row(store: &Arc<dyn Store>) {
    let kf = account("ww1", "wk1");
    let mut old = signed(&kf, 1);
    old.state = HeldState::Expired;
    let rows = [old, signed(&kf, 2), unsigned(&kf, 3), signed(&kf, 4), signed(&kf, 5), unsigned(&kf, 6)];
    hold_all(store, &rows).await;
    assert_eq!(store.expire(&rows[3].event.id, at(100)).await, Ok(true));
    assert_eq!(left(store, &rows).await, [3, 4, 5], "what it stands for is gone, live or expired");
    let expired = store.held(&rows[3].event.id).await.unwrap().unwrap();
    assert_eq!((expired.state, expired.due_at), (HeldState::Expired, at(100)));
    assert_eq!(store.expire(&rows[3].event.id, at(200)).await, Ok(false), "it is given up already");
    assert_eq!(store.held(&rows[3].event.id).await.unwrap().unwrap().due_at, at(100));
    store.expire(&rows[5].event.id, at(101)).await.unwrap();
    assert_eq!(left(store, &rows).await, [3, 4], "of two expired the signed one stays");
}

pub async fn expiry_of_the_older_leaves_the_newer(store: &Arc<dyn Store>) {
    let kf = account("ww1", "wk1");
    let mut newer = signed(&kf, 9);
    newer.state = HeldState::Expired;
    let rows = [signed(&kf, 1), newer];
    hold_all(store, &rows).await;
    assert_eq!(store.expire(&rows[0].event.id, at(100)).await, Ok(true));
    assert_eq!(left(store, &rows).await, [1]);
}

pub async fn expiry_spares_other_accounts(store: &Arc<dyn Store>) {
    let mut old = signed(&account("ww1", "wk2"), 1);
    old.state = HeldState::Expired;
    let rows = [old, signed(&account("ww2", "wk1"), 1), signed(&account("ww1", "wk1"), 5)];
    hold_all(store, &rows).await;
    store.expire(&rows[2].event.id, at(100)).await.unwrap();
    assert_eq!(left(store, &rows).await, [0, 1, 2]);
}

pub async fn revived_with_new_times(store: &Arc<dyn Store>) {
    let mut row = signed(&account("ww1", "wk1"), 1);
    store.hold(&row).await.unwrap();
    store.expire(&row.event.id, at(10)).await.unwrap();
    assert_eq!(store.revive(&row.event.id, at(20), at(30)).await, Ok(true));
    (row.due_at, row.expires_at) = (at(20), at(30));
    assert_eq!(store.held(&row.event.id).await, Ok(Some(row.clone())));
    assert_eq!(store.next_due().await, Ok(Some(at(20))));
    assert_eq!(store.revive(&row.event.id, at(21), at(31)).await, Ok(true), "a live one too");
    assert_eq!(store.held(&row.event.id).await.unwrap().unwrap().due_at, at(21));
}

pub async fn deleted_once(store: &Arc<dyn Store>) {
    let row = signed(&account("ww1", "wk1"), 1);
    store.hold(&row).await.unwrap();
    assert_eq!(store.delete_held(&row.event.id).await, Ok(true));
    assert_eq!(store.delete_held(&row.event.id).await, Ok(false));
}

pub async fn listed_by_id_and_filter(store: &Arc<dyn Store>) {
    let accounts = [account("ww1", "wk1"), account("ww1", "wk2"), account("ww2", "wk1")];
    let mut rows: Vec<_> = (0..12).rev().map(|n| signed(&accounts[n as usize % 3], n)).collect();
    rows.iter_mut().for_each(|row| {
        row.state = if row.event.account.corp == corp_id("ww2") { HeldState::Expired } else { HeldState::Live }
    });
    hold_all(store, &rows).await;
    rows.sort_by(|one, other| one.event.id.cmp(&other.event.id));

    let filters = [
        (None, None, None),
        (Some(HeldState::Live), None, None),
        (Some(HeldState::Expired), None, None),
        (None, Some("ww1"), None),
        (None, None, Some("wk1")),
        (Some(HeldState::Live), Some("ww1"), Some("wk1")),
        (Some(HeldState::Expired), Some("ww1"), None),
    ];
    for (state, corp, kf) in filters {
        let filter = HeldFilter { state, corp: corp.map(corp_id), kf: kf.map(kf_id) };
        let wanted = |row: &&HeldEvent| {
            filter.state.is_none_or(|state| state == row.state)
                && filter.corp.as_ref().is_none_or(|corp| *corp == row.event.account.corp)
                && filter.kf.as_ref().is_none_or(|kf| *kf == row.event.account.kf)
        };
        let wanted: Vec<_> = rows.iter().filter(wanted).cloned().collect();
        assert_eq!(paged(store, &filter, 3).await, wanted, "{filter:?}");
    }
}

async fn paged(store: &Arc<dyn Store>, filter: &HeldFilter, limit: usize) -> Vec<HeldEvent> {
    let mut all: Vec<HeldEvent> = Vec::new();
    loop {
        let after: Option<EventId> = all.last().map(|row| row.event.id.clone());
        let page = store.list_held(filter, after.as_ref(), limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

pub async fn swept_when_needless_or_old(store: &Arc<dyn Store>) {
    let kf = account("ww1", "wk1");
    let mut old = signed(&account("ww1", "wk2"), 1);
    (old.state, old.due_at) = (HeldState::Expired, at(10));
    let mut young = signed(&account("ww1", "wk3"), 1);
    (young.state, young.due_at) = (HeldState::Expired, at(11));
    let twin = signed(&kf, 5);
    let mut other_twin = twin.clone();
    Arc::make_mut(&mut other_twin.event).id = EventId::from_text(format!("{}-twin", twin.event.id));
    let rows = [signed(&kf, 1), unsigned(&kf, 2), twin, other_twin, unsigned(&kf, 6), unsigned(&kf, 7), old, young];
    hold_all(store, &rows).await;
    assert_eq!(store.sweep(at(11)).await, Ok(5));
    assert_eq!(left(store, &rows).await, [3, 5, 7], "of two equal rows one stays");
    assert_eq!(store.sweep(at(11)).await, Ok(0));
}

pub async fn what_a_new_row_replaces_goes_whether_young_or_old(store: &Arc<dyn Store>) {
    let hour = SignedDuration::from_hours(1);
    for expires_at in [at(1), Clock::default().now() + hour] {
        let kf = account("ww1", &format!("wk{}", expires_at.as_second()));
        let rows = [signed(&kf, 1), signed(&kf, 2)].map(|row| HeldEvent { expires_at, ..row });
        for row in &rows {
            store.hold(row).await.unwrap();
        }
        // Some back ends delete behind the answer.
        let gone = async {
            while left(store, &rows).await != [1] {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    }
}

/// What a new row settles is needless from then on: a back end deletes it at once, or sweeps it later.
pub async fn a_new_row_spares_what_it_does_not_settle(store: &Arc<dyn Store>) {
    let kf = account("ww1", "wk1");
    let mut expired = signed(&kf, 1);
    expired.state = HeldState::Expired;
    let rows = [
        expired,
        signed(&kf, 9),
        unsigned(&kf, 20),
        unsigned(&account("ww1", "wk2"), 2),
        signed(&account("ww2", "wk1"), 2),
        signed(&kf, 3),
        signed(&kf, 8),
        unsigned(&kf, 7),
        signed(&kf, 10),
    ];
    for row in &rows {
        store.hold(row).await.unwrap();
    }
    let kept = left(store, &rows).await;
    for spared in [0, 2, 3, 4, 8] {
        assert!(kept.contains(&spared), "row {spared} is gone");
    }
    store.sweep(at(0)).await.unwrap();
    assert_eq!(left(store, &rows).await, [0, 2, 3, 4, 8]);
}

pub async fn live_accounts_wait(store: &Arc<dyn Store>) {
    let (one, other) = (account("ww1", "wk1"), account("ww2", "wk1"));
    let mut expired = signed(&account("ww1", "wk9"), 1);
    expired.state = HeldState::Expired;
    hold_all(store, &[signed(&one, 1), signed(&one, 2), signed(&other, 3), expired]).await;
    let mut waiting = store.waiting_accounts().await.unwrap();
    waiting.sort();
    assert_eq!(waiting, [one, other]);
}

pub async fn accounts_with_rows_of_any_state_hold(store: &Arc<dyn Store>) {
    let (live, gone, elsewhere) = (account("ww1", "wk1"), account("ww1", "wk2"), account("ww2", "wk1"));
    let mut expired = signed(&account("ww1", "wk9"), 1);
    expired.state = HeldState::Expired;
    hold_all(store, &[signed(&live, 1), signed(&live, 2), expired.clone()]).await;
    let asked = [live.clone(), gone, elsewhere, expired.event.account.clone()];
    let mut holding = store.holding(&asked).await.unwrap();
    holding.sort();
    assert_eq!(holding, [live, expired.event.account.clone()]);
    assert_eq!(store.holding(&[]).await, Ok(vec![]));
}

pub async fn unknown_unsigned_rows_are_counted(store: &Arc<dyn Store>) {
    store.put_puppet(&puppet("ww1", "known")).await.unwrap();
    store.put_puppet(&puppet("ww2", "elsewhere")).await.unwrap();
    let mut expired = unsigned(&account("ww1", "wk9"), 1);
    expired.state = HeldState::Expired;
    hold_all(
        store,
        &[
            unsigned(&account("ww1", "known"), 1),
            unsigned(&account("ww1", "elsewhere"), 2),
            unsigned(&account("ww1", "unknown"), 3),
            signed(&account("ww1", "unknown"), 4),
            unsigned(&account("ww3", "unknown"), 5),
            expired,
        ],
    )
    .await;
    assert_eq!(store.count_unknown_unsigned(&corp_id("ww1")).await, Ok(2));
    assert_eq!(store.count_unknown_unsigned(&corp_id("ww2")).await, Ok(0));
}

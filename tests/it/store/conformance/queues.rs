use std::sync::Arc;

use wxkf_gateway::domain::{Content, EventId, ServiceKey, ServiceName};
use wxkf_gateway::store::{FailedTry, HeldState, QueueBounds, QueueFilter, QueuedEvent, Store};

use crate::store::samples::{at, corp_id, full_queued, lease, queue, queued};

const BOUNDLESS: QueueBounds = QueueBounds { events: usize::MAX, bytes: u64::MAX };

async fn appended(store: &Arc<dyn Store>, service: &ServiceKey, arrivals: &[i64]) -> Vec<QueuedEvent> {
    let events: Vec<_> = arrivals.iter().map(|&arrival| queued(service, arrival)).collect();
    store.append_queued(&events).await.unwrap();
    events
}

async fn all(store: &Arc<dyn Store>) -> Vec<QueuedEvent> {
    store.list_queued(&QueueFilter::default(), None, 10_000).await.unwrap()
}

async fn live(store: &Arc<dyn Store>, service: &ServiceKey) -> Vec<QueuedEvent> {
    store.oldest_queued(service, 10_000).await.unwrap()
}

fn ids(events: &[QueuedEvent]) -> Vec<EventId> {
    events.iter().map(|queued| queued.event.id.clone()).collect()
}

pub async fn absence(store: &Arc<dyn Store>) {
    let (crm, id) = (queue("ww1/crm"), EventId::new(at(1)));
    let failed = FailedTry { due_at: at(1), attempts: 1, refusals: 0, last_error: "x".into() };
    assert_eq!(store.append_queued(&[]).await, Ok(()));
    assert_eq!(store.oldest_queued(&crm, 9).await, Ok(vec![]));
    assert_eq!(store.delete_queued(&crm, std::slice::from_ref(&id)).await, Ok(0));
    assert_eq!(store.note_failed_try(&id, &failed).await, Ok(false));
    assert_eq!(store.expire_queued(&crm, std::slice::from_ref(&id), at(1)).await, Ok(0));
    assert_eq!(store.waiting_services().await, Ok(vec![]));
    assert_eq!(store.queued(&id).await, Ok(None));
    assert_eq!(all(store).await, []);
    assert_eq!(store.revive_queued(&id, at(1), at(2)).await, Ok(false));
    assert_eq!(store.trim_queue(&crm, BOUNDLESS).await, Ok(0));
    assert_eq!(store.drop_queue(&crm).await, Ok(0));
    assert_eq!(store.settle_queued(&crm, std::slice::from_ref(&id), at(1)).await, Ok(()));
    assert_eq!(store.sweep_queues(at(9), at(9)).await, Ok(0));
    assert_eq!(store.leave_queue(&crm, "me").await, Ok(()));
}

pub async fn every_field_comes_back(store: &Arc<dyn Store>) {
    let (full, bare) = (full_queued(&queue("ww1/crm")), queued(&queue("ww1/crm"), 8));
    store.append_queued(&[bare.clone(), full.clone()]).await.unwrap();
    assert_eq!(store.queued(&full.event.id).await, Ok(Some(full.clone())));
    assert_eq!(all(store).await, [full, bare]);
}

pub async fn a_repeat_is_appended_once(store: &Arc<dyn Store>) {
    let (crm, erp) = (queue("ww1/crm"), queue("ww1/erp"));
    let first = appended(store, &crm, &[1, 2]).await;
    let mut repeat = queued(&crm, 1);
    repeat.event.arrived_at = at(50);
    let (new, of_another) = (queued(&crm, 3), queued(&erp, 1));
    store.append_queued(&[repeat.clone(), new.clone(), of_another.clone()]).await.unwrap();
    assert_eq!(ids(&live(store, &crm).await), ids(&[first[0].clone(), first[1].clone(), new]));
    assert_eq!(live(store, &erp).await, [of_another]);
    store.expire_queued(&crm, &ids(&first[..1]), at(60)).await.unwrap();
    store.append_queued(&[repeat.clone()]).await.unwrap();
    assert_eq!(store.queued(&repeat.event.id).await, Ok(None), "an expired one is there as well");
}

pub async fn appended_together(store: &Arc<dyn Store>) {
    let crm = queue("ww1/crm");
    let callbacks: Vec<Vec<QueuedEvent>> =
        (0..60).map(|n| vec![queued(&crm, n), queued(&queue("ww1/erp"), n), queued(&queue("ww2/crm"), n)]).collect();
    for outcome in futures::future::join_all(callbacks.iter().map(|events| store.append_queued(events))).await {
        outcome.unwrap();
    }
    let expected: Vec<QueuedEvent> = callbacks.iter().map(|events| events[0].clone()).collect();
    assert_eq!(live(store, &crm).await, expected);
    assert_eq!(all(store).await.len(), 180);
}

pub async fn the_oldest_live_ones_in_order(store: &Arc<dyn Store>) {
    let crm = queue("ww1/crm");
    let events = appended(store, &crm, &[5, 3, 1, 2, 4]).await;
    appended(store, &queue("ww1/crm2"), &[0]).await;
    appended(store, &queue("ww/1crm"), &[0]).await;
    let in_order: Vec<_> = [2, 3, 1, 4, 0].map(|place: usize| events[place].clone()).into();
    assert_eq!(store.oldest_queued(&crm, 3).await.unwrap(), in_order[..3]);
    store.expire_queued(&crm, &ids(&in_order[..2]), at(9)).await.unwrap();
    assert_eq!(live(store, &crm).await, in_order[2..]);
}

pub async fn deleted_from_their_own_queue(store: &Arc<dyn Store>) {
    let (crm, erp) = (queue("ww1/crm"), queue("ww1/erp"));
    let events = appended(store, &crm, &[1, 2, 3]).await;
    assert_eq!(store.delete_queued(&erp, &ids(&events)).await, Ok(0));
    store.expire_queued(&crm, &ids(&events[..1]), at(9)).await.unwrap();
    assert_eq!(store.delete_queued(&crm, &ids(&events[..2])).await, Ok(2), "of whatever state");
    assert_eq!(store.delete_queued(&crm, &ids(&events[..2])).await, Ok(0));
    assert_eq!(all(store).await, events[2..]);
}

pub async fn settled_ones_are_gone(store: &Arc<dyn Store>) {
    let crm = queue("ww1/crm");
    let events = appended(store, &crm, &[1, 2, 3]).await;
    store.settle_queued(&queue("ww1/erp"), &ids(&events), at(8)).await.unwrap();
    assert_eq!(live(store, &crm).await.len(), 3, "another queue's");
    store.settle_queued(&crm, &ids(&events[..2]), at(9)).await.unwrap();
    let first = &events[0].event.id;
    assert_eq!(live(store, &crm).await, events[2..]);
    assert_eq!(all(store).await, events[2..]);
    assert_eq!(store.queued(first).await, Ok(None));
    assert_eq!(store.revive_queued(first, at(9), at(10)).await, Ok(false));
    assert_eq!(store.delete_queued(&crm, std::slice::from_ref(first)).await, Ok(0));
    assert_eq!(store.trim_queue(&crm, QueueBounds { events: 1, ..BOUNDLESS }).await, Ok(0));
    store.settle_queued(&crm, &ids(&events[2..]), at(9)).await.unwrap();
    assert_eq!(store.waiting_services().await, Ok(vec![]));
    assert_eq!(store.sweep_queues(at(0), at(10)).await, Ok(0), "none of them expired");
    let again = appended(store, &crm, &[1]).await;
    assert_eq!(live(store, &crm).await, again, "after the sweep it is an event of its own");
}

pub async fn a_failed_try_is_noted(store: &Arc<dyn Store>) {
    let crm = queue("ww1/crm");
    let mut event = appended(store, &crm, &[1]).await.remove(0);
    let failed = FailedTry { due_at: at(9), attempts: 3, refusals: 2, last_error: "HTTP 400".into() };
    assert_eq!(store.note_failed_try(&event.event.id, &failed).await, Ok(true));
    (event.due_at, event.attempts, event.refusals) = (at(9), 3, 2);
    event.last_error = Some("HTTP 400".into());
    assert_eq!(live(store, &crm).await, [event.clone()]);
    store.expire_queued(&crm, std::slice::from_ref(&event.event.id), at(10)).await.unwrap();
    assert_eq!(store.note_failed_try(&event.event.id, &failed).await, Ok(false));
}

pub async fn expired_ones_wait_for_nobody(store: &Arc<dyn Store>) {
    let crm = queue("ww1/crm");
    let mut events = appended(store, &crm, &[1, 2]).await;
    assert_eq!(store.expire_queued(&queue("ww1/erp"), &ids(&events), at(9)).await, Ok(0));
    assert_eq!(store.expire_queued(&crm, &ids(&events), at(9)).await, Ok(2));
    assert_eq!(store.expire_queued(&crm, &ids(&events), at(10)).await, Ok(0), "they are expired already");
    assert_eq!(live(store, &crm).await, []);
    assert_eq!(store.waiting_services().await, Ok(vec![]));
    events.iter_mut().for_each(|event| (event.state, event.due_at) = (HeldState::Expired, at(9)));
    assert_eq!(all(store).await, events);
}

pub async fn one_leads_until_the_lease_ends(store: &Arc<dyn Store>) {
    let (crm, erp) = (queue("ww1/crm"), queue("ww1/erp"));
    assert_eq!(store.lead_queue(&crm, &lease("one", 10), at(0)).await, Ok(true));
    assert_eq!(store.lead_queue(&crm, &lease("other", 20), at(9)).await, Ok(false));
    assert_eq!(store.lead_queue(&erp, &lease("other", 20), at(9)).await, Ok(true), "another queue");
    assert_eq!(store.lead_queue(&crm, &lease("one", 30), at(9)).await, Ok(true), "prolonged");
    assert_eq!(store.lead_queue(&crm, &lease("other", 40), at(29)).await, Ok(false));
    assert_eq!(store.lead_queue(&crm, &lease("other", 40), at(30)).await, Ok(true), "it has ended");
    assert_eq!(store.lead_queue(&crm, &lease("one", 50), at(31)).await, Ok(false));
    store.leave_queue(&crm, "one").await.unwrap();
    assert_eq!(store.lead_queue(&crm, &lease("one", 50), at(31)).await, Ok(false), "another's stays");
    store.leave_queue(&crm, "other").await.unwrap();
    assert_eq!(store.lead_queue(&crm, &lease("one", 50), at(31)).await, Ok(true));
}

pub async fn queues_that_wait(store: &Arc<dyn Store>) {
    let queues = ["ww1/a", "ww1/b", "ww2/a", "wwA/a", "wwa/a"].map(queue);
    for service in queues.iter().rev() {
        appended(store, service, &[1, 2, 3]).await;
    }
    assert_eq!(store.waiting_services().await.unwrap(), queues);
    let given_up = ids(&live(store, &queues[1]).await);
    store.expire_queued(&queues[1], &given_up, at(9)).await.unwrap();
    store.drop_queue(&queues[4]).await.unwrap();
    assert_eq!(store.waiting_services().await.unwrap(), [&queues[0], &queues[2], &queues[3]].map(Clone::clone));
}

pub async fn listed_by_id_and_filter(store: &Arc<dyn Store>) {
    let (crm, erp, other) = (queue("ww1/crm"), queue("ww1/erp"), queue("ww2/crm"));
    for (service, arrivals) in [(&crm, [1, 4]), (&erp, [2, 5]), (&other, [3, 6])] {
        appended(store, service, &arrivals).await;
    }
    let everything = all(store).await;
    let arrivals: Vec<_> = everything.iter().map(|queued| queued.event.arrived_at).collect();
    assert_eq!(arrivals, [1, 2, 3, 4, 5, 6].map(at));
    store.expire_queued(&crm, &ids(&everything[..1]), at(9)).await.unwrap();
    let seconds = async |state, corp: Option<&str>, service: Option<&str>, after: Option<&EventId>, limit| {
        let service = service.map(|name| ServiceName::parse(name).unwrap());
        let filter = QueueFilter { state, corp: corp.map(corp_id), service };
        let page = store.list_queued(&filter, after, limit).await.unwrap();
        page.iter().map(|queued| (queued.event.arrived_at - at(0)).as_secs()).collect::<Vec<_>>()
    };
    let id = |place: usize| Some(&everything[place].event.id);
    assert_eq!(seconds(None, None, None, id(1), 2).await, [3, 4]);
    assert_eq!(seconds(None, Some("ww1"), None, None, 9).await, [1, 2, 4, 5]);
    assert_eq!(seconds(None, Some("ww"), None, None, 9).await, [0_i64; 0]);
    assert_eq!(seconds(None, None, Some("crm"), None, 9).await, [1, 3, 4, 6]);
    assert_eq!(seconds(Some(HeldState::Live), Some("ww1"), Some("crm"), None, 9).await, [4]);
    assert_eq!(seconds(Some(HeldState::Expired), None, None, None, 9).await, [1]);
    assert_eq!(seconds(Some(HeldState::Live), None, None, id(3), 9).await, [5, 6]);
}

pub async fn revived_to_the_front(store: &Arc<dyn Store>) {
    let crm = queue("ww1/crm");
    let events = appended(store, &crm, &[1, 2, 3]).await;
    let first = &events[0].event.id;
    let failed = FailedTry { due_at: at(9), attempts: 5, refusals: 5, last_error: "HTTP 400".into() };
    store.note_failed_try(first, &failed).await.unwrap();
    store.expire_queued(&crm, std::slice::from_ref(first), at(9)).await.unwrap();
    assert_eq!(store.revive_queued(first, at(20), at(900)).await, Ok(true));
    let mut expected = events.clone();
    (expected[0].due_at, expected[0].expires_at, expected[0].attempts) = (at(20), at(900), 5);
    expected[0].last_error = Some("HTTP 400".into());
    assert_eq!(live(store, &crm).await, expected);
}

pub async fn trimmed_to_their_number(store: &Arc<dyn Store>) {
    let (crm, erp) = (queue("ww1/crm"), queue("ww1/erp"));
    let events = appended(store, &crm, &(0..1_300).collect::<Vec<_>>()).await;
    appended(store, &erp, &[1, 2, 3]).await;
    // The newest of them, and yet the first to go.
    store.expire_queued(&crm, &ids(&events[1_290..]), at(9_000)).await.unwrap();
    let bounds = |events| QueueBounds { events, ..BOUNDLESS };
    assert_eq!(store.trim_queue(&crm, bounds(1_300)).await, Ok(0));
    assert_eq!(store.trim_queue(&crm, bounds(1_295)).await, Ok(5), "expired ones");
    assert_eq!(live(store, &crm).await.len(), 1_290);
    assert_eq!(store.trim_queue(&crm, bounds(1_000)).await, Ok(295));
    assert_eq!(live(store, &crm).await, events[290..1_290]);
    assert_eq!(store.trim_queue(&crm, bounds(0)).await, Ok(1_000));
    assert_eq!(live(store, &erp).await.len(), 3, "another queue");
}

pub async fn trimmed_to_their_bytes(store: &Arc<dyn Store>) {
    let crm = queue("ww1/crm");
    let mut events: Vec<_> = (0..20).map(|n| queued(&crm, n)).collect();
    events.iter_mut().for_each(|queued| queued.event.content = Content::Plain(vec![b'x'; 1_000].into()));
    store.append_queued(&events).await.unwrap();
    let bounds = |bytes| QueueBounds { bytes, ..BOUNDLESS };
    assert_eq!(store.trim_queue(&crm, bounds(20_000)).await, Ok(0));
    assert_eq!(store.trim_queue(&crm, bounds(19_999)).await, Ok(1));
    assert_eq!(store.trim_queue(&crm, bounds(4_500)).await, Ok(15));
    assert_eq!(live(store, &crm).await, events[16..]);
}

pub async fn dropped_with_their_service(store: &Arc<dyn Store>) {
    let (crm, erp) = (queue("ww1/crm"), queue("ww1/erp"));
    let events = appended(store, &crm, &(0..700).collect::<Vec<_>>()).await;
    let other = appended(store, &erp, &[1]).await;
    store.expire_queued(&crm, &ids(&events[..1]), at(9)).await.unwrap();
    assert_eq!(store.drop_queue(&crm).await, Ok(700));
    assert_eq!(all(store).await, other);
}

pub async fn swept_when_old(store: &Arc<dyn Store>) {
    let crm = queue("ww1/crm");
    let events = appended(store, &crm, &[1, 2, 3]).await;
    store.expire_queued(&crm, &ids(&events[..1]), at(10)).await.unwrap();
    store.expire_queued(&crm, &ids(&events[1..2]), at(11)).await.unwrap();
    assert_eq!(store.sweep_queues(at(10), at(0)).await, Ok(0));
    assert_eq!(store.sweep_queues(at(11), at(0)).await, Ok(1));
    assert_eq!(ids(&all(store).await), ids(&events[1..]));
    assert_eq!(store.sweep_queues(at(9_000), at(9_000)).await, Ok(1), "live ones stay");
}

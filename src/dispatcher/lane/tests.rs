use std::time::Duration;

use super::*;
use crate::domain::{CorpId, Digest, EventId, OpenKfId, Order, Payload};
use crate::live::Seen;

fn event(created: i64, arrival_ms: i64, trust: Trust) -> KfEvent {
    let arrival = Timestamp::from_millisecond(arrival_ms).unwrap();
    KfEvent {
        id: EventId::new(arrival),
        account: Account { corp: CorpId::parse("ww1").unwrap(), kf: OpenKfId::parse("wk1").unwrap() },
        order: Order { created, arrival: arrival_ms },
        trust,
        digest: Digest::of(format!("{created} {arrival_ms}").as_bytes()),
        born_at: arrival,
        payload: Payload { sync_token: None, extra: serde_json::Map::new(), raw: None },
    }
}

fn offered(lane: &mut Lane, event: KfEvent) -> oneshot::Receiver<Receipt> {
    let (waiter, receipt) = oneshot::channel();
    lane.offer(Arc::new(event), waiter);
    receipt
}

fn received(receipt: &mut oneshot::Receiver<Receipt>) -> Option<Receipt> {
    receipt.try_recv().ok()
}

#[test]
fn what_is_superseded_waits_along_with_the_newest() {
    let mut lane = Lane::default();
    let mut first = offered(&mut lane, event(1, 1_000, Trust::Signed));
    let _in_flight = lane.next().unwrap();
    let mut second = offered(&mut lane, event(2, 2_000, Trust::Signed));
    let mut third = offered(&mut lane, event(3, 3_000, Trust::Signed));
    let mut late = offered(&mut lane, event(2, 3_500, Trust::Signed));
    lane.answer(Receipt::Delivered);
    assert_eq!(received(&mut first), Some(Receipt::Delivered));
    assert_eq!(received(&mut second), None);
    assert_eq!(lane.next().unwrap().event.order.created, 3);
    lane.answer(Receipt::Stored);
    for receipt in [&mut second, &mut third, &mut late] {
        assert_eq!(received(receipt), Some(Receipt::Stored));
    }
    assert!(lane.next().is_none());
}

#[tokio::test]
async fn whoever_watches_is_told_what_was_superseded_and_what_joined() {
    let live = Live::new(crate::domain::Clock::default());
    let mut watch = live.watch();
    let mut lane = Lane { live, ..Lane::default() };
    let [first, second, third] = [1, 2, 3].map(|second| event(second, second * 1_000, Trust::Signed));
    let repeat = KfEvent { id: EventId::new(Timestamp::UNIX_EPOCH), ..first.clone() };
    offered(&mut lane, first);
    lane.next().unwrap();
    let told = [repeat.id.clone(), second.id.clone()];
    for event in [repeat, second, third] {
        offered(&mut lane, event);
    }
    for (event, step) in told.into_iter().zip([Step::Joined, Step::Superseded]) {
        let Seen::Hop(hop) = watch.next().await else { panic!("a hop was missed") };
        assert_eq!((hop.event.as_ref(), &hop.step), (Some(&event), &step));
    }
}

#[test]
fn repeats_join_what_is_in_flight_and_what_is_held() {
    let mut lane = Lane::default();
    let original = event(5, 10_000, Trust::Signed);
    let repeat = KfEvent { order: Order { created: 5, arrival: 15_000 }, ..original.clone() };
    let mut first = offered(&mut lane, original.clone());
    let work = lane.next().unwrap();
    let mut joined = offered(&mut lane, repeat.clone());
    assert!(lane.run.as_ref().unwrap().pending.is_none());
    lane.stored(&work.event);
    assert_eq!((received(&mut first), received(&mut joined)), (Some(Receipt::Stored), Some(Receipt::Stored)));
    assert!(lane.next().is_none());
    assert_eq!(received(&mut offered(&mut lane, repeat)), Some(Receipt::Stored));
    let late = KfEvent { order: Order { created: 5, arrival: 75_000 }, ..original };
    assert_eq!(received(&mut offered(&mut lane, late)), None, "after a minute it is an event of its own");
}

#[test]
fn what_is_unsigned_never_displaces_what_is_signed() {
    let mut lane = Lane::default();
    let _signed = offered(&mut lane, event(1, 1_000, Trust::Signed));
    let _unsigned = offered(&mut lane, event(9, 9_000, Trust::Unsigned));
    assert_eq!(lane.next().unwrap().event.trust, Trust::Signed);
    assert!(lane.next().is_none(), "the signed one stands for it");
    let _unsigned = offered(&mut lane, event(9, 9_000, Trust::Unsigned));
    let _signed = offered(&mut lane, event(1, 10_000, Trust::Signed));
    assert_eq!(lane.next().unwrap().event.trust, Trust::Signed);
}

fn row() -> Row {
    Row { attempts: 0, expires_at: Timestamp::MAX, permit: None }
}

#[tokio::test]
async fn while_an_attempt_takes_long_the_newest_is_stored_once() {
    let mut lane = Lane::default();
    let mut first = offered(&mut lane, event(1, 1_000, Trust::Signed));
    let work = lane.next().unwrap();
    let arrivals = lane.announce_arrivals();
    let stored = lane.next_unstored().unwrap();
    assert!(Arc::ptr_eq(&stored, &work.event));
    lane.stored(&stored);
    assert_eq!(received(&mut first), Some(Receipt::Stored));
    assert!(lane.next_unstored().is_none());
    let mut second = offered(&mut lane, event(2, 2_000, Trust::Signed));
    let newer = lane.next_unstored().unwrap();
    assert_eq!(newer.order.created, 2);
    lane.stored(&newer);
    assert_eq!(received(&mut second), Some(Receipt::Stored));
    assert!(lane.next_unstored().is_none());
    assert_eq!(lane.stored_meanwhile(), [newer]);
    tokio::time::timeout(Duration::from_secs(5), arrivals.notified()).await.unwrap();
}

#[test]
fn what_could_not_be_stored_is_not_answered_by_the_delivery_of_something_older() {
    let mut lane = Lane::default();
    let mut older = offered(&mut lane, event(1, 1_000, Trust::Signed));
    lane.next().unwrap();
    let mut newer = offered(&mut lane, event(2, 2_000, Trust::Signed));
    // It is to be stored, which fails; then the attempt succeeds after all.
    assert_eq!(lane.next_unstored().unwrap().order.created, 2);
    lane.delivered(Timestamp::UNIX_EPOCH);
    assert_eq!(received(&mut older), Some(Receipt::Delivered));
    assert_eq!(received(&mut newer), None);
    assert_eq!(lane.next().unwrap().event.order.created, 2, "it gets an attempt of its own");
}

#[test]
fn what_is_unsigned_is_stored_beside_what_is_signed() {
    let mut lane = Lane::default();
    let mut signed = offered(&mut lane, event(1, 1_000, Trust::Signed));
    lane.next().unwrap();
    let mut unsigned = offered(&mut lane, event(2, 2_000, Trust::Unsigned));
    let mut order = Vec::new();
    while let Some(next) = lane.next_unstored() {
        order.push(next.trust);
        lane.stored(&next);
    }
    assert_eq!(order, [Trust::Signed, Trust::Unsigned]);
    assert_eq!((received(&mut signed), received(&mut unsigned)), (Some(Receipt::Stored), Some(Receipt::Stored)));
    assert_eq!(lane.stored_meanwhile().len(), 2);
    assert!(lane.run.as_ref().unwrap().pending.is_none());
}

#[test]
fn of_what_was_known_against_a_bot_only_its_last_poke_without_a_token_outlives_its_return() {
    let at = Timestamp::from_second(9).unwrap();
    let trouble = Trouble { failures: 3, not_before: Some(at), prober: Some(7), sent_without_token: Some(at) };
    let mut lane = Lane::default();
    lane.note(|known| *known = trouble);
    lane.delivered(at);
    assert_eq!(lane.trouble(), Trouble { failures: 0, not_before: None, ..trouble });
    lane.note(|known| *known = trouble);
    lane.forgive();
    assert_eq!(lane.trouble(), Trouble { sent_without_token: Some(at), ..Trouble::default() });
    lane.note(|known| known.sent_without_token = None);
    assert!(lane.trouble.is_none());
}

#[test]
fn what_arrives_after_the_delivery_gets_an_attempt_of_its_own() {
    let mut lane = Lane::default();
    let original = event(5, 10_000, Trust::Signed);
    let _first = offered(&mut lane, original.clone());
    lane.next().unwrap();
    lane.delivered(Timestamp::UNIX_EPOCH);
    // The rows of the account are being deleted now, which takes its time.
    let mut repeat = offered(&mut lane, original);
    assert_eq!(lane.next().unwrap().event.order.created, 5);
    lane.answer(Receipt::Delivered);
    assert_eq!(received(&mut repeat), Some(Receipt::Delivered));
}

#[test]
fn whoever_joins_a_row_is_told_that_it_is_stored() {
    let mut lane = Lane::default();
    lane.enqueue(Work::stored(Arc::new(event(5, 5_000, Trust::Signed)), row()));
    assert_eq!(received(&mut offered(&mut lane, event(4, 6_000, Trust::Signed))), Some(Receipt::Stored));
    let mut newer = offered(&mut lane, event(6, 7_000, Trust::Signed));
    assert_eq!(received(&mut newer), None);
    lane.enqueue(Work::stored(Arc::new(event(7, 7_500, Trust::Signed)), row()));
    assert_eq!(received(&mut newer), Some(Receipt::Stored));
}

#[test]
fn a_claimed_row_is_not_sent_after_something_newer() {
    let old = || Work::stored(Arc::new(event(1, 1_000, Trust::Signed)), row());
    let mut lane = Lane::default();
    let _newer = offered(&mut lane, event(2, 2_000, Trust::Signed));
    lane.next().unwrap();
    lane.enqueue(old());
    assert!(lane.next().is_none(), "what is in flight decides about it");
    lane.enqueue(old());
    let _newest = offered(&mut lane, event(3, 3_000, Trust::Signed));
    assert_eq!(lane.next().unwrap().event.order.created, 3);
    assert!(lane.next().is_none());
}

#[test]
fn of_an_account_that_never_had_a_bot_nothing_is_remembered() {
    let mut lane = Lane::default();
    let _receipt = offered(&mut lane, event(1, 1_000, Trust::Unsigned));
    let work = lane.next().unwrap();
    lane.stored(&work.event);
    assert!(lane.next().is_none());
    assert!(!lane.is_idle());
    lane.given_up();
    assert!(lane.is_idle());
}

#[test]
fn a_lane_is_dropped_when_nothing_is_left_in_it() {
    let lanes = Lanes::new(Live::default());
    let account = event(1, 1, Trust::Signed).account;
    lanes.with(&account, |lane| offered(lane, event(1, 1_000, Trust::Signed)));
    assert_eq!(lanes.peek(&account, |_| ()), Some(()));
    while lanes.with(&account, Lane::next).is_some() {}
    assert_eq!(lanes.peek(&account, |_| ()), None);
}

#[test]
fn lanes_of_rows_that_are_long_given_up_are_dropped() {
    let lanes = Lanes::new(Live::default());
    let held = event(1, 1_000, Trust::Unsigned);
    let account = held.account.clone();
    lanes.with(&account, |lane| lane.stored(&Arc::new(held)));
    let at = |millis| Timestamp::from_millisecond(millis).unwrap();
    lanes.forget_rows_before(at(1_000));
    assert!(lanes.peek(&account, |lane| lane.held.is_some()) == Some(true));
    lanes.forget_rows_before(at(1_001));
    assert!(lanes.peek(&account, |_| ()).is_none());
}

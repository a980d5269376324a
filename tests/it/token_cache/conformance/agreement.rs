//! Refusals and forced renewals.

use std::time::Duration;

use wxkf_gateway::access_token::{Failure, Forced};

use super::super::samples::{app, failure, refused};
use super::Opened;

pub(in super::super) async fn a_refusal_is_heard_of(cache: &Opened) {
    let app = app("ww1", "wrong");
    let failure = failure(refused(40001), &cache.clock);
    cache.one.agreement().remember(&app, failure.clone()).await;
    assert_eq!(cache.one.agreement().failure(&app), Some(failure.clone()));
    assert_eq!(cache.other.get(&app).await, None);
    assert_eq!(cache.other.agreement().failure(&app), Some(failure.clone()));
    assert_eq!(cache.other.agreement().failures(), [(app, failure)]);
}

pub(in super::super) async fn a_refusal_is_forgotten(cache: &Opened) {
    let app = app("ww1", "mended");
    cache.one.agreement().remember(&app, failure(refused(40001), &cache.clock)).await;
    cache.other.recall(&app).await;
    cache.other.agreement().forget(&app).await;
    for replica in [&cache.one, &cache.other] {
        replica.recall(&app).await;
        assert_eq!(replica.agreement().failure(&app), None);
    }
}

pub(in super::super) async fn refusals_in_a_row_are_remembered_longer(cache: &Opened) {
    let app = app("ww1", "wrong");
    for (number, replica) in [&cache.one, &cache.other, &cache.one].into_iter().enumerate() {
        replica.recall(&app).await;
        let last = replica.agreement().failure(&app);
        let next = Failure::after(last.as_ref(), refused(40001), cache.clock.now());
        let remembered_for = Duration::from_secs(60 << number);
        assert_eq!(next.until, cache.clock.now() + remembered_for);
        replica.agreement().remember(&app, next).await;
        cache.clock.advance(remembered_for);
    }
}

pub(in super::super) async fn forced_once_a_minute(cache: &Opened) {
    let app = app("ww1", "s");
    for _ in 0..3 {
        assert_eq!(cache.one.agreement().begin_forced(&app).await, Forced::Begun);
        for replica in [&cache.one, &cache.other] {
            assert_eq!(replica.agreement().begin_forced(&app).await, Forced::TooSoon);
            assert!(replica.agreement().forced_lately(&app));
        }
        cache.clock.advance(Duration::from_secs(59));
        assert_eq!(cache.other.agreement().begin_forced(&app).await, Forced::TooSoon, "the refused try moves nothing");
        cache.clock.advance(Duration::from_secs(1));
        assert!(!cache.other.agreement().forced_lately(&app));
    }
}

pub(in super::super) async fn a_forced_renewal_can_be_forgotten(cache: &Opened) {
    let app = app("ww1", "s");
    assert_eq!(cache.one.agreement().begin_forced(&app).await, Forced::Begun);
    cache.one.agreement().forget_forced(&app).await;
    assert!(!cache.one.agreement().forced_lately(&app));
    assert_eq!(cache.other.agreement().begin_forced(&app).await, Forced::Begun);
}

//! How long a token lives: what is left of it, what a new grant makes of it, when it is renewed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::AppKey;
use crate::store::StoredToken;
use crate::wecom::Granted;

/// The longest time before its expiry that a token is renewed.
const LONGEST_WINDOW: Duration = Duration::from_secs(600);

/// Upstream's clock counts a token's life from later than ours, by so much at most.
const CLOCK_APART: Duration = Duration::from_secs(1);

/// The whole seconds that remain; 0 when it has expired.
pub(super) fn seconds_left(token: &StoredToken, now: Timestamp) -> u64 {
    u64::try_from(token.expires_at.duration_since(now).as_secs()).unwrap_or_default()
}

pub(super) fn is_live(token: &StoredToken, now: Timestamp) -> bool {
    seconds_left(token, now) > 0
}

/// The token that a grant, asked for at `asked_at`, leaves in the cache.
///
/// WeCom may answer with the token it granted before, and then says nothing reliable about its life:
/// that ends when it would have, to the millisecond. Once it is over, WeCom's answer is all there is.
pub(super) fn after_grant(
    app: AppKey,
    old: Option<&StoredToken>,
    granted: Granted,
    asked_at: Timestamp,
) -> StoredToken {
    let claimed = asked_at.checked_add(granted.expires_in).unwrap_or(Timestamp::MAX);
    let same = old.filter(|old| old.expires_at > asked_at && old.access_token == granted.access_token);
    // Later than the one it replaces even when the clock was set back, or no cache would take it.
    let after_old = old.and_then(|old| old.fetched_at.checked_add(Duration::from_millis(1)).ok());
    StoredToken {
        app,
        access_token: granted.access_token,
        fetched_at: after_old.map_or(asked_at, |after_old| after_old.max(asked_at)),
        expires_at: same.map_or(claimed, |old| old.expires_at.min(claimed)),
        renewed_to_same: same.is_some(),
        corp_secret: None,
        superseded: Vec::new(),
    }
}

/// How long to wait before upstream is asked to replace a token that is as good as over, and that it grants again
/// until the very end: by its clock, which began to count when the token was made, a moment after it was asked for.
pub(super) fn until_replaceable(old: &StoredToken, now: Timestamp) -> Option<Duration> {
    let certain = old.expires_at.checked_add(CLOCK_APART).ok()?;
    let over = old.renewed_to_same && !is_live(old, now);
    Duration::try_from(certain.duration_since(now)).ok().filter(|wait| over && !wait.is_zero())
}

/// When a token in use is renewed ahead of its expiry: in the last tenth of its life, ten minutes at
/// most, at a moment that differs from app to app. `None` for one that upstream has already answered
/// a renewal with: it would only answer so again.
pub(super) fn renewal_at(token: &StoredToken) -> Option<Timestamp> {
    if token.renewed_to_same {
        return None;
    }
    let life = Duration::try_from(token.expires_at.duration_since(token.fetched_at)).unwrap_or_default();
    let window = (life / 10).min(LONGEST_WINDOW);
    token.expires_at.checked_sub(window.mul_f64(0.5 + jitter(token) / 2.0)).ok()
}

/// Between 0 and 1, the same whenever one token is looked at.
fn jitter(token: &StoredToken) -> f64 {
    let mut hasher = DefaultHasher::new();
    token.app.hash(&mut hasher);
    token.fetched_at.hash(&mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;
    use crate::wecom::fake::app;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn granted(token: &str, seconds: u64) -> Granted {
        Granted { access_token: Secret::new(token), expires_in: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_same_token_again_does_not_live_longer() {
        let key = app("ww1", "s").key();
        let first = after_grant(key.clone(), None, granted("T", 7200), at(0));
        let second = after_grant(key.clone(), Some(&first), granted("T", 7200), at(7000));
        assert_eq!((second.expires_at, second.renewed_to_same), (at(7200), true));
        assert_eq!(renewal_at(&second), None);
        let after_its_end = after_grant(key, Some(&second), granted("T", 7200), at(7200));
        assert_eq!((after_its_end.expires_at, after_its_end.renewed_to_same), (at(14_400), false));
    }

    #[test]
    fn the_same_token_in_its_last_moment_does_not_live_longer_and_is_asked_for_again_after_it() {
        let key = app("ww1", "s").key();
        let first = after_grant(key.clone(), None, granted("T", 7200), at(0));
        let nearly_over = Timestamp::from_millisecond(7_199_500).unwrap();
        assert_eq!(until_replaceable(&first, nearly_over), None, "upstream may have another one");
        let second = after_grant(key, Some(&first), granted("T", 7200), nearly_over);
        assert_eq!((second.expires_at, second.renewed_to_same), (at(7200), true));
        assert_eq!(until_replaceable(&second, nearly_over), Some(Duration::from_millis(1_500)));
        assert_eq!(until_replaceable(&second, at(7201)), None);
        assert_eq!(until_replaceable(&second, at(7100)), None, "it lives");
    }

    #[test]
    fn the_same_token_with_less_left_is_believed() {
        let key = app("ww1", "s").key();
        let first = after_grant(key.clone(), None, granted("T", 7200), at(0));
        assert_eq!(after_grant(key, Some(&first), granted("T", 60), at(100)).expires_at, at(160));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_make_a_new_token_old() {
        let key = app("ww1", "s").key();
        let first = after_grant(key.clone(), None, granted("T1", 7200), at(5000));
        let second = after_grant(key, Some(&first), granted("T2", 7200), at(1000));
        assert!(second.fetched_at > first.fetched_at);
        assert_eq!(second.expires_at, at(8200));
    }

    #[test]
    fn renewals_fall_into_the_last_tenth_and_differ_between_apps() {
        let due: Vec<_> = (0..50)
            .map(|n| after_grant(app(&format!("ww{n}"), "s").key(), None, granted("T", 7200), at(0)))
            .map(|token| renewal_at(&token).unwrap())
            .collect();
        assert!(due.iter().all(|due| (at(6600)..=at(6900)).contains(due)), "{due:?}");
        assert!(due.iter().min() < due.iter().max());
        let short = after_grant(app("ww1", "s").key(), None, granted("T", 20), at(0));
        assert!(renewal_at(&short).unwrap() >= at(18));
    }

    #[test]
    fn a_part_of_a_second_is_not_handed_out() {
        let token = after_grant(app("ww1", "s").key(), None, granted("T", 10), at(0));
        assert_eq!(seconds_left(&token, Timestamp::from_millisecond(8_001).unwrap()), 1);
        assert!(!is_live(&token, Timestamp::from_millisecond(9_001).unwrap()));
        assert_eq!(seconds_left(&token, at(500)), 0);
    }
}

//! Failures remembered: each is an outcome with a lifetime of its own, so that a mistake or an
//! outage, asked for a thousand times, reaches WeCom a few times.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use moka::future::Cache;

use super::error::TokenError;
use crate::domain::{App, AppKey};
use crate::wecom::Class;

/// The budget lets 500 refusals an hour through; the rest is room for an outage of many apps.
const CAPACITY: u64 = 10_000;
/// Beyond the longest remembrance, so that the next refusal knows how many there were.
const KEPT_FOR: Duration = Duration::from_secs(3 * 3600);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

/// What was remembered of an app's last failure.
#[derive(Clone)]
struct Remembered {
    /// With its secret, for an operator who wants it asked anew.
    app: App,
    error: TokenError,
    until: Timestamp,
    /// Failures of this kind in a row before this one.
    before: u32,
}

/// The last failure of each app that failed.
pub(super) struct Refusals(Cache<AppKey, Remembered>);

impl Refusals {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(KEPT_FOR).build())
    }

    /// The failure to answer with instead of asking.
    pub(super) async fn remembered(&self, app: &AppKey, now: Timestamp) -> Option<TokenError> {
        self.0.get(app).await.filter(|last| now < last.until).map(|last| last.error)
    }

    pub(super) async fn remember(&self, app: &App, key: &AppKey, error: &TokenError, now: Timestamp) {
        let last = self.0.get(key).await.filter(|last| last.error.class() == error.class());
        let before = last.map_or(0, |last| last.before.saturating_add(1));
        let until = now.checked_add(lifetime(error, before)).unwrap_or(Timestamp::MAX);
        self.0.insert(key.clone(), Remembered { app: app.clone(), error: error.clone(), until, before }).await;
    }

    /// The app that failed lately under the key.
    pub(super) async fn app_of(&self, key: &AppKey) -> Option<App> {
        self.0.get(key).await.map(|last| last.app)
    }

    /// All failures that are answered with now.
    pub(super) fn now(&self, now: Timestamp) -> Vec<(AppKey, TokenError)> {
        let lasting = self.0.iter().filter(|(_, last)| now < last.until);
        lasting.map(|(key, last)| (AppKey::clone(&key), last.error)).collect()
    }

    /// A success, or an operator's wish.
    pub(super) async fn forget(&self, app: &AppKey) {
        if self.0.contains_key(app) {
            self.0.invalidate(app).await;
        }
    }
}

/// How long a failure answers in WeCom's place, the `before + 1`st of its kind in a row.
fn lifetime(error: &TokenError, before: u32) -> Duration {
    match error.class() {
        // WeCom's windows are a minute and an hour; which one is full is not told.
        Some(Class::BadCredentials | Class::RateLimited) => doubled(MINUTE, before, HOUR),
        Some(Class::Transient) | None => {
            doubled(FIRST_BACKOFF, before, LONGEST_BACKOFF).mul_f64(rand::random_range(0.75..1.0))
        }
        Some(_) => MINUTE,
    }
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(longest)
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").field("apps", &self.0.entry_count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembrance_doubles_up_to_an_hour() {
        let minutes: Vec<_> = (0..8).map(|times| doubled(MINUTE, times, HOUR).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(doubled(MINUTE, u32::MAX, HOUR), HOUR);
    }

    #[test]
    fn an_outage_is_asked_about_again_within_seconds() {
        let outage = TokenError::Unavailable("down".into());
        for before in [0, 1, 5, 31, 32, u32::MAX] {
            assert!(lifetime(&outage, before) <= LONGEST_BACKOFF);
        }
        assert!(lifetime(&outage, 0) <= FIRST_BACKOFF);
    }
}

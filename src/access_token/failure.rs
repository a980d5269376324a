//! Failures remembered: each is an outcome with a lifetime of its own, so that a mistake or an
//! outage, asked for a thousand times, reaches WeCom a few times.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;

use super::error::TokenError;
use crate::domain::AppKey;
use crate::wecom::Class;

/// The budget lets 500 refusals an hour through; the rest is room for an outage of many apps.
const CAPACITY: u64 = 10_000;
/// Beyond the longest remembrance, so that the next failure knows how many there were.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(3 * 3600);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

/// An app's last failure. It holds no secret: whoever asks with the right one is another app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The answer in WeCom's place.
    pub error: TokenError,
    /// How long it is the answer.
    pub until: Timestamp,
    /// Failures of its kind in a row before this one.
    pub before: u32,
}

/// For whom a failure holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// WeCom's word about the app.
    Replicas,
    /// It says only how one call went: another replica may have a better way to WeCom.
    Process,
}

impl Failure {
    /// The failure that follows on the last one.
    pub fn after(last: Option<&Self>, error: TokenError, now: Timestamp) -> Self {
        let alike = last.filter(|last| last.error.class() == error.class());
        let before = alike.map_or(0, |last| last.before.saturating_add(1));
        let until = now.checked_add(lifetime(&error, before)).unwrap_or(Timestamp::MAX);
        Self { error, until, before }
    }

    pub(super) fn reach(&self) -> Reach {
        match self.error.class() {
            None | Some(Class::Transient) => Reach::Process,
            Some(_) => Reach::Replicas,
        }
    }
}

/// The last failure of each app that failed, as this process knows it.
pub(super) struct Failures(Cache<AppKey, Failure>);

impl Failures {
    pub(super) fn get(&self, app: &AppKey) -> Option<Failure> {
        self.0.get(app)
    }

    pub(super) fn remember(&self, app: &AppKey, failure: Failure) {
        self.0.insert(app.clone(), failure);
    }

    pub(super) fn forget(&self, app: &AppKey) {
        if self.0.contains_key(app) {
            self.0.invalidate(app);
        }
    }

    /// What the replicas share was read. A failure of this process alone stands while it outlasts that.
    pub(super) fn heard(&self, app: &AppKey, shared: Option<Failure>) {
        match (shared, self.get(app)) {
            (Some(shared), Some(known)) if known.reach() == Reach::Process && known.until > shared.until => {}
            (Some(shared), _) => self.remember(app, shared),
            (None, Some(known)) if known.reach() == Reach::Replicas => self.forget(app),
            (None, _) => {}
        }
    }

    pub(super) fn all(&self) -> Vec<(AppKey, Failure)> {
        self.0.iter().map(|(app, failure)| (AppKey::clone(&app), failure)).collect()
    }
}

impl Default for Failures {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(KEPT_FOR).build())
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").field("apps", &self.0.entry_count()).finish_non_exhaustive()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wecom::fake::app;
    use crate::wecom::{Api, Errcode, Refusal};

    fn refused(errcode: i64) -> TokenError {
        let refusal = Refusal { errcode: Errcode(errcode), errmsg: "no".into(), api: Api::GetToken };
        TokenError::Refused(refusal.into())
    }

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

    #[test]
    fn what_replicas_share_displaces_only_what_they_shared() {
        let (failures, app) = (Failures::default(), app("ww1", "s").key());
        let now = Timestamp::UNIX_EPOCH;
        failures.remember(&app, Failure::after(None, refused(40001), now));
        failures.heard(&app, None);
        assert_eq!(failures.get(&app), None, "an operator had it forgotten elsewhere");
        let here = Failure::after(None, TokenError::Unavailable("down".into()), now);
        failures.remember(&app, here.clone());
        failures.heard(&app, None);
        assert_eq!(failures.get(&app), Some(here.clone()));
        let earlier = Failure { until: now, ..Failure::after(None, refused(40001), now) };
        failures.heard(&app, Some(earlier));
        assert_eq!(failures.get(&app), Some(here), "or an outage would be stampeded");
        let later = Failure::after(None, refused(40001), now);
        failures.heard(&app, Some(later.clone()));
        assert_eq!(failures.get(&app), Some(later));
    }
}

//! Tokens in Redis that no key at hand opens: another replica seals with a key that this one was not
//! given. For reads they count as absent, a token fetched later goes in their place, and operators
//! hear of it for as long as any is met.

use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tracing::warn;

use crate::store::StoreError;

/// Whoever uses a token reads it again every five seconds.
const REMEMBERED: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Unreadable(Mutex<Option<(Timestamp, String)>>);

impl Unreadable {
    pub(super) fn met(&self, error: &StoreError, now: Timestamp) {
        let text = format!("an access token in Redis does not open: {error}");
        let last = self.0.lock().replace((now, text));
        if last.is_none_or(|(at, _)| is_over(at, now)) {
            warn!(%error, "an access token in Redis does not open; it is fetched anew when needed");
        }
    }

    /// What was met within the last minute.
    pub(super) fn lately(&self, now: Timestamp) -> Option<String> {
        let last = self.0.lock();
        last.as_ref().filter(|(at, _)| !is_over(*at, now)).map(|(_, text)| text.clone())
    }
}

fn is_over(at: Timestamp, now: Timestamp) -> bool {
    at.checked_add(REMEMBERED).is_ok_and(|end| end <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_hear_of_it_for_a_minute() {
        let (unreadable, at) = (Unreadable::default(), |second| Timestamp::from_second(second).unwrap());
        assert_eq!(unreadable.lately(at(0)), None);
        unreadable.met(&StoreError::KeyMissing { place: "here".into(), key_id: "plain".into() }, at(0));
        assert!(unreadable.lately(at(59)).unwrap().contains("here"));
        assert_eq!(unreadable.lately(at(60)), None);
    }
}

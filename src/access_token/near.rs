//! What this process keeps of tokens, whoever else keeps them: the tokens themselves, whose they are
//! or were, and which corps ever obtained one. Bounded, and later tokens win.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use parking_lot::RwLock;

use crate::domain::{AppKey, Clock, CorpId, Fingerprint, Secret};
use crate::store::{SHARED_FRESHNESS, StoredToken, Superseded};

/// Only apps that obtained a token are kept, so this bounds memory, not use.
const APPS: u64 = 100_000;
/// Two or three tokens an app within two hours, for as many apps as one process will see.
const HASHES: u64 = 50_000;
/// How long a superseded token is still known.
pub(super) const KNOWN_FOR: Duration = Duration::from_secs(2 * 3600);

/// A token, and when this process last heard that it is the app's latest.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) token: Arc<StoredToken>,
    heard_at: Timestamp,
}

impl Entry {
    /// Whether another replica's newer token may go unseen for now. A clock that was set back makes
    /// nothing fresh.
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        let age = Duration::try_from(now.duration_since(self.heard_at));
        age.is_ok_and(|age| age < SHARED_FRESHNESS)
    }
}

/// Whose an access token is or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) app: AppKey,
    /// How long that is known.
    pub(super) until: Timestamp,
}

impl Owned {
    /// While it lives and two hours more.
    pub(super) fn current(token: &StoredToken) -> Self {
        let until = token.expires_at.checked_add(KNOWN_FOR).unwrap_or(Timestamp::MAX);
        Self { app: token.app.clone(), until }
    }

    /// For two hours from now, not for its whole life and two hours.
    pub(super) fn superseded(token: &StoredToken, now: Timestamp) -> Self {
        let current = Self::current(token);
        let until = now.checked_add(KNOWN_FOR).unwrap_or(Timestamp::MAX).min(current.until);
        Self { until, ..current }
    }
}

pub(super) struct Near {
    tokens: Cache<AppKey, Entry>,
    owners: Cache<Fingerprint, Owned>,
    corps: RwLock<HashSet<CorpId>>,
    clock: Clock,
}

impl Near {
    pub(super) fn new(clock: Clock) -> Self {
        Self { tokens: Cache::new(APPS), owners: Cache::new(HASHES), corps: RwLock::default(), clock }
    }

    pub(super) fn entry(&self, app: &AppKey) -> Option<Entry> {
        self.tokens.get(app)
    }

    pub(super) fn token(&self, app: &AppKey) -> Option<Arc<StoredToken>> {
        self.entry(app).map(|entry| entry.token)
    }

    pub(super) fn all(&self) -> Vec<Arc<StoredToken>> {
        self.tokens.iter().map(|(_, entry)| entry.token).collect()
    }

    /// Takes the token in, unless one fetched later is there; returns the one that stands, which
    /// counts as heard of now and knows those before it.
    pub(super) fn admit(&self, token: StoredToken) -> Arc<StoredToken> {
        let (token, heard_at) = (Arc::new(token), self.clock.now());
        let entry = self.tokens.entry_by_ref(&token.app).and_upsert_with(|there| {
            let there = there.map(|entry| entry.into_value().token);
            let token = match there {
                None => token.clone(),
                Some(there) if there.fetched_at > token.fetched_at => succeeding(&there, &token, heard_at),
                Some(there) => succeeding(&token, &there, heard_at),
            };
            Entry { token, heard_at }
        });
        let stands = entry.into_value().token;
        self.owners.insert(stands.access_token.fingerprint(), Owned::current(&stands));
        for old in &stands.superseded {
            self.owners.insert(old.token.clone(), Owned { app: stands.app.clone(), until: old.until });
        }
        self.obtained(&stands.app.corp_id);
        stands
    }

    /// Another replica knows whose token has this fingerprint.
    pub(super) fn owned(&self, fingerprint: Fingerprint, owned: Owned) {
        self.owners.insert(fingerprint, owned);
    }

    /// `None`: nothing is known of the token, or nothing any more.
    pub(super) fn owner(&self, access_token: &Secret) -> Option<AppKey> {
        let owned = self.owners.get(&access_token.fingerprint())?;
        (owned.until > self.clock.now()).then_some(owned.app)
    }

    pub(super) fn obtained(&self, corp: &CorpId) {
        if !self.has_obtained(corp) {
            self.corps.write().insert(corp.clone());
        }
    }

    pub(super) fn has_obtained(&self, corp: &CorpId) -> bool {
        self.corps.read().contains(corp)
    }
}

/// The latest token with those before it: what either knows, and the older one itself.
fn succeeding(latest: &Arc<StoredToken>, older: &StoredToken, now: Timestamp) -> Arc<StoredToken> {
    let itself = Superseded { token: older.access_token.fingerprint(), until: Owned::superseded(older, now).until };
    let own = latest.access_token.fingerprint();
    let known = |one: &&Superseded| one.until > now && one.token != own;
    let mut superseded: Vec<Superseded> = latest.superseded.iter().filter(known).cloned().collect();
    for one in older.superseded.iter().chain([&itself]).filter(known) {
        if superseded.iter().all(|there| there.token != one.token) {
            superseded.push(one.clone());
        }
    }
    if superseded == latest.superseded {
        return latest.clone();
    }
    Arc::new(StoredToken { superseded, ..StoredToken::clone(latest) })
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").field("tokens", &self.tokens.entry_count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testkit::token;
    use super::*;

    #[test]
    fn the_later_token_stands_whichever_comes_first() {
        for order in [["earlier", "later"], ["later", "earlier"]] {
            let near = Near::new(Clock::default());
            for text in order {
                let stands = near.admit(token(text, if text == "later" { 200 } else { 100 }));
                assert_eq!(near.token(&stands.app), Some(stands));
            }
            let stands = near.token(&token("", 0).app).unwrap();
            assert_eq!(stands.access_token, Secret::new("later"));
        }
    }

    #[test]
    fn a_superseded_token_is_known_no_longer_than_two_hours() {
        let clock = Clock::standing_still_at(Timestamp::from_second(1000).unwrap());
        let near = Near::new(clock.clone());
        near.admit(token("first", 1000));
        near.admit(token("second", 1000 + 60));
        clock.advance(KNOWN_FOR - Duration::from_secs(1));
        assert!(near.owner(&Secret::new("first")).is_some());
        clock.advance(Duration::from_secs(1));
        assert!(near.owner(&Secret::new("first")).is_none());
        assert!(near.owner(&Secret::new("second")).is_some(), "it is current still");
    }

    #[test]
    fn an_entry_is_fresh_for_five_seconds_and_never_in_the_past() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let entry = Entry { token: Arc::new(token("T", 0)), heard_at: at(100) };
        assert!(entry.is_fresh(at(100)) && entry.is_fresh(at(104)));
        assert!(!entry.is_fresh(at(105)) && !entry.is_fresh(at(99)));
    }
}

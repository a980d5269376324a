//! Failed verifications: explained off the hot path, logged, and the last of each corp kept for its
//! operators.
//!
//! The answer never waits for any of this, and the work is bounded whoever calls: beyond a few a second,
//! a line is logged with the plain reason alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::explain::{BodyFault, Case, Cause, Effort, Neighbour, Typed, explain};
use super::{Kind, Refusal};
use crate::domain::{Clock, CorpId, Fingerprint};
use crate::lifecycle::Tasks;
use crate::observe::Trace;
use crate::store::{CorpKeys, Directory};

/// Failures explained within a second, of one corp and of all. Corps that nobody knows count as one.
const A_SECOND: (u32, u32) = (2, 5);
/// Corps whose last failure is kept, of some 200 bytes each.
const KEPT: u64 = 10_000;
/// Credentials of the corp that are tried.
const CREDENTIALS: usize = 50;
/// Other corps whose credentials are tried.
const NEIGHBOURS: usize = 1_000;
/// For how long what was read of them serves.
const NEIGHBOURS_FOR: Duration = Duration::from_secs(60);
/// What the store gets to say who they are.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(2);

/// A call that was refused, as it came.
#[derive(Debug)]
pub struct Failed {
    /// As the path has it: anything.
    pub corp: String,
    pub kind: Kind,
    pub status: u16,
    pub query: String,
    pub body: Option<Bytes>,
    pub from: Option<IpAddr>,
    pub refusal: Refusal,
}

/// A corp's last failed verification.
#[derive(Debug, Clone)]
pub struct Failure {
    pub at: Timestamp,
    pub from: Option<IpAddr>,
    pub cause: Cause,
}

/// A corp's last verification of its URL that succeeded.
#[derive(Debug, Clone)]
pub struct Verified {
    pub at: Timestamp,
    /// The credential that opened it.
    pub credential: Fingerprint,
}

/// Explains and keeps failures, and beside them when all was well.
#[derive(Debug)]
pub(super) struct Failures {
    directory: Arc<Directory>,
    clock: Clock,
    tasks: Tasks,
    last: Cache<CorpId, Failure>,
    verified: Cache<CorpId, Verified>,
    budget: Mutex<Budget>,
    neighbours: tokio::sync::Mutex<Option<(Instant, Arc<[Neighbour]>)>>,
}

impl Failures {
    pub(super) fn new(directory: Arc<Directory>, clock: Clock, tasks: Tasks) -> Self {
        Self {
            directory,
            clock,
            tasks,
            last: Cache::new(KEPT),
            verified: Cache::new(KEPT),
            budget: Mutex::new(Budget::new(Instant::now())),
            neighbours: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn last(&self, corp: &CorpId) -> Option<Failure> {
        self.last.get(corp)
    }

    pub(super) fn last_verified(&self, corp: &CorpId) -> Option<Verified> {
        self.verified.get(corp)
    }

    /// WeCom checks a URL when an administrator saves it, so that this is seldom.
    pub(super) fn verified(&self, corp: &CorpId, credential: &Fingerprint) {
        self.verified.insert(corp.clone(), Verified { at: self.clock.now(), credential: credential.clone() });
    }

    pub(super) fn note(self: &Arc<Self>, failed: Failed) {
        if !failed.is_the_callers() || !self.budget.lock().take(failed.known_corp(), Instant::now()) {
            return failed.log(None);
        }
        let (failures, trace) = (self.clone(), Trace::current());
        self.tasks.spawn(async move { trace.around(pin!(failures.explain(failed))).await });
    }

    async fn explain(&self, failed: Failed) {
        let Ok(corp) = CorpId::parse(&failed.corp) else { return failed.log(Some(&Cause::UnknownCorp)) };
        let at = self.clock.now();
        let keys = timeout(LOOK_UP_LIMIT, self.directory.keys(&corp)).await.ok().and_then(Result::ok).flatten();
        let neighbours = self.neighbours().await;
        let from = failed.from;
        let known = keys.is_some();
        let work = {
            let corp = corp.clone();
            move || {
                let cause = failed.cause(&corp, keys.as_deref(), &neighbours);
                (failed, cause)
            }
        };
        let Ok((failed, cause)) = tokio::task::spawn_blocking(work).await else { return };
        // Here, where the line belongs to the call's trace.
        failed.log(cause.as_ref());
        if let Some(cause) = cause.filter(|_| known) {
            self.last.insert(corp, Failure { at, from, cause });
        }
    }

    /// Everybody's credentials, read anew once a minute. Without the store, whoever was known before.
    async fn neighbours(&self) -> Arc<[Neighbour]> {
        let mut neighbours = self.neighbours.lock().await;
        if let Some((_, known)) = neighbours.as_ref().filter(|(read_at, _)| read_at.elapsed() < NEIGHBOURS_FOR) {
            return known.clone();
        }
        let read = timeout(LOOK_UP_LIMIT, self.directory.all_credentials(NEIGHBOURS)).await;
        let known: Arc<[Neighbour]> = match read {
            Ok(Ok(all)) => all.into_iter().map(|(corp, credentials)| Neighbour { corp, credentials }).collect(),
            Ok(Err(_)) | Err(_) => neighbours.take().map_or_else(|| Arc::new([]) as _, |(_, known)| known),
        };
        *neighbours = Some((Instant::now(), known.clone()));
        known
    }
}

impl Failed {
    /// Whether the caller is to blame, and not the store.
    fn is_the_callers(&self) -> bool {
        !matches!(self.refusal, Refusal::StoreUnavailable | Refusal::Crowded | Refusal::NotTaken)
    }

    /// `None`: nobody declared it.
    fn known_corp(&self) -> Option<&str> {
        Some(&*self.corp).filter(|_| !matches!(self.refusal, Refusal::UnknownCorp))
    }

    /// `None`: what was wrong has been mended meanwhile.
    fn cause(&self, corp: &CorpId, keys: Option<&CorpKeys>, neighbours: &[Neighbour]) -> Option<Cause> {
        let credentials = keys.map(|keys| &keys.credentials[..]).unwrap_or_default();
        let credentials: Vec<Typed<'_>> = credentials.iter().take(CREDENTIALS).map(Typed::from).collect();
        let body = self.body.as_deref();
        let (url, effort) = (&*self.query, Effort::Small);
        let explained = || explain(&Case { corp, url, body, credentials: &credentials, neighbours, effort }).err();
        match self.refusal {
            Refusal::TooLarge => Some(Cause::Body(BodyFault::TooLarge)),
            Refusal::BrokeOff => Some(Cause::Body(BodyFault::BrokeOff)),
            Refusal::UnknownCorp => {
                let neighbours = explained().filter(|cause| matches!(cause, Cause::AnotherCorps(_)));
                Some(neighbours.unwrap_or(Cause::UnknownCorp))
            }
            _ => explained(),
        }
    }

    fn log(&self, cause: Option<&Cause>) {
        // Whoever calls may have put anything there.
        let corp = CorpId::parse(&self.corp).ok();
        let wrong = cause.map(|cause| tracing::field::display(cause.wrong()));
        let (what, remedy) = (cause.map(Cause::what), cause.map(Cause::remedy));
        warn!(
            corp.id = corp.as_ref().map(CorpId::as_str), kind = self.kind.label(), status = self.status,
            from = self.from.map(tracing::field::display), reason = %self.refusal, wrong, what, "do" = remedy,
            "refused a callback"
        );
    }
}

/// How many more are explained within this second.
#[derive(Debug)]
struct Budget {
    began: Instant,
    used: u32,
    by_corp: HashMap<Option<Box<str>>, u32>,
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self { began: now, used: 0, by_corp: HashMap::new() }
    }

    fn take(&mut self, corp: Option<&str>, now: Instant) -> bool {
        if now - self.began >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        let (of_one, of_all) = A_SECOND;
        if self.used >= of_all {
            return false;
        }
        let used = self.by_corp.entry(corp.map(Into::into)).or_default();
        if *used >= of_one {
            return false;
        }
        *used += 1;
        self.used += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_explained_a_few_times_a_second() {
        let began = Instant::now();
        let mut budget = Budget::new(began);
        let mut taken = |corp: Option<&str>, now| (0..100).filter(|_| budget.take(corp, now)).count();
        assert_eq!(["ww1", "ww2", "ww3", "ww4"].map(|corp| taken(Some(corp), began)), [2, 2, 1, 0]);
        let later = began + Duration::from_secs(1);
        assert_eq!(taken(None, later), 2, "all unknown corps together");
        assert_eq!(taken(Some("ww1"), later), 2);
    }
}

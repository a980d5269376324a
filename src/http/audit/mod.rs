//! The record of changes, as routes write it: who did what to what, from where, without secrets.
//!
//! A change is recorded after it was made, and a record that fails fails no change: it is logged and
//! counted. Calls that change nothing (a bot that registers again as it was, a `PUT` of what is
//! there) leave no entry: bots restart all day, and declarations are applied every few minutes.
//!
//! The one decision a reader would question: the address is the connection's. `X-Forwarded-For` is
//! whatever its sender likes, and no setting names the proxies that could be believed.

mod bursts;

use std::convert::Infallible;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use metrics::counter;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tracing::{error, warn};

use self::bursts::Bursts;
use crate::domain::{Action, Actor, AuditEntry, AuditId, Clock};
use crate::lifecycle::Tasks;
use crate::store::Audit;

/// Entries are kept for so long, and at most so many.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);
const KEPT: usize = 100_000;
/// Entries about refusals, an hour: a flood that lasts [`KEPT_FOR`] displaces no change.
const REFUSALS_AN_HOUR: u32 = 20;
/// How often ended bursts are told, and how often of that old entries are swept.
const TICK: Duration = Duration::from_secs(60);
const TICKS_A_SWEEP: u32 = 60;
/// For one entry: whoever made the change waits for it.
const APPEND_LIMIT: Duration = Duration::from_secs(2);
/// Characters of a detail: endpoints may have 2,048.
const DETAIL_LIMIT: usize = 600;

/// Where entries go. Clones share it.
#[derive(Debug, Clone)]
pub struct Trail(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Audit>,
    clock: Clock,
    tasks: Tasks,
    bursts: Bursts,
    budget: Mutex<Budget>,
}

impl Trail {
    pub fn new(store: Arc<dyn Audit>, clock: Clock, tasks: Tasks) -> Self {
        let budget = Mutex::new(Budget { began: Instant::now(), used: 0, left_out: 0 });
        Self(Arc::new(Inner { store, clock, tasks, bursts: Bursts::default(), budget }))
    }

    /// Tells bursts that ended, and sweeps, until the gateway stops.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(TICK);
        for tick in 0_u32.. {
            tokio::select! {
                () = self.0.tasks.stopping() => return,
                _ = ticks.tick() => {}
            }
            self.tell_ended_bursts();
            // Not the very first, when the store may not be ready yet.
            if tick % TICKS_A_SWEEP == 1 {
                self.sweep().await;
            }
        }
    }

    /// Notes a refusal, in the background: the first of its kind from a network at once, the others
    /// as a number when the burst is over. Returns which one of its burst it is, from 1.
    pub fn refused(&self, act: Act, actor: Actor, address: Option<IpAddr>) -> u64 {
        let nth = self.0.bursts.add(&act.action, address, Instant::now());
        if nth == 1 {
            self.append_refusal(act, actor, address);
        }
        nth
    }

    fn tell_ended_bursts(&self) {
        for ended in self.0.bursts.take_ended(Instant::now()) {
            let (count, seconds) = (ended.count, ended.lasted.as_secs());
            warn!(action = %ended.action, address = ended.address.map(tracing::field::display), count, seconds,
                "repeated refusals");
            let act = Act::new(ended.action, "", format!("refused {count} times within {seconds} s"));
            self.append_refusal(act, Actor::Unknown, ended.address);
        }
    }

    fn append_refusal(&self, mut act: Act, actor: Actor, address: Option<IpAddr>) {
        match self.0.budget.lock().take(Instant::now()) {
            None => return counter!("wxkf_audit_entries_total", "result" => "left_out").increment(1),
            Some(0) => {}
            Some(left_out) => {
                act.detail += &format!(" ({left_out} further entries about refusals were left out before)")
            }
        }
        let trail = self.clone();
        self.0.tasks.spawn(async move { trail.append(act, actor, address).await });
    }

    async fn append(&self, act: Act, actor: Actor, address: Option<IpAddr>) {
        let at = self.0.clock.now();
        let Act { action, subject, mut detail } = act;
        if let Some((end, _)) = detail.char_indices().nth(DETAIL_LIMIT) {
            detail.truncate(end);
            detail.push('…');
        }
        let entry = AuditEntry { id: AuditId::new(at), at, actor, address, action, subject, detail };
        let failed = match timeout(APPEND_LIMIT, self.0.store.append_audit(&entry)).await {
            Ok(Ok(())) => return counter!("wxkf_audit_entries_total", "result" => "recorded").increment(1),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store takes too long".to_owned(),
        };
        counter!("wxkf_audit_entries_total", "result" => "failed").increment(1);
        let AuditEntry { action, subject, detail, .. } = entry;
        let (who, address) = (actor.as_str(), address.map(tracing::field::display));
        error!(%action, who, address, subject, detail, error = failed, "a change could not be recorded");
    }

    async fn sweep(&self) {
        let before = self.0.clock.now().saturating_sub(KEPT_FOR).unwrap_or(Timestamp::MIN);
        if let Err(error) = self.0.store.sweep_audit(before, KEPT).await {
            warn!(error = %error, "cannot sweep the record of changes");
        }
    }
}

/// How many entries about refusals there may still be in this hour.
#[derive(Debug)]
struct Budget {
    began: Instant,
    used: u32,
    left_out: u64,
}

impl Budget {
    /// `None`: leave it out; else how many were left out before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if now - self.began >= Duration::from_secs(60 * 60) {
            (self.began, self.used) = (now, 0);
        }
        if self.used >= REFUSALS_AN_HOUR {
            self.left_out += 1;
            return None;
        }
        self.used += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// What was done to what.
#[derive(Debug, Clone)]
pub struct Act {
    action: Action,
    subject: String,
    detail: String,
}

impl Act {
    pub fn new(action: Action, subject: impl Display, detail: impl Into<String>) -> Self {
        Self { action, subject: subject.to_string(), detail: detail.into() }
    }
}

/// Writes into the trail for the caller of one request.
#[derive(Debug)]
pub struct Auditor {
    trail: Trail,
    actor: Actor,
    address: Option<IpAddr>,
}

impl Auditor {
    /// Records a change that was made.
    pub async fn record(&self, act: Act) {
        self.trail.append(act, self.actor, self.address).await;
    }

    /// Records what was refused, or counts it with its like.
    pub fn refused(&self, act: Act) {
        self.trail.refused(act, self.actor, self.address);
    }

    /// The time, as entries have it.
    pub fn now(&self) -> Timestamp {
        self.trail.0.clock.now()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Auditor
where
    Trail: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        // The doors put the actor there.
        let actor = parts.extensions.get().copied().unwrap_or(Actor::Unknown);
        Ok(Self { trail: Trail::from_ref(state), actor, address: address(&parts.extensions) })
    }
}

/// Who is at the other end of the connection: the proxy, where one stands before the gateway.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(address(&parts.extensions)))
    }
}

/// Where the connection came from.
pub(super) fn address(extensions: &Extensions) -> Option<IpAddr> {
    let peer: &ConnectInfo<SocketAddr> = extensions.get()?;
    Some(peer.0.ip().to_canonical())
}

/// Carries a change to its end, its record included, though its caller hangs up: a handler is dropped
/// with its connection, in the middle of whatever it waits for.
pub async fn to_its_end(State(tasks): State<Tasks>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    // It fails when the handler panicked.
    tasks.spawn(next.run(request)).await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_a_budget_an_hour() {
        let began = Instant::now();
        let mut budget = Budget { began, used: 0, left_out: 0 };
        let taken: Vec<_> = (0..25).map(|_| budget.take(began)).collect();
        assert_eq!(taken.iter().filter(|taken| taken.is_some()).count(), 20);
        let next_hour = began + Duration::from_secs(60 * 60);
        assert_eq!([budget.take(next_hour), budget.take(next_hour)], [Some(5), Some(0)]);
        let entries_at_most = u64::from(REFUSALS_AN_HOUR) * KEPT_FOR.as_hours().unsigned_abs();
        assert!(entries_at_most < KEPT as u64 / 2);
    }
}

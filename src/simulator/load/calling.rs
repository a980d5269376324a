//! Sends the callbacks: which account is next, when, and again when it was not acknowledged.
//!
//! Half of the accounts are called at a time. One after another falls silent, over most of the run,
//! and another takes its place: a newer event would cover up the loss of an older one, so at any
//! moment some accounts must be at their last.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;

use super::crowd::Named;
use super::line::{Lines, NoAnswer};
use super::{Length, Pace, Shared};
use crate::lifecycle::Tasks;
use crate::simulator::wecom::{Credential, signed_callback};

/// WeCom cuts the connection after five seconds (document 91116).
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Documented nowhere; as the simulated WeCom does.
const REPEAT_AFTER: Duration = Duration::from_secs(1);
/// A callback every quarter of an hour; less is no load.
const LOWEST_RATE: f64 = 0.001;
/// Connections made ahead of an open loop.
const PREPARED: usize = 64;

/// Where callbacks go.
#[derive(Debug)]
struct Target {
    lines: Lines,
    host: String,
    /// The path of the gateway's address, without the last slash.
    path: String,
}

/// One run's calls.
struct Calls {
    shared: Arc<Shared>,
    /// The gateway's replicas.
    targets: Vec<Target>,
    sendings: AtomicUsize,
    began: Instant,
    next: AtomicU64,
}

/// Sends them all; returns how long that took, the last answer included.
pub(super) async fn run(shared: &Arc<Shared>) -> Duration {
    let options = &shared.options;
    let (most, prepared) = match options.pace {
        Pace::Rate(_) => (options.connections, PREPARED.min(options.connections)),
        Pace::Callers(callers) => (callers, callers),
    };
    let targets: Vec<Target> = options.gateways.iter().map(|gateway| Target::of(gateway, most)).collect();
    for target in &targets {
        target.lines.prepare(prepared / targets.len()).await;
    }
    let (began, sendings, next) = (Instant::now(), AtomicUsize::new(0), AtomicU64::new(0));
    let calls = Arc::new(Calls { shared: Arc::clone(shared), targets, sendings, began, next });
    match options.pace {
        Pace::Rate(rate) => open_loop(&calls, rate).await,
        Pace::Callers(callers) => closed_loop(&calls, callers).await,
    }
    began.elapsed()
}

/// Each callback is a task of its own, so that no answer delays the next callback.
async fn open_loop(calls: &Arc<Calls>, rate: f64) {
    let under_way = Tasks::new();
    loop {
        let turn = calls.next.fetch_add(1, Ordering::Relaxed);
        let due = calls.began + Duration::from_secs_f64(turn as f64 / rate.max(LOWEST_RATE));
        let Some(account) = calls.account(turn, due) else { break };
        if due > Instant::now() {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = calls.shared.enough.cancelled() => break,
            }
        }
        let calls = Arc::clone(calls);
        under_way.spawn(async move { calls.shared.until_over(calls.call(account, due)).await });
    }
    under_way.drained(Duration::MAX).await;
}

async fn closed_loop(calls: &Arc<Calls>, callers: usize) {
    let calling = Tasks::new();
    for _ in 0..callers {
        let calls = Arc::clone(calls);
        calling.spawn(async move { calls.shared.until_over(calls.call_in_turns()).await });
    }
    calling.drained(Duration::MAX).await;
}

impl Calls {
    /// A caller: one callback after another, each as soon as the one before is done with.
    async fn call_in_turns(&self) {
        loop {
            let now = Instant::now();
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(account) = self.account(turn, now) else { return };
            self.call(account, now).await;
        }
    }

    /// Whose turn it is; `None` when the run is over.
    fn account(&self, turn: u64, due: Instant) -> Option<usize> {
        let elapsed = due.saturating_duration_since(self.began);
        let (over, progress) = match self.shared.options.length {
            Length::Time(whole) => (elapsed >= whole, elapsed.as_secs_f64() / whole.as_secs_f64()),
            Length::Callbacks(whole) => (turn >= whole, turn as f64 / whole as f64),
        };
        let over = over || self.shared.enough.is_cancelled();
        (!over).then(|| account(self.shared.crowd.len(), turn, progress))
    }

    /// Sends one callback until it is acknowledged or given up.
    async fn call(&self, account: usize, due: Instant) {
        let Shared { crowd, tally, clock, options, .. } = &*self.shared;
        let Some(member) = crowd.member(account) else { return };
        let flight = member.ledger.lock().begin();
        tally.offered.add_one();
        let corp = crowd.corp_of(account);
        let event = crowd.event(Named { account, sequence: flight.sequence }, clock.now().as_second());
        for repeat in 0..=options.repeats {
            if repeat > 0 {
                tokio::time::sleep(REPEAT_AFTER).await;
                tally.repeats.add_one();
            }
            let (answer, took) = self.send(corp, &event).await;
            let failed = match answer {
                Ok(StatusCode::OK) => {
                    tally.acknowledged.add_one();
                    self.shared.latencies.record(due.elapsed(), took, member.condition);
                    return member.ledger.lock().acknowledged(flight);
                }
                Ok(_) => &tally.refused,
                Err(NoAnswer::TimedOut) => &tally.timed_out,
                Err(NoAnswer::Unreachable) => &tally.unreachable,
                Err(NoAnswer::Broken) => &tally.broken,
            };
            failed.add_one();
        }
        tally.given_up.add_one();
        member.ledger.lock().given_up(&flight);
    }

    /// To the next replica. One that takes no connection is passed over, as a load balancer does.
    async fn send(&self, corp: &Credential, event: &str) -> (Result<StatusCode, NoAnswer>, Duration) {
        let first = self.sendings.fetch_add(1, Ordering::Relaxed);
        let mut answer = (Err(NoAnswer::Unreachable), Duration::ZERO);
        for target in self.targets.iter().cycle().skip(first % self.targets.len().max(1)).take(self.targets.len()) {
            answer = target.send(corp, event).await;
            if answer.0 != Err(NoAnswer::Unreachable) {
                break;
            }
        }
        answer
    }
}

impl Target {
    fn of(gateway: &url::Url, most: usize) -> Self {
        let port = gateway.port_or_known_default().unwrap_or(80);
        let host = format!("{}:{port}", gateway.host_str().unwrap_or("localhost"));
        let path = gateway.path().trim_end_matches('/').to_owned();
        Self { lines: Lines::new(host.as_str(), most), host, path }
    }

    /// Seals the event afresh, as WeCom is taken to do for a repeat.
    async fn send(&self, corp: &Credential, event: &str) -> (Result<StatusCode, NoAnswer>, Duration) {
        let callback = signed_callback(corp, event);
        let Self { lines, host, path } = self;
        let request = Request::post(format!("{path}/callback/{}?{}", corp.receive_id, callback.query))
            .header(http::header::HOST, host)
            .header(http::header::CONTENT_TYPE, "text/xml")
            .body(Full::new(Bytes::from(callback.body)));
        match request {
            Ok(request) => lines.post(request, ANSWER_LIMIT).await,
            // The parts are our own; were they wrong, nothing could be sent.
            Err(_) => (Err(NoAnswer::Unreachable), Duration::ZERO),
        }
    }
}

/// The account of a turn, at that part of the run. Two accounts share a place in the round, one after
/// the other, and both get a tenth of the run at least.
fn account(accounts: usize, turn: u64, progress: f64) -> usize {
    let places = accounts.div_ceil(2);
    let first = usize::try_from(turn).unwrap_or_default() % places;
    let second = first + places;
    let change = 0.1 + 0.8 * first as f64 / places as f64;
    if progress >= change && second < accounts { second } else { first }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn accounts_fall_silent_over_the_run_and_all_are_called() {
        let (accounts, turns) = (101, 10_000_u64);
        let mut last = BTreeMap::new();
        for turn in 0..turns {
            last.insert(account(accounts, turn, turn as f64 / turns as f64), turn);
        }
        assert_eq!(last.len(), accounts);
        for tenth in 1..10 {
            let span = turns * tenth / 10..turns * (tenth + 1) / 10;
            assert!(last.values().any(|turn| span.contains(turn)), "nobody falls silent in {span:?}");
        }
        assert_eq!(account(1, 7, 0.9), 0);
    }
}

//! What a run came to.

use std::time::Duration;

use serde::Serialize;

use super::ledger::Standing;
use super::{Condition, Latency, Shared, Shares};

/// Accounts that are named when the proof fails.
const NAMED: usize = 10;

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub corps: usize,
    pub accounts: usize,
    pub bots: Shares,
    /// From the first callback to the last answer.
    pub seconds: f64,
    pub callbacks: Callbacks,
    pub latency_ms: Latency,
    pub pokes: Pokes,
    pub proof: Proof,
}

/// What became of the callbacks; each is counted once, however often it was repeated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Callbacks {
    pub offered: u64,
    pub acknowledged: u64,
    /// After all repeats.
    pub not_acknowledged: u64,
    /// Acknowledged ones.
    pub per_second: f64,
    pub repeats: u64,
    /// Sendings answered otherwise than 200.
    pub refused: u64,
    pub timed_out: u64,
    pub unreachable: u64,
    pub broken: u64,
}

/// What came to the bots.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pokes {
    pub total: u64,
    pub per_acknowledged: f64,
    /// To a bot that listened, decided on before its registration was answered: the gateway cannot
    /// always know.
    pub before_registration: u64,
    /// To a bot that had registered and was not ready: an unmodified one dies of it.
    pub before_ready: u64,
    /// Without a sync token of this run.
    pub without_token: u64,
    pub unreadable: u64,
    /// About another account.
    pub misrouted: u64,
    /// Other requests: whether the bot is back.
    pub probes: u64,
}

/// Whether of every account the newest acknowledged event, or a later one, arrived.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    pub holds: bool,
    /// Accounts with an acknowledged event.
    pub owed: usize,
    /// Those of them whose newest arrived.
    pub proven: usize,
    /// From the last answer to the proof, or to its being given up.
    pub seconds: f64,
    /// The first of the others.
    pub missing: Vec<Missing>,
}

/// An account whose newest acknowledged event did not arrive.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    pub corp_id: String,
    pub open_kf_id: String,
    /// The condition that its bot was in.
    pub bot: Condition,
    /// The number of the newest acknowledged event, counted from 1.
    pub acknowledged: u32,
    /// The number of the newest that arrived; 0: none did.
    pub arrived: u32,
}

impl Outcome {
    pub(super) fn of(shared: &Shared, calling: Duration, settling: Duration) -> Self {
        let tally = &shared.tally;
        let acknowledged = tally.acknowledged.get();
        let seconds = calling.as_secs_f64();
        let callbacks = Callbacks {
            offered: tally.offered.get(),
            acknowledged,
            not_acknowledged: tally.given_up.get(),
            per_second: acknowledged as f64 / seconds.max(f64::MIN_POSITIVE),
            repeats: tally.repeats.get(),
            refused: tally.refused.get(),
            timed_out: tally.timed_out.get(),
            unreachable: tally.unreachable.get(),
            broken: tally.broken.get(),
        };
        let pokes = Pokes {
            total: tally.pokes.get(),
            per_acknowledged: tally.pokes.get() as f64 / acknowledged.max(1) as f64,
            before_registration: tally.before_registration.get(),
            before_ready: tally.before_ready.get(),
            without_token: tally.anonymous.get(),
            unreadable: tally.unreadable.get(),
            misrouted: tally.misrouted.get(),
            probes: tally.probes.get(),
        };
        Self {
            corps: shared.crowd.corps().len(),
            accounts: shared.crowd.len(),
            bots: shared.options.bots,
            seconds,
            callbacks,
            latency_ms: shared.latencies.percentiles(),
            pokes,
            proof: Proof::of(shared, settling),
        }
    }
}

impl Proof {
    fn of(shared: &Shared, settling: Duration) -> Self {
        let mut proof = Self { holds: true, owed: 0, proven: 0, seconds: settling.as_secs_f64(), missing: Vec::new() };
        for (account, member) in shared.crowd.members() {
            let standing = member.ledger.lock().standing();
            match standing {
                Standing::NothingOwed => continue,
                Standing::Proven => proof.proven += 1,
                Standing::Missing { acknowledged, arrived } if proof.missing.len() < NAMED => {
                    proof.missing.push(Missing {
                        corp_id: shared.crowd.corp_of(account).receive_id.clone(),
                        open_kf_id: shared.crowd.open_kf_id(account),
                        bot: member.condition,
                        acknowledged,
                        arrived,
                    });
                }
                Standing::Missing { .. } => {}
            }
            proof.owed += 1;
        }
        // A run in which nothing was acknowledged proves nothing.
        proof.holds = proof.owed > 0 && proof.proven == proof.owed;
        proof
    }
}

/// Accounts whose newest acknowledged event has not arrived yet.
pub(super) fn missing(shared: &Shared) -> usize {
    let is_missing = |standing| matches!(standing, Standing::Missing { .. });
    shared.crowd.members().filter(|(_, member)| is_missing(member.ledger.lock().standing())).count()
}

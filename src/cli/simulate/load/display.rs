//! What `simulate load` shows: a line that moves, and the result.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::domain::grouped;
use crate::simulator::load::{Callbacks, Load, Missing, Outcome, Phase, Pokes, Progress, Proof};

use super::super::super::report::{self, BOLD, DIM, GREEN, RED};

/// The narrowest terminal that the line fits into without wrapping is one column wider.
const WIDEST: usize = 79;

/// Redraws the line until the run is over. Each phase is also said once, where no terminal is.
pub(super) async fn follow(load: &Load, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    let mut before: Option<(Instant, Progress)> = None;
    loop {
        ticks.tick().await;
        let (now, progress) = (Instant::now(), load.progress());
        if before.is_none_or(|(_, before)| before.phase != progress.phase) {
            report::progress("");
            report::note(format_args!("{DIM}{}{DIM:#}", headline(&progress)));
        }
        let rate = before.map_or(0.0, |(at, before)| {
            let answered = progress.acknowledged.saturating_sub(before.acknowledged);
            answered as f64 / now.duration_since(at).as_secs_f64().max(0.001)
        });
        let missing = (progress.phase == Phase::Settling).then(|| load.missing());
        report::progress(line(&progress, rate, missing));
        before = Some((now, progress));
    }
}

/// Prints each stretch of the run as one JSON object.
pub(super) async fn windows(load: &Load, every: Duration) -> serde_json::Error {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    let mut windows = load.windows();
    loop {
        ticks.tick().await;
        match serde_json::to_string(&windows.look()) {
            Ok(window) => report::data(window),
            Err(error) => return error,
        }
    }
}

fn headline(progress: &Progress) -> String {
    match progress.phase {
        Phase::Registering => "registering the bots".to_owned(),
        Phase::Pausing => format!("{} bots registered", grouped(progress.registered)),
        Phase::Calling => "calling".to_owned(),
        Phase::Settling => "every bot heals; waiting for what is owed".to_owned(),
    }
}

/// At most [`WIDEST`] characters.
fn line(progress: &Progress, rate: f64, missing: Option<usize>) -> String {
    let Progress { phase, elapsed, registered, offered, acknowledged, given_up, failed, pokes, .. } = progress;
    let seconds = elapsed.as_secs();
    let mut line = format!("{seconds:>4} s");
    let _ = match (phase, missing) {
        (Phase::Registering, _) => write!(line, "  {registered} registered"),
        (Phase::Pausing, _) => Ok(()),
        (Phase::Calling, _) => {
            let under_way = offered.saturating_sub(acknowledged + given_up);
            write!(line, "  {acknowledged} ok  {rate:.0}/s  {under_way} open  {failed} failed  {given_up} given up")
        }
        (Phase::Settling, missing) => write!(line, "  {pokes} pokes  {} accounts to go", missing.unwrap_or_default()),
    };
    line.chars().take(WIDEST).collect()
}

/// The result, in words.
pub(super) fn outcome(outcome: &Outcome) {
    let Outcome { corps, accounts, bots, callbacks, latency_ms: latency, .. } = outcome;
    row("accounts", format!("{} of {corps} corps", grouped(*accounts as u64)));
    row("bots", bots.to_string());
    let (offered, acknowledged) = (grouped(callbacks.offered), grouped(callbacks.acknowledged));
    let not = grouped(callbacks.not_acknowledged);
    let seconds = outcome.seconds;
    row("callbacks", format!("{offered} offered in {seconds:.1} s, {acknowledged} acknowledged, {not} not"));
    row("throughput", format!("{:.0} acknowledged a second", callbacks.per_second));
    let [p50, p90, p99, p999, max] =
        [latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map(three_digits);
    row("latency", format!("p50 {p50}  p90 {p90}  p99 {p99}  p99.9 {p999}  max {max} ms"));
    sendings(callbacks);
    pokes(&outcome.pokes);
    proof(&outcome.proof);
}

fn sendings(callbacks: &Callbacks) {
    let Callbacks { repeats, refused, timed_out, unreachable, broken, .. } = callbacks;
    if [repeats, refused, timed_out, unreachable, broken].iter().any(|&&number| number > 0) {
        let unanswered = format!("{timed_out} timed out, {unreachable} unreachable, {broken} broken off");
        row("failures", format!("{refused} refused, {unanswered}"));
        row("repeats", grouped(*repeats));
    }
}

fn pokes(pokes: &Pokes) {
    let total = grouped(pokes.total);
    row("pokes", format!("{total}, {:.3} an acknowledged callback; {} probes", pokes.per_acknowledged, pokes.probes));
    let Pokes { before_ready, before_registration, .. } = pokes;
    if before_ready + before_registration > 0 {
        row("too early", format!("{before_ready} between registering and ready, {before_registration} before that"));
    }
    let strange = [
        ("without this run's token", pokes.without_token),
        ("unreadable", pokes.unreadable),
        ("about another account", pokes.misrouted),
    ];
    for (what, number) in strange.into_iter().filter(|&(_, number)| number > 0) {
        row("strange", format!("{RED}{number} pokes {what}{RED:#}"));
    }
}

fn proof(proof: &Proof) {
    let (owed, missing) = (grouped(proof.owed as u64), proof.owed - proof.proven);
    match (proof.holds, proof.owed) {
        (true, _) => {
            row("proof", format!("{GREEN}holds{GREEN:#} after {:.1} s: of each of {owed} accounts,", proof.seconds));
            row("", "the newest acknowledged event arrived, or a later one".to_owned());
        }
        (false, 0) => row("proof", format!("{RED}fails{RED:#}: nothing was acknowledged")),
        (false, _) => {
            let missing = grouped(missing as u64);
            row("proof", format!("{RED}fails{RED:#} after {:.1} s: of {missing} of {owed} accounts,", proof.seconds));
            row("", "the newest acknowledged event did not arrive, nor a later one".to_owned());
        }
    }
    for Missing { corp_id, open_kf_id, bot, acknowledged, arrived } in &proof.missing {
        let arrived = if *arrived == 0 { "none".to_owned() } else { arrived.to_string() };
        let seen = format!("acknowledged number {acknowledged}, arrived {arrived}");
        report::data(format_args!("  {open_kf_id} of {corp_id} ({bot}): {seen}"));
    }
    if missing > proof.missing.len() {
        report::data(format_args!("  … and {} more", grouped((missing - proof.missing.len()) as u64)));
    }
}

fn row(name: &str, text: String) {
    report::data(format_args!("{BOLD}{name:<12}{BOLD:#}{text}"));
}

/// Milliseconds, as exactly as they were measured.
fn three_digits(ms: f64) -> String {
    let decimals = match ms {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{ms:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_never_wraps_at_80_columns() {
        let most = u64::MAX / 4;
        for phase in [Phase::Registering, Phase::Pausing, Phase::Calling, Phase::Settling] {
            let progress = Progress {
                phase,
                elapsed: Duration::from_secs(100_000),
                registered: most,
                offered: most,
                acknowledged: most / 2,
                given_up: most / 4,
                failed: most,
                pokes: most,
                probes: most,
            };
            let line = line(&progress, 1e9, Some(usize::MAX));
            assert!(line.chars().count() <= WIDEST, "{line}");
        }
    }

    #[test]
    fn shows_the_digits_that_were_measured() {
        assert_eq!([0.123, 12.345, 1_234.5].map(three_digits), ["0.12", "12.3", "1234"]);
    }
}

//! The table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::callers::Measured;

pub struct Report {
    text: String,
}

impl Report {
    pub fn new(rounds: usize, round: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut text = format!("{cores} cores, {rounds} rounds of {} s each, in turns\n\n", round.as_secs());
        text.push_str("| | gateway /s (spread) | bare /s (spread) | ratio | p50 ours / bare | p99 ours / bare | pokes per callback |\n");
        text.push_str("|---|---|---|---|---|---|---|\n");
        Self { text }
    }

    pub fn start(&mut self, ready_after: Duration, memory: f64) {
        println!("ready after {} ms, {memory:.1} MiB resident idle", ready_after.as_millis());
    }

    pub fn memory(&mut self, when: &str, memory: f64) {
        println!("{memory:.1} MiB resident {when}");
    }

    /// How long after its callers had ended each round's last event came.
    pub fn arrived(&mut self, row: &str, after: &[Duration]) {
        let seconds: Vec<String> = after.iter().map(|after| format!("{:.1}", after.as_secs_f64())).collect();
        println!("{row}: all had arrived {} s after the rounds", seconds.join(", "));
    }

    pub fn compare(&mut self, name: &str, ours: &[Measured], bare: &[Measured], pokes: Option<f64>) {
        let (our_rate, our_low, our_high) = rates(ours);
        let (bare_rate, bare_low, bare_high) = rates(bare);
        let latency = |share: f64| {
            let (ours, bare) = (latency(ours, share), latency(bare, share));
            format!("{:.2} / {:.2} ms = {:.2}", ours * 1e3, bare * 1e3, ours / bare)
        };
        let pokes = pokes.map_or(String::new(), |pokes| format!("{pokes:.3}"));
        let _ = writeln!(
            self.text,
            "| {name} | {our_rate:.0} ({our_low:.0}–{our_high:.0}) | {bare_rate:.0} ({bare_low:.0}–{bare_high:.0}) | {:.2} | {} | {} | {pokes} |",
            our_rate / bare_rate,
            latency(0.5),
            latency(0.99),
        );
    }

    /// A row that cannot be measured here, and why.
    pub fn leave_out(&mut self, name: &str, why: &str) {
        let _ = writeln!(self.text, "| {name} | {why} | | | | | |");
    }

    pub fn print(&self) {
        println!("\n{}", self.text);
    }
}

/// Median, lowest and highest.
pub fn rates(rounds: &[Measured]) -> (f64, f64, f64) {
    let mut rates: Vec<f64> = rounds.iter().map(|round| round.per_second).collect();
    rates.sort_unstable_by(f64::total_cmp);
    (rates[rates.len() / 2], rates[0], rates[rates.len() - 1])
}

/// The median over the rounds, in seconds.
pub fn latency(rounds: &[Measured], share: f64) -> f64 {
    let mut latencies: Vec<f64> = rounds.iter().map(|round| round.percentile(share).as_secs_f64()).collect();
    latencies.sort_unstable_by(f64::total_cmp);
    latencies[latencies.len() / 2]
}

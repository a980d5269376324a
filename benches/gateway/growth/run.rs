//! One line of the table: a gateway that finds so much, is told of each once, then as fast as it can take
//! it, and starts again.

use std::fmt;
use std::time::Duration;

use super::scale::Scale;
use super::{CALLERS, ROUND, ROUNDS, stock};
use crate::bot::Bot;
use crate::callers::{self, Measured};
use crate::cpus::CpuSet;
use crate::events::News;
use crate::gateway::Gateway;
use crate::report::{latency, rates};

pub const HEAD: &str = "\
| | cores | ready after | idle | first callbacks /s | MiB then | callbacks /s | p50 | p99 | pokes per callback | MiB then | ready again after | idle |
|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// Until what a start needed for itself is given back.
const SETTLING: Duration = Duration::from_secs(1);

/// A gateway that just started. Memory is in MiB here.
struct Start {
    ready_after: Duration,
    idle: f64,
}

pub struct Run {
    first_start: Start,
    /// While each was told of for the first time.
    first: Measured,
    memory_known: f64,
    rounds: Vec<Measured>,
    pokes_per_callback: f64,
    memory_loaded: f64,
    second_start: Start,
}

impl Run {
    pub async fn measure(scale: Scale, cpus: Option<&CpuSet>, bot: &Bot) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let corps_file = stock::fill(data.path(), scale, bot).await?;
        let settings: Vec<(&str, &str)> = corps_file.iter().map(|path| ("CORPS_FILE", path.as_str())).collect();
        let gateway = Gateway::start_on(data, cpus, &settings).await?;
        let first_start = Start::of(&gateway).await?;

        let first = told_once(&gateway, scale, bot).await?;
        let memory_known = gateway.resident_memory()?;
        let (rounds, pokes_per_callback) = load(&gateway, scale, bot).await?;
        let memory_loaded = gateway.resident_memory()?;

        let gateway = Gateway::start_on(gateway.stop().await?, cpus, &settings).await?;
        let second_start = Start::of(&gateway).await?;
        Ok(Self { first_start, first, memory_known, rounds, pokes_per_callback, memory_loaded, second_start })
    }

    pub fn memory_idle(&self) -> f64 {
        self.first_start.idle
    }

    /// After everything was told of once.
    pub fn memory_known(&self) -> f64 {
        self.memory_known
    }
}

impl Start {
    async fn of(gateway: &Gateway) -> anyhow::Result<Self> {
        tokio::time::sleep(SETTLING).await;
        Ok(Self { ready_after: gateway.ready_after, idle: gateway.resident_memory()? })
    }
}

async fn told_once(gateway: &Gateway, scale: Scale, bot: &Bot) -> anyhow::Result<Measured> {
    let before = bot.pokes();
    let first = callers::one_turn(&gateway.url, scale.news(), CALLERS).await?;
    arrived(scale, bot, before + first.answered).await?;
    Ok(first)
}

async fn load(gateway: &Gateway, scale: Scale, bot: &Bot) -> anyhow::Result<(Vec<Measured>, f64)> {
    let (mut rounds, mut answered) = (Vec::new(), 0);
    let before = bot.pokes();
    for _ in 0..ROUNDS {
        let round = callers::callbacks(&gateway.url, scale.news(), CALLERS, ROUND).await?;
        answered += round.answered;
        arrived(scale, bot, before + answered).await?;
        rounds.push(round);
    }
    Ok((rounds, (bot.pokes() - before) as f64 / answered as f64))
}

/// Services get every event some time after it was acknowledged. Bots had theirs before, or what
/// stands for it.
async fn arrived(scale: Scale, bot: &Bot, pokes: u64) -> anyhow::Result<()> {
    if let News::Services { .. } = scale.news() {
        bot.has_taken(pokes).await?;
    }
    Ok(())
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, memory_known, rounds, pokes_per_callback, memory_loaded, .. } = self;
        let rate = rates(rounds).0;
        // Fewer are over before their rate means anything.
        let first = if first.answered < 1_000 { String::new() } else { format!("{:.0}", first.per_second) };
        let [p50, p99] = [0.5, 0.99].map(|share| latency(rounds, share) * 1e3);
        write!(f, "| {} | {first} | {memory_known:.1} | {rate:.0} ", self.first_start)?;
        write!(f, "| {p50:.2} ms | {p99:.2} ms | {pokes_per_callback:.3} | {memory_loaded:.1} | {}", self.second_start)
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms | {:.1} MiB", self.ready_after.as_millis(), self.idle)
    }
}

//! How cost grows: the gateway alone, on one core and on two, with ever more of everything it knows.
//!
//! The one decision a reader would question: the store is filled by the gateway's own library before the
//! gateway starts. The rows are the same as those of registrations, and a hundred thousand take seconds.

mod memory;
mod run;
mod scale;
mod stock;

use std::time::Duration;

use self::run::Run;
use self::scale::Scale;
use crate::bot::Bot;
use crate::cpus::CpuSet;
use crate::is_wanted;

/// Callers at the same time.
const CALLERS: usize = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);

/// Prints each line when it is measured, because all take minutes.
pub async fn measure() -> anyhow::Result<()> {
    let bot = Bot::start().await?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores; {CALLERS} callers; medians of {ROUNDS} rounds of {} s\n", ROUND.as_secs());
    println!("{}", run::HEAD);
    let cpu_sets = cpu_sets().await;
    let mut runs = Vec::new();
    for scale in Scale::ALL.into_iter().filter(|scale| is_wanted(&scale.to_string())) {
        if let Scale::Bots(bots) = scale {
            bot.multiply(bots).await?;
        }
        for (at, cpus) in cpu_sets.iter().enumerate() {
            let run = Run::measure(scale, cpus.as_ref(), &bot).await?;
            let cores = cpus.as_ref().map_or_else(|| "all".to_owned(), |cpus| cpus.size.to_string());
            println!("| {scale} | {cores} {run} |");
            if at == 0 {
                runs.push((scale, run));
            }
        }
    }
    println!("\n{}", memory::HEAD);
    memory::lines(&runs).iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// One core, then two; all of them as they are where programs cannot be bound.
async fn cpu_sets() -> Vec<Option<CpuSet>> {
    let mut sets = Vec::new();
    for size in [1, 2] {
        sets.extend(CpuSet::first(size).await.map(Some));
    }
    if sets.is_empty() { vec![None] } else { sets }
}

//! What a thousand of each cost in memory: the difference of the most and the least that were measured.

use super::run::Run;
use super::scale::Scale;

pub const HEAD: &str = "\
| MiB a thousand | at the start | after a callback of each |
|---|---|---|";

/// A line for each kind whose least was measured too; all runs are on the same CPUs.
pub fn lines(runs: &[(Scale, Run)]) -> Vec<String> {
    let most = runs.iter().enumerate().filter(|(at, (scale, _))| {
        let mut later = runs.iter().skip(at + 1);
        later.all(|(later, _)| later.kind() != scale.kind())
    });
    most.filter_map(|(_, (scale, most))| {
        let (least_scale, least) = runs.iter().find(|(other, _)| *other == scale.least())?;
        let thousands = (scale.count() - least_scale.count()) as f64 / 1e3;
        let start = (most.memory_idle() - least.memory_idle()) / thousands;
        let known = (most.memory_known() - least.memory_known()) / thousands;
        (scale != least_scale).then(|| format!("| {} | {start:.2} | {known:.2} |", scale.kind()))
    })
    .collect()
}

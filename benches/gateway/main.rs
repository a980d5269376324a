//! What the guarantees cost: the gateway against bare programs that give none, side by side in one
//! run, on the same machine, called by the same callers.
//!
//! `cargo bench --bench gateway` prints the table as Markdown; with words after `--`, only the rows whose
//! names hold one of them. Every comparison runs its sides in turns and shows the ratio of their medians,
//! because machines are noisy and ratios less so.
//!
//! `cargo bench --bench gateway -- growth` prints another table: how the gateway's cost grows.

#![expect(clippy::print_stdout, reason = "the tables are what it is for")]

mod baseline;
mod bot;
mod callers;
mod comparison;
mod cpus;
mod events;
mod gateway;
mod growth;
mod mongo;
mod process;
mod report;
mod upstream;

/// The word for the other table.
const GROWTH: &str = "growth";

fn main() -> anyhow::Result<()> {
    wxkf_gateway::egress::install_tls_provider();
    // The bare programs run in processes of their own, as the gateway does.
    if let Some(kind) = std::env::args().nth(1).filter(|kind| kind.starts_with("bare-")) {
        return baseline::run(&kind);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if words().any(|word| word == GROWTH) {
        runtime.block_on(growth::measure())
    } else {
        runtime.block_on(comparison::compare())
    }
}

/// All rows are wanted, unless words are given.
fn is_wanted(row: &str) -> bool {
    let mut chosen = words().filter(|word| word != GROWTH).peekable();
    chosen.peek().is_none() || chosen.any(|word| row.contains(&word))
}

fn words() -> impl Iterator<Item = String> {
    std::env::args().skip(1).filter(|word| !word.starts_with("--"))
}

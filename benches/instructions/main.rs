//! What the gateway executes on its hot paths, for callgrind to count (`benches/instructions/run`): the same at each
//! run, within a thousandth or two, whatever else the machine does.
//!
//! Arguments: what is to be counted, and how often it is done.

#![expect(clippy::print_stdout, reason = "it says what it did")]

mod gateway;
mod pieces;
mod world;

#[path = "../gateway/events.rs"]
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod events;

use anyhow::Context as _;
use wxkf_gateway::telemetry::Metrics;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let subject = arguments.next().context("what is to be counted?")?;
    let times = arguments.next().map_or(Ok(500), |times| times.parse())?;
    match subject.as_str() {
        "crypto" => pieces::crypto(times)?,
        "envelope" => pieces::envelope(times)?,
        "token" => gateway::tokens(times)?,
        "callback" => gateway::callbacks(times, Metrics::install()?)?,
        "callback-unrecorded" => gateway::callbacks(times, Metrics::unrecorded())?,
        other => anyhow::bail!("{other} cannot be counted"),
    }
    println!("{subject}: {times}");
    Ok(())
}

/// What is counted; by this name callgrind knows where to begin.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

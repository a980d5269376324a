//! The binary: everything is in the library, so that tests reach it.

/// Events are made on one thread and freed on another, which the system's allocator is slow at: it
/// costs a third of the throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    wxkf_gateway::cli::main()
}

//! The binary: everything is in the library, so that tests reach it.

/// musl's own allocator costs a quarter of the throughput; glibc's is as good, and smaller when idle.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    wxkf_gateway::cli::main()
}

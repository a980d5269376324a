//! Some of this machine's CPUs, for one program alone.

use tokio::process::Command;

/// As `taskset` names them.
pub struct CpuSet {
    list: String,
    pub size: usize,
}

impl CpuSet {
    /// The first so many that this process may use; `None` when there are fewer, or no `taskset`.
    pub async fn first(size: usize) -> Option<Self> {
        let ours = ours()?;
        let list: Vec<String> = ours.get(..size)?.iter().map(u32::to_string).collect();
        let set = Self { list: list.join(","), size };
        set.command("true").status().await.is_ok_and(|status| status.success()).then_some(set)
    }

    /// Runs the program on them. It keeps the process id.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &self.list, program]);
        command
    }
}

/// Those of this process: a container may have any.
fn ours() -> Option<Vec<u32>> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cpus = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(cpus)
}

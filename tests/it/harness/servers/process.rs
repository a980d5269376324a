//! A server process with a directory and a port of its own: killed, frozen, started again.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// How a server is started in a directory, at a port.
type Line = dyn Fn(&Path, u16) -> Command + Send + Sync;

/// The command under a shell that ends it, and removes its directory, when its standard input is closed:
/// for a server that lives as long as the tests' own process, whatever ends that. A static is never dropped.
pub(super) fn until_stdin_closes(command: &Command, dir: &Path) -> Command {
    let command = command.as_std();
    let mut shell = Command::new("sh");
    // Control-C reaches the shell too, which has to outlive the tests.
    let script = r#"trap '' INT TERM HUP; dir=$1; shift
        "$@" </dev/null & cat >/dev/null; kill -9 $!; wait; rm -rf "$dir""#;
    shell.args(["-c", script, "sh"]).arg(dir);
    shell.arg(command.get_program()).args(command.get_args());
    // Killing the shell would leave the server behind; dropping it closes its input.
    shell.kill_on_drop(false);
    shell
}

/// Ends when it is dropped, if its command is killed on drop or ends with its standard input.
pub(super) struct Process {
    line: Box<Line>,
    dir: TempDir,
    port: u16,
    child: Child,
}

impl Process {
    /// Waits until something listens.
    pub(super) async fn start(line: impl Fn(&Path, u16) -> Command + Send + Sync + 'static) -> Result<Self, String> {
        let port = free_port().await;
        let dir = tempfile::tempdir().unwrap();
        let child = spawn(&line, dir.path(), port)?;
        let mut process = Self { line: Box::new(line), dir, port, child };
        process.wait_until_it_listens().await?;
        Ok(process)
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// `kill -9`.
    pub(super) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// On the same port and directory, after it was killed.
    pub(super) async fn start_again(&mut self) {
        self.child = spawn(&self.line, self.dir.path(), self.port).unwrap();
        self.wait_until_it_listens().await.unwrap();
    }

    /// Its connections stay, and nothing is answered.
    pub(super) fn freeze(&self) {
        self.signal("-STOP");
        // The signal reaches one thread after the other; until the last, something is answered.
        while !self.is_stopped() {
            std::thread::yield_now();
        }
    }

    fn is_stopped(&self) -> bool {
        let tasks = format!("/proc/{}/task", self.child.id().expect("the server ended"));
        let stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('T') || rest.is_empty())
        };
        std::fs::read_dir(tasks).unwrap().flatten().all(stopped)
    }

    pub(super) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("the server ended").to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    async fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while TcpStream::connect(self.address()).await.is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(format!("the server ended with {status}: {}", self.log()));
            }
            if began.elapsed() > Duration::from_secs(30) {
                return Err(format!("the server does not listen: {}", self.log()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Below those that the system gives to outgoing connections: a server that was killed finds its port free
/// when it starts again, and nobody who calls it meanwhile is connected to himself.
async fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        // Test processes that run at once begin apart.
        let next = std::process::id().wrapping_mul(127).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + next % COUNT).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
}

fn spawn(line: &Line, dir: &Path, port: u16) -> Result<Child, String> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = line(dir, port);
    command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().map_err(|error| {
        let program = command.as_std().get_program().to_string_lossy();
        format!("{program} cannot be started: {error}. tests/servers/install installs it")
    })
}

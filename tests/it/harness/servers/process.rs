//! A server process with a directory and a port of its own: killed, frozen, started again.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// How a server is started in a directory, at a port.
type Line = dyn Fn(&Path, u16) -> Command + Send + Sync;

/// The command under a shell that ends it when its standard input is closed: for a server that lives as
/// long as the tests' own process, whatever ends that.
pub(super) fn until_stdin_closes(command: &Command) -> Command {
    let command = command.as_std();
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$@" </dev/null & cat >/dev/null; kill -9 $!"#, "sh"]);
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
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
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

fn spawn(line: &Line, dir: &Path, port: u16) -> Result<Child, String> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = line(dir, port);
    command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().map_err(|error| format!("{}: {error}", command.as_std().get_program().to_string_lossy()))
}

//! A server for all cases that run at the same time; each case has a database of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    FerretDb,
    MongoJava,
}

/// Killed when the last case drops it.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    address: SocketAddr,
    process: Child,
    dir: Option<TempDir>,
}

static RUNNING: [Mutex<Weak<Server>>; 2] = [Mutex::new(Weak::new()), Mutex::new(Weak::new())];

impl Server {
    pub fn shared(kind: Kind) -> Arc<Self> {
        let mut running = RUNNING[kind as usize].lock();
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start(kind));
            *running = Arc::downgrade(&server);
            server
        })
    }

    pub fn start(kind: Kind) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self::run(kind, tempfile::tempdir().unwrap(), address)
    }

    /// The same one with its data, as a new process.
    pub fn restarted(mut self) -> Self {
        self.kill();
        Self::run(self.kind, self.dir.take().unwrap(), self.address)
    }

    fn run(kind: Kind, dir: TempDir, address: SocketAddr) -> Self {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers");
        let mut command = match kind {
            Kind::FerretDb => ferretdb(&installed, dir.path(), address),
            Kind::MongoJava => mongo_java(&installed, dir.path(), address),
        };
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.expect("not installed: run tests/servers/install");
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < until, "{kind:?} does not listen");
            std::thread::yield_now();
        }
        Self { kind, address, process, dir: Some(dir) }
    }

    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// It accepts connections from now on, and never answers.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let killed = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(killed.unwrap().success());
    }

    /// The URI of a database that nobody else uses.
    pub fn database(&self) -> String {
        format!("mongodb://{}/case_{:016x}", self.address, rand::random::<u64>())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn ferretdb(installed: &Path, dir: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(installed.join("ferretdb/ferretdb"));
    command
        .arg("--handler=sqlite")
        .arg(format!("--sqlite-url=file:{}/", dir.display()))
        .arg(format!("--state-dir={}", dir.display()))
        .arg(format!("--listen-addr={address}"))
        .args(["--debug-addr=-", "--telemetry=disable", "--log-level=error"]);
    command
}

fn mongo_java(installed: &Path, dir: &Path, address: SocketAddr) -> Command {
    let made: PathBuf = installed.join("mongo_java");
    let mut command = Command::new("java");
    command.arg("-cp").arg(format!("{}:{}/lib/*", made.display(), made.display())).arg("Main");
    command.arg(address.port().to_string()).arg(dir.join("data"));
    command
}

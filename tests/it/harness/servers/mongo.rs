//! Servers that speak MongoDB's protocol and keep what they acknowledged over a kill.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use mongodb::Client;
use mongodb::bson::doc;
use tokio::process::Command;
use tokio::sync::OnceCell;

use super::process::{Process, until_stdin_closes};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MongoKind {
    FerretDb,
    MongoJava,
    /// The one that `MONGO_TEST_URI` names; only shared.
    Given,
}

pub(crate) struct MongoServer(Process);

fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers").join(path)
}

fn ferretdb(dir: &Path, port: u16) -> Command {
    let mut command = Command::new(installed("ferretdb/ferretdb"));
    command.kill_on_drop(true);
    command.args(["--handler=sqlite", "--telemetry=disable", "--log-level=warn", "--debug-addr=-"]);
    command.arg(format!("--sqlite-url=file:{}/", dir.display())).arg(format!("--state-dir={}", dir.display()));
    command.arg(format!("--listen-addr=127.0.0.1:{port}"));
    command
}

fn mongo_java(dir: &Path, port: u16) -> Command {
    let mut command = Command::new("java");
    command.kill_on_drop(true);
    let classes = installed("mongo_java");
    command.args(["-Xmx400m", "-cp"]).arg(format!("{0}:{0}/lib/*", classes.display())).arg("Main");
    command.arg(port.to_string()).arg(dir.join("data"));
    command
}

/// A virtual machine that listens is not yet warm enough for a driver's patience.
async fn answers(address: impl std::fmt::Display) {
    let client = Client::with_uri_str(format!("mongodb://{address}/?serverSelectionTimeoutMS=30000")).await.unwrap();
    client.database("admin").run_command(doc! { "ping": 1 }).await.unwrap();
}

impl MongoServer {
    pub(crate) async fn start(kind: MongoKind) -> Result<Self, String> {
        let process = match kind {
            MongoKind::FerretDb => Process::start(ferretdb).await?,
            MongoKind::MongoJava => Process::start(mongo_java).await?,
            MongoKind::Given => return Err("it is not ours to start".to_owned()),
        };
        answers(process.address()).await;
        Ok(Self(process))
    }

    /// The `host:port` of a server that all tests of this process share, each with a database of its own.
    pub(crate) async fn shared(kind: MongoKind) -> String {
        static FERRETDB: OnceCell<Process> = OnceCell::const_new();
        static MONGO_JAVA: OnceCell<Process> = OnceCell::const_new();
        let start = async |line: fn(&Path, u16) -> Command| {
            let process = Process::start(move |dir, port| until_stdin_closes(&line(dir, port), dir)).await.unwrap();
            answers(process.address()).await;
            process
        };
        let server = match kind {
            MongoKind::FerretDb => FERRETDB.get_or_init(|| start(ferretdb)).await,
            MongoKind::MongoJava => MONGO_JAVA.get_or_init(|| start(mongo_java)).await,
            MongoKind::Given => {
                #[expect(clippy::disallowed_methods, reason = "a setting of the tests")]
                let uri = std::env::var("MONGO_TEST_URI").expect("set MONGO_TEST_URI to mongodb://host:port");
                let address = uri.trim_start_matches("mongodb://").trim_end_matches('/').to_owned();
                answers(&address).await;
                return address;
            }
        };
        server.address().to_string()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }

    pub(crate) async fn kill(&mut self) {
        self.0.kill().await;
    }

    pub(crate) async fn start_again(&mut self) {
        self.0.start_again().await;
        answers(self.address()).await;
    }

    pub(crate) fn freeze(&self) {
        self.0.freeze();
    }

    pub(crate) fn thaw(&self) {
        self.0.thaw();
    }

    /// Commands that it answered so far, the drivers' own heartbeats included and this question's.
    pub(crate) async fn commands(&self) -> u64 {
        let client = Client::with_uri_str(format!("mongodb://{}", self.address())).await.unwrap();
        let status = client.database("admin").run_command(doc! { "serverStatus": 1 }).await.unwrap();
        let commands = status.get_document("metrics").unwrap().get_document("commands").unwrap();
        commands.iter().filter_map(|(_, count)| count.as_document()?.get_i64("total").ok()).map(|n| n as u64).sum()
    }
}

//! Real servers, each a process of its own that can be killed, frozen and started again, and a relay
//! that stands for the network.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use wxkf_gateway::domain::Secret;
use wxkf_gateway::lifecycle::Tasks;

/// A `redis-server`, killed when dropped. It keeps nothing over a restart.
pub(in super::super) struct RedisServer {
    port: u16,
    arguments: Vec<String>,
    process: Child,
    dir: TempDir,
}

impl RedisServer {
    pub(in super::super) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(super) async fn start_with(arguments: &[&str]) -> Self {
        let (port, dir) = (free_port().await, tempfile::tempdir().unwrap());
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let process = spawn(&dir, port, &arguments);
        let server = Self { port, arguments, process, dir };
        server.answers().await;
        server
    }

    /// Where one will be; nobody is there yet.
    pub(super) async fn not_yet() -> Self {
        let mut server = Self::start().await;
        server.kill().await;
        server
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(in super::super) fn url(&self) -> Secret {
        Secret::new(format!("redis://127.0.0.1:{}", self.port))
    }

    /// `kill -9`.
    pub(super) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// On the same port, empty.
    pub(super) async fn start_again(&mut self) {
        self.process = spawn(&self.dir, self.port, &self.arguments);
        self.answers().await;
    }

    /// Its connections stay, and nothing answers.
    pub(super) async fn freeze(&self) {
        self.signal("-STOP").await;
    }

    pub(super) async fn thaw(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let pid = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    /// A connection of the test's own.
    pub(super) async fn ask<T: ::redis::FromRedisValue>(&self, command: &str) -> T {
        let client = ::redis::Client::open(self.url().expose()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut words = command.split(' ');
        let mut command = ::redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.query_async(&mut connection).await.unwrap()
    }

    async fn answers(&self) {
        let client = ::redis::Client::open(self.url().expose()).unwrap();
        until(async || {
            let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
            ::redis::cmd("PING").query_async::<()>(&mut connection).await.is_ok()
        })
        .await;
    }
}

/// A master, a replica of it and the Sentinel that watches both.
pub(in super::super) struct RedisSentinel {
    pub(super) master: RedisServer,
    pub(super) replica: RedisServer,
    port: u16,
    _process: Child,
    _dir: TempDir,
}

impl RedisSentinel {
    pub(in super::super) async fn start() -> Self {
        let master = RedisServer::start().await;
        let of = ["--replicaof", "127.0.0.1", &master.port().to_string()];
        let replica = RedisServer::start_with(&of).await;
        let (port, dir) = (free_port().await, tempfile::tempdir().unwrap());
        let config = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nsentinel monitor wxkf 127.0.0.1 {} 1\nsentinel down-after-milliseconds wxkf 500\n\
             sentinel failover-timeout wxkf 2000\n",
            master.port()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&config).arg("--sentinel").stdout(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().unwrap();
        let sentinel = Self { master, replica, port, _process: process, _dir: dir };
        let client = ::redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        // A failover needs a replica that the Sentinel has heard of.
        until(async || {
            let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
            let asked = ::redis::cmd("SENTINEL").arg("REPLICAS").arg("wxkf").query_async(&mut connection).await;
            asked.is_ok_and(|replicas: Vec<::redis::Value>| !replicas.is_empty())
        })
        .await;
        until(async || sentinel.replica.ask::<String>("INFO replication").await.contains("master_link_status:up"))
            .await;
        sentinel
    }

    /// An operator's wish.
    pub(super) async fn failover(&self) {
        let client = ::redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut wish = ::redis::cmd("SENTINEL");
        wish.arg("FAILOVER").arg("wxkf");
        // It is refused until the Sentinel has heard how the replica fares.
        let mut asked = async || wish.query_async::<()>(&mut connection).await.is_ok();
        until(&mut asked).await;
    }

    /// The first of the named Sentinels is one that is not there.
    pub(in super::super) fn url(&self) -> Secret {
        Secret::new(format!("redis-sentinel://127.0.0.1:1,127.0.0.1:{}/wxkf", self.port))
    }
}

/// A TCP relay in front of a server.
pub(super) struct Relay {
    address: String,
    state: Arc<Mutex<Line>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Whole,
    /// Connections come about, and nothing is carried.
    Mute,
    Cut,
}

impl Relay {
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(Line::Whole));
        let line = state.clone();
        drop(Tasks::new().spawn(async move { relay(listener, port, line).await }));
        Self { address, state }
    }

    pub(super) fn url(&self) -> Secret {
        Secret::new(format!("redis://{}", self.address))
    }

    pub(super) fn cut(&self) {
        *self.state.lock() = Line::Cut;
    }

    pub(super) fn mute(&self) {
        *self.state.lock() = Line::Mute;
    }

    pub(super) fn mend(&self) {
        *self.state.lock() = Line::Whole;
    }
}

async fn relay(listener: TcpListener, port: u16, state: Arc<Mutex<Line>>) {
    let mut calls = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let state = state.clone();
        let at_first = *state.lock();
        calls.spawn(async move {
            let changed = async {
                while *state.lock() == at_first {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let carry = async {
                match at_first {
                    Line::Whole => {
                        let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
                        copy_bidirectional(&mut near, &mut far).await.map(drop)
                    }
                    Line::Mute => std::future::pending().await,
                    Line::Cut => Ok(()),
                }
            };
            tokio::select! {
                () = changed => {}
                _ = carry => return,
            }
            // What falls silent stays so, whatever comes later: its peer has forgotten it.
            if *state.lock() != Line::Cut {
                std::future::pending::<()>().await;
            }
        });
    }
}

/// Waits, but not forever.
pub(super) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it never comes to that");
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn spawn(dir: &TempDir, port: u16, arguments: &Vec<String>) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(dir.path()).args(["--repl-diskless-sync-delay", "0"]).args(arguments);
    command.stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().expect("redis-server cannot be started: apt-get install redis-server")
}

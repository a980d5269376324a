//! Redis, without persistence: what it knows is gone when it is killed.

use std::net::SocketAddr;

use tokio::process::Command;

use super::process::Process;

pub(crate) struct RedisServer(Process);

impl RedisServer {
    pub(crate) async fn start() -> Result<Self, String> {
        let line = |dir: &std::path::Path, port: u16| {
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(dir);
            command.args(["--port", &port.to_string()]);
            command
        };
        Process::start(line).await.map(Self)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }

    pub(crate) async fn kill(&mut self) {
        self.0.kill().await;
    }

    pub(crate) async fn start_again(&mut self) {
        self.0.start_again().await;
    }

    pub(crate) fn freeze(&self) {
        self.0.freeze();
    }

    pub(crate) fn thaw(&self) {
        self.0.thaw();
    }

    /// Commands that it processed so far, this question included.
    pub(crate) async fn commands(&self) -> u64 {
        let client = redis::Client::open(format!("redis://{}", self.address())).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let stats: String = redis::cmd("INFO").arg("stats").query_async(&mut connection).await.unwrap();
        let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.unwrap().trim().parse().unwrap()
    }
}

//! Redis, without persistence: what it knows is gone when it is killed.

use std::net::SocketAddr;

use tokio::process::Command;
use wxkf_gateway::domain::Secret;

use super::process::Process;

pub(crate) struct RedisServer(Process);

impl RedisServer {
    pub(crate) async fn start() -> Result<Self, String> {
        Self::start_with(&[]).await
    }

    /// With these arguments more.
    pub(crate) async fn start_with(arguments: &[&str]) -> Result<Self, String> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let line = move |dir: &std::path::Path, port: u16| {
            let mut command = Command::new("redis-server");
            command.kill_on_drop(true);
            command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]).arg(dir);
            command.args(["--port", &port.to_string()]).args(&arguments);
            command
        };
        Process::start(line).await.map(Self)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }

    pub(crate) fn url(&self) -> Secret {
        Secret::new(format!("redis://{}", self.address()))
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

    /// The answer to a command, its words parted by spaces.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, command: &str) -> T {
        ask(self.address(), command).await.unwrap()
    }

    /// What it says of its part beside other servers; nothing while it changes that.
    pub(crate) async fn replication(&self) -> String {
        ask(self.address(), "INFO replication").await.unwrap_or_default()
    }

    /// Commands that it processed so far, this question included.
    pub(crate) async fn commands(&self) -> u64 {
        let stats: String = self.ask("INFO stats").await;
        let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.unwrap().trim().parse().unwrap()
    }
}

pub(super) async fn ask<T: redis::FromRedisValue>(server: SocketAddr, command: &str) -> redis::RedisResult<T> {
    let client = redis::Client::open(format!("redis://{server}"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command.query_async(&mut connection).await
}

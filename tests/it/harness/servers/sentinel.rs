//! A master, a replica of it, and the Sentinel that watches both and may act alone.

use std::path::Path;

use tokio::process::Command;
use wxkf_gateway::domain::Secret;

use super::process::Process;
use super::redis::{RedisServer, ask};
use crate::admin::until;

pub(crate) struct RedisSentinel {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
    sentinel: Process,
}

impl RedisSentinel {
    pub(crate) async fn start() -> Result<Self, String> {
        // A master waits 5 s for more replicas before it serves the first.
        let master = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]).await?;
        let port = master.address().port().to_string();
        let replica_of = ["--replicaof", "127.0.0.1", &port];
        let replica = RedisServer::start_with(&replica_of).await?;
        // Before anybody can take a master that is slow to start for a dead one, and fail over from it.
        until(async || replica.replication().await.contains("master_link_status:up")).await;
        let sentinel = Process::start(move |dir: &Path, at: u16| {
            let text = format!(
                "port {at}\nsentinel monitor wxkf 127.0.0.1 {port} 1\n\
                 sentinel down-after-milliseconds wxkf 500\nsentinel failover-timeout wxkf 2000\n"
            );
            std::fs::write(dir.join("sentinel.conf"), text).unwrap();
            let mut command = Command::new("redis-server");
            command.kill_on_drop(true);
            command.arg(dir.join("sentinel.conf")).arg("--sentinel");
            command
        });
        let watched = Self { master, replica, sentinel: sentinel.await? };
        // A failover needs a replica that the Sentinel has heard of.
        let known = async || ask::<Vec<redis::Value>>(watched.sentinel.address(), "SENTINEL REPLICAS wxkf").await;
        until(async || known().await.is_ok_and(|replicas| !replicas.is_empty())).await;
        Ok(watched)
    }

    /// The first of the Sentinels that it names is not there.
    pub(crate) fn url(&self) -> Secret {
        Secret::new(format!("redis-sentinel://127.0.0.1:1,{}/wxkf", self.sentinel.address()))
    }

    /// An operator's wish. It is refused until the Sentinel has heard how the replica fares.
    pub(crate) async fn fail_over(&self) {
        until(async || ask::<()>(self.sentinel.address(), "SENTINEL FAILOVER wxkf").await.is_ok()).await;
    }
}

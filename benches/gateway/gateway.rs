//! The gateway: the real binary on embedded defaults, all guarantees on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::cpus::CpuSet;
use crate::events::{self, AES_KEY, CORP, SECRET, TOKEN};
use crate::process::free_port;
use crate::upstream;

const BINARY: &str = env!("CARGO_BIN_EXE_wxkf-gateway");
/// Longer than a start or an end ever takes.
const SOON: Duration = Duration::from_secs(30);
const REGISTERED_AT_ONCE: usize = 64;

/// It ends when this is dropped.
pub struct Gateway {
    pub url: String,
    /// What stands for WeCom.
    pub upstream: String,
    /// From the start of the process to its first `ready`.
    pub ready_after: Duration,
    admin_token: String,
    http: reqwest::Client,
    process: Child,
    data: TempDir,
}

impl Gateway {
    pub async fn start(extra: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_on(tempfile::tempdir()?, None, extra).await
    }

    /// On a data directory that may hold something already, and on these CPUs alone.
    pub async fn start_on(data: TempDir, cpus: Option<&CpuSet>, extra: &[(&str, &str)]) -> anyhow::Result<Self> {
        let admin_token = "benchmark-admin-token".to_owned();
        let port = free_port().await?;
        let url = format!("http://127.0.0.1:{port}");
        let upstream = upstream::start().await?;
        #[expect(clippy::disallowed_methods, reason = "the benchmark's own client, towards loopback")]
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut command = cpus.map_or_else(|| Command::new(BINARY), |cpus| cpus.command(BINARY));
        command
            .env_clear()
            .env("PORT", port.to_string())
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("DATA_DIR", data.path())
            .env("ADMIN_TOKEN", &admin_token)
            .env("REGISTRATION", "open")
            .env("REGISTRATION_GRACE", "0s")
            .env("RUST_LOG", "warn")
            .env("WECOM_API_BASE_URL", &upstream)
            .envs(extra.iter().copied());
        let started = Instant::now();
        let process = command.kill_on_drop(true).spawn()?;
        let ready = format!("{url}/readyz");
        while !http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
            ensure!(started.elapsed() < SOON, "the gateway does not start");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ready_after = started.elapsed();
        Ok(Self { url, upstream, ready_after, admin_token, http, process, data })
    }

    /// Ends it as an upgrade would; what it kept stays in the directory.
    pub async fn stop(mut self) -> anyhow::Result<TempDir> {
        let id = self.process.id().context("the gateway ended")?.to_string();
        ensure!(Command::new("kill").args(["-TERM", &id]).status().await?.success(), "the gateway cannot be ended");
        tokio::time::timeout(SOON, self.process.wait()).await.context("the gateway does not end")??;
        Ok(self.data)
    }

    /// A bot for each of so many accounts, all at one address.
    pub async fn register_bots(&self, accounts: usize, endpoint: &str) -> anyhow::Result<()> {
        let registering = stream::iter(0..accounts).map(|index| self.register_bot(index, endpoint));
        registering.buffer_unordered(REGISTERED_AT_ONCE).try_collect().await
    }

    async fn register_bot(&self, index: usize, endpoint: &str) -> anyhow::Result<()> {
        let bot = json!({
            "kfId": events::account(index), "kfName": "benchmark", "endpoint": endpoint, "corpId": CORP,
            "corpSecret": SECRET, "token": TOKEN, "encodingAESKey": AES_KEY,
        });
        let answer = self.http.post(format!("{}/puppetWxkfManager/register", self.url)).json(&bot).send().await?;
        let answer: Value = answer.json().await?;
        ensure!(answer["code"] == 0, "registration refused: {answer}");
        Ok(())
    }

    /// Makes the corp known without any bot.
    pub async fn declare_corp(&self, corp: &str) -> anyhow::Result<()> {
        self.declare(corp, &json!({"credentials": [{"token": TOKEN, "encodingAESKey": AES_KEY}]})).await
    }

    /// So many corps, each with so many services at one address, each of which takes an event of its own.
    pub async fn declare_services(&self, corps: usize, each: usize, url: &str) -> anyhow::Result<()> {
        for corp in (0..corps).map(events::corp) {
            self.declare_corp(&corp).await?;
            for service in 0..each {
                let declared = json!({"url": url, "format": "json", "events": [events::service_event(service)]});
                self.declare(&format!("{corp}/services/s{service}"), &declared).await?;
            }
        }
        Ok(())
    }

    async fn declare(&self, what: &str, declared: &Value) -> anyhow::Result<()> {
        let url = format!("{}/api/admin/corps/{what}", self.url);
        let answer = self.http.put(url).bearer_auth(&self.admin_token).json(declared).send().await?;
        ensure!(answer.status().is_success(), "declaring {what}: {}", answer.status());
        Ok(())
    }

    /// From then on the token is the gateway's own, which it looks at in calls.
    pub async fn obtain_token(&self) -> anyhow::Result<()> {
        let url = format!("{}/api/corp/accessToken?corpid={CORP}&corpsecret={SECRET}", self.url);
        let answer: Value = self.http.get(url).send().await?.json().await?;
        ensure!(answer["access_token"] == events::ACCESS_TOKEN, "no token: {answer}");
        Ok(())
    }

    /// In MiB.
    pub fn resident_memory(&self) -> anyhow::Result<f64> {
        let id = self.process.id().context("the gateway ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes / 1024.0)
    }
}

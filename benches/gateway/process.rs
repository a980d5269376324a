//! The programs that are compared, each in a process of its own.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::ACCOUNTS;
use crate::events::{self, AES_KEY, CORP, SECRET, TOKEN};

/// What is downloaded through the proxies.
const FILE: usize = 2 << 20;

/// A bare program; it ends when this is dropped.
pub struct Bare {
    pub url: String,
    _process: Child,
}

impl Bare {
    pub async fn start(kind: &str, argument: &str) -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([kind, argument])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().context("its output")?;
        let port = BufReader::new(stdout).lines().next_line().await?.context("its port")?;
        Ok(Self { url: format!("http://127.0.0.1:{port}"), _process: process })
    }
}

/// The real binary on embedded defaults, all guarantees on.
pub struct Gateway {
    pub url: String,
    /// What stands for WeCom.
    pub upstream: String,
    /// From the start of the process to its first `ready`.
    pub ready_after: Duration,
    admin_token: String,
    http: reqwest::Client,
    process: Child,
    _data: TempDir,
}

impl Gateway {
    pub async fn start(extra: &[(&str, &str)]) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let admin_token = "benchmark-admin-token".to_owned();
        let port = free_port().await?;
        let url = format!("http://127.0.0.1:{port}");
        let upstream = upstream().await?;
        let started = Instant::now();
        let process = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"))
            .env_clear()
            .env("PORT", port.to_string())
            .env("BIND_ADDRESS", "127.0.0.1")
            .env("DATA_DIR", data.path())
            .env("ADMIN_TOKEN", &admin_token)
            .env("REGISTRATION", "open")
            .env("REGISTRATION_GRACE", "0s")
            .env("RUST_LOG", "warn")
            .env("WECOM_API_BASE_URL", &upstream)
            .envs(extra.iter().copied())
            .kill_on_drop(true)
            .spawn()?;
        #[expect(clippy::disallowed_methods, reason = "the benchmark's own client, towards loopback")]
        let http = reqwest::Client::builder().no_proxy().build()?;
        while http.get(format!("{url}/readyz")).send().await.is_err() {
            ensure!(started.elapsed() < Duration::from_secs(10), "the gateway does not start");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ready_after = started.elapsed();
        Ok(Self { url, upstream, ready_after, admin_token, http, process, _data: data })
    }

    /// A bot for each account, all at one address.
    pub async fn register_bots(&self, endpoint: &str) -> anyhow::Result<()> {
        for index in 0..ACCOUNTS {
            let bot = json!({
                "kfId": events::account(index), "kfName": "benchmark", "endpoint": endpoint, "corpId": CORP,
                "corpSecret": SECRET, "token": TOKEN, "encodingAESKey": AES_KEY,
            });
            let answer = self.http.post(format!("{}/puppetWxkfManager/register", self.url)).json(&bot).send().await?;
            let answer: serde_json::Value = answer.json().await?;
            ensure!(answer["code"] == 0, "registration refused: {answer}");
        }
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

    async fn declare(&self, what: &str, declared: &serde_json::Value) -> anyhow::Result<()> {
        let url = format!("{}/api/admin/corps/{what}", self.url);
        let answer = self.http.put(url).bearer_auth(&self.admin_token).json(declared).send().await?;
        ensure!(answer.status().is_success(), "declaring {what}: {}", answer.status());
        Ok(())
    }

    /// From then on the token is the gateway's own, which it looks at in calls.
    pub async fn obtain_token(&self) -> anyhow::Result<()> {
        let url = format!("{}/api/corp/accessToken?corpid={CORP}&corpsecret={SECRET}", self.url);
        let answer: serde_json::Value = self.http.get(url).send().await?.json().await?;
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

async fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

/// Grants one access token for ever, takes calls, and has a file to download.
async fn upstream() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let grant = || async {
        axum::Json(json!({"errcode": 0, "errmsg": "ok", "access_token": events::ACCESS_TOKEN, "expires_in": 7200}))
    };
    let sent = async |_body: Bytes| axum::Json(json!({"errcode": 0, "errmsg": "ok", "msgid": "a".repeat(32)}));
    let file = Bytes::from(vec![0x5a; FILE]);
    let router = Router::new()
        .route("/cgi-bin/gettoken", get(grant))
        .route("/cgi-bin/kf/send_msg", post(sent))
        .route("/cgi-bin/media/get", get(async move || file));
    #[expect(clippy::disallowed_methods, reason = "lives as long as the benchmark")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

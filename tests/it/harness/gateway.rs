//! One process of the gateway.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Of every gateway that the tests start.
pub(crate) const ADMIN_TOKEN: &str = "the-admin-token-of-the-tests";

/// A running gateway on its own data directory; killed when dropped.
pub(crate) struct Gateway {
    process: Child,
    url: String,
    environment: Vec<(String, String)>,
    data: TempDir,
    http: reqwest::Client,
    /// Every line that it ever logged, over its restarts.
    log: PathBuf,
}

impl Gateway {
    /// Starts the binary with its defaults, a port of its own, no grace after registrations, and
    /// these settings; waits until it is ready.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let mut gateway = Self::spawn(settings);
        gateway.wait_until_ready(0).await;
        gateway
    }

    /// As [`Gateway::start`], but waits only until it listens.
    pub(crate) async fn start_unready(settings: &[(&str, &str)]) -> Self {
        let mut gateway = Self::spawn(settings);
        while gateway.url.is_empty() {
            gateway.find_url(0);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        gateway
    }

    fn spawn(settings: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let log = data.path().join("log.jsonl");
        let defaults = [
            ("PORT", "0"),
            ("BIND_ADDRESS", "127.0.0.1"),
            ("ADMIN_TOKEN", ADMIN_TOKEN),
            ("REGISTRATION_GRACE", "0s"),
            ("LOG_FORMAT", "json"),
        ];
        let mut environment: Vec<(String, String)> = Vec::new();
        for (name, value) in defaults.iter().chain(settings) {
            environment.retain(|(known, _)| known != name);
            environment.push(((*name).to_owned(), (*value).to_owned()));
        }
        let process = spawn(&environment, data.path(), &log);
        wxkf_gateway::egress::install_tls_provider();
        #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { process, url: String::new(), environment, data, http, log }
    }

    /// Where it listens, once it says so; the log is read from there on.
    fn find_url(&mut self, log_seen: usize) -> Option<String> {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("the gateway ended with {status}: {}", self.log());
        }
        let log = self.log();
        let url = listening_url(&log[log_seen..], "PORT")?;
        let ops = listening_url(&log[log_seen..], "OPS_PORT").unwrap_or_else(|| url.clone());
        self.url = url;
        Some(ops)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn callback_url(&self, corp: &str) -> String {
        format!("{}/callback/{corp}", self.url)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id().expect("the gateway ended")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// SIGTERM; waits for the end and returns the exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        tokio::time::timeout(Duration::from_secs(60), self.process.wait()).await.unwrap().unwrap().code()
    }

    /// Starts it again on the same data and the same port, after it was killed or terminated.
    pub(crate) async fn start_again(&mut self) {
        let port = self.url.rsplit(':').next().unwrap().to_owned();
        self.environment.retain(|(name, _)| name != "PORT");
        self.environment.push(("PORT".to_owned(), port));
        let seen = self.log().len();
        self.process = spawn(&self.environment, self.data.path(), &self.log);
        self.wait_until_ready(seen).await;
    }

    /// Changes a setting for the next start.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.request_at(&self.url, method, path)
    }

    /// To another of its listeners.
    pub(crate) fn request_at(&self, base: &str, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{base}{path}"))
    }

    /// Where it says that the port of this setting is.
    pub(crate) fn listener(&self, setting: &str) -> Option<String> {
        listening_url(&self.log(), setting)
    }

    /// A call of the admin API.
    pub(crate) fn admin(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.request(method, &format!("/api/admin{path}")).bearer_auth(ADMIN_TOKEN)
    }

    /// All undelivered events of a state (`live`, `expired`).
    pub(crate) async fn deliveries(&self, state: &str) -> Vec<Value> {
        let answer = self.admin(reqwest::Method::GET, &format!("/deliveries?state={state}&limit=1000"));
        let page: Value = answer.send().await.unwrap().json().await.unwrap();
        page["items"].as_array().unwrap().clone()
    }

    async fn wait_until_ready(&mut self, log_seen: usize) {
        let began = Instant::now();
        loop {
            if let Some(ops) = self.find_url(log_seen) {
                let asking = self.request_at(&ops, reqwest::Method::GET, "/readyz");
                let ready = asking.timeout(Duration::from_secs(1)).send().await;
                if ready.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
            }
            assert!(began.elapsed() < Duration::from_secs(90), "the gateway does not get ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn spawn(environment: &[(String, String)], dir: &Path, log: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let environment = environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.env_clear().env("DATA_DIR", dir.join("data")).envs(environment);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
    command.spawn().unwrap()
}

/// From the line in which it says where it listens.
fn listening_url(log: &str, setting: &str) -> Option<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut named = lines.filter(|line| line["setting"] == setting);
    named.find_map(|line| line["message"].as_str()?.strip_prefix("listening on ").map(str::to_owned))
}

//! `doctor` as an operator meets it: the real binary, a simulated WeCom, a bot, and one mistake at a time.

mod settings;
mod ways;
mod world;

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;
use wxkf_gateway::simulator::bot::Bot;
use wxkf_gateway::simulator::wecom::Wecom;

use crate::harness::{ADMIN_TOKEN, Gateway, SECRET, TOKEN, bot, gateway_and_wecom};

/// What it said.
pub(crate) struct Seen {
    pub code: i32,
    pub report: Value,
    pub stdout: String,
}

/// `doctor --json`, with nothing in its environment but these settings.
pub(crate) async fn doctor(settings: &[(&str, &str)], arguments: &[&str]) -> Seen {
    let (code, stdout) = run(settings, &[&["--json"], arguments].concat()).await;
    Seen { code, report: serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("no JSON: {stdout}")), stdout }
}

pub(crate) async fn run(settings: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.env_clear().env("BIND_ADDRESS", "127.0.0.1").env("PORT", "0").env("ADMIN_TOKEN", ADMIN_TOKEN);
    command.envs(settings.iter().copied()).arg("doctor").args(arguments);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&stderr), "", "talk is for a terminal");
    (status.code().unwrap(), String::from_utf8(stdout).unwrap())
}

impl Seen {
    pub(crate) fn findings(&self) -> &[Value] {
        self.report["findings"].as_array().unwrap()
    }

    pub(crate) fn of(&self, part: &str, verdict: &str) -> Vec<&Value> {
        self.findings().iter().filter(|finding| finding["part"] == part && finding["verdict"] == verdict).collect()
    }

    /// Something of this part is wrong: it was seen as this, and this is the advice.
    pub(crate) fn assert_wrong(&self, row: &str, part: &str, seen: &str, advice: &str) {
        let says = |finding: &&Value, name: &str, words: &str| finding[name].as_str().unwrap().contains(words);
        let found = self.of(part, "wrong");
        let fits = found.iter().any(|finding| says(finding, "seen", seen) && says(finding, "advice", advice));
        assert!(fits, "{row}: no {part} is wrong as `{seen}` with `{advice}` in {}", self.stdout);
        assert_eq!(self.code, 1, "{row}");
        for secret in [SECRET, TOKEN, ADMIN_TOKEN] {
            assert!(!self.stdout.contains(secret), "{row} shows a secret: {}", self.stdout);
        }
    }
}

/// A gateway, its WeCom and its bot, all well.
pub(crate) struct World {
    pub gateway: Gateway,
    pub wecom: Wecom,
    pub bot: Bot,
}

impl World {
    pub(crate) async fn healthy() -> Self {
        let (gateway, wecom) = gateway_and_wecom().await;
        let bot = bot(&gateway, &wecom).await;
        assert!(bot.ready(crate::harness::SOON).await);
        Self { gateway, wecom, bot }
    }

    /// Beside the running gateway, with its settings and these.
    pub(crate) async fn doctor(&self, changed: &[(&str, &str)]) -> Seen {
        let (dir, base) = (self.gateway.data_dir(), self.wecom.base_url());
        let own = [("DATA_DIR", dir.to_str().unwrap()), ("WECOM_API_BASE_URL", &base)];
        doctor(&[&own, changed].concat(), &["--gateway", self.gateway.url()]).await
    }

    /// With the gateway's settings and no gateway.
    pub(crate) async fn doctor_alone(&self) -> Seen {
        let (dir, base) = (self.gateway.data_dir(), self.wecom.base_url());
        doctor(&[("DATA_DIR", dir.to_str().unwrap()), ("WECOM_API_BASE_URL", &base)], &[]).await
    }
}

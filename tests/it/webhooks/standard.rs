//! A service made with the Standard Webhooks library of others: `tests/simulator/standard_webhooks_app.py`.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::harness::SOON;

/// The running program; killed when dropped.
pub(crate) struct StandardWebhooks {
    url: String,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl StandardWebhooks {
    /// Needs what `tests/simulator/install` installs.
    pub(crate) async fn start(secret: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut python = Command::new("python3");
        python.arg(root.join("tests/simulator/standard_webhooks_app.py")).arg(secret);
        python.arg(root.join("openapi/openapi.json")).env("PYTHONPATH", root.join("target/foreign/python"));
        let mut process = python.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut program = Self { url: String::new(), lines, _process: process };
        program.url = program.said().await.rsplit(' ').next().unwrap().to_owned();
        program
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it says of the next event.
    pub(crate) async fn said(&mut self) -> String {
        timeout(SOON, self.lines.next_line()).await.expect("in time").unwrap().expect("it lives")
    }
}

//! The programs that are compared, each in a process of its own: the bare ones here.

use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

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

pub async fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

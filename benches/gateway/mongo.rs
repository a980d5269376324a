//! A server that speaks MongoDB's protocol: the one of `MONGO_TEST_URI`, or else the one that
//! `tests/servers/install` puts below `target/servers`.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use mongodb::Client;
use mongodb::bson::doc;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::process::free_port;

/// A virtual machine starts slowly.
const PATIENCE: &str = "serverSelectionTimeoutMS=30000";

pub struct Mongo {
    address: String,
    /// Names databases that are nobody else's.
    run: u32,
    _started: Option<(Child, TempDir)>,
}

impl Mongo {
    /// Fails where none is to be had, and says how to get one.
    pub async fn find() -> anyhow::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "the tests' own variable")]
        let given = std::env::var("MONGO_TEST_URI").ok();
        let (address, started) = match given {
            Some(uri) => (uri.trim_start_matches("mongodb://").trim_end_matches('/').to_owned(), None),
            None => start().await.map(|(address, started)| (address, Some(started)))?,
        };
        let mongo = Self { address, run: std::process::id(), _started: started };
        let admin = mongo.client().await?.database("admin");
        admin.run_command(doc! { "ping": 1 }).await.context("the server does not answer")?;
        Ok(mongo)
    }

    /// A database of this run: `gateway` or `bare`.
    pub fn uri(&self, database: &str) -> String {
        format!("mongodb://{}/{}", self.address, self.name(database))
    }

    pub async fn drop_databases(&self) -> anyhow::Result<()> {
        let client = self.client().await?;
        for database in ["gateway", "bare"] {
            client.database(&self.name(database)).drop().await?;
        }
        Ok(())
    }

    fn name(&self, database: &str) -> String {
        format!("wxkf_benchmark_{}_{database}", self.run)
    }

    async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::with_uri_str(format!("mongodb://{}/?{PATIENCE}", self.address)).await?)
    }
}

async fn start() -> anyhow::Result<(String, (Child, TempDir))> {
    let classes = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers/mongo_java");
    ensure!(classes.join("installed").exists(), "no server: run `tests/servers/install`, or set `MONGO_TEST_URI`");
    let data = tempfile::tempdir()?;
    let port = free_port().await?;
    let server = Command::new("java")
        .args(["-Xmx400m", "-cp"])
        .arg(format!("{0}:{0}/lib/*", classes.display()))
        .args(["Main", &port.to_string()])
        .arg(data.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("java cannot be started")?;
    Ok((format!("127.0.0.1:{port}"), (server, data)))
}

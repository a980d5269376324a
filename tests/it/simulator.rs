//! `simulate wecom` as other projects use it: the real binary, scripted by HTTP alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use axum::Router;
use axum::routing::any;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use wxkf_gateway::lifecycle::Tasks;

/// A running `simulate wecom`; killed when dropped.
struct Simulator {
    url: String,
    http: reqwest::Client,
    _process: Child,
}

impl Simulator {
    async fn start(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
        command.args(["simulate", "wecom", "--listen", "127.0.0.1:0"]).args(flags);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("it says where it listens");
        let url = first.rsplit(' ').next().unwrap().to_owned();
        // Read on, or it would stand still once the pipe is full.
        Tasks::new().spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        wxkf_gateway::egress::install_tls_provider();
        #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url, http, _process: process }
    }

    async fn get(&self, path: &str) -> Value {
        self.http.get(format!("{}/{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}/{path}", self.url)).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }
}

/// A callback URL that takes everything.
async fn receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/callback", any(|| async { "success" }));
    Tasks::new().spawn(async move { axum::serve(listener, router).await });
    address
}

/// A bit of everything that leaves a trace; what came of it, journal included.
async fn script(seed: &str, callback: SocketAddr) -> Value {
    let clock = ["--clock", "2026-01-01T00:00:00Z", "--seed", seed];
    let fault = ["--fault", r#"{"target":{"api":"get_token"},"fault":{"errcode":-1},"when":{"next":1}}"#];
    let wecom = Simulator::start(&[clock.as_slice(), &fault].concat()).await;
    let (corp, account) = ("ww_simulated", "wk_simulated");
    wecom.post("simulator/corps", json!({ "corp": corp, "callbackUrl": format!("http://{callback}/callback") })).await;
    wecom.post("simulator/verify", json!({ "corp": corp })).await;
    let pair = "cgi-bin/gettoken?corpid=ww_simulated&corpsecret=simulated-secret";
    let refused = wecom.get(pair).await;
    let granted = wecom.get(pair).await;
    let token = granted["access_token"].as_str().unwrap();
    let customer = json!({ "corp": corp, "openKfId": account, "customer": "Ling" });
    let entered = wecom.post("simulator/enter", customer.clone()).await;
    let mut message = customer;
    message["text"] = json!("hello");
    let lost = json!({ "target": "callback", "fault": "drop", "when": { "next": 1 } });
    wecom.post("simulator/faults", lost).await;
    wecom.post("simulator/messages", message).await;
    let page = wecom.post(&format!("cgi-bin/kf/sync_msg?access_token={token}"), json!({ "open_kfid": account })).await;
    wecom.post("simulator/clock", json!({ "advanceSeconds": 7200 })).await;
    let expired = wecom.post(&format!("cgi-bin/kf/account/list?access_token={token}"), json!({})).await;
    let mut journal = wecom.get("simulator/journal").await;
    for entry in journal.as_array_mut().unwrap() {
        assert!(entry.as_object_mut().unwrap().remove("tookMs").is_some(), "real time, which no seed decides");
    }
    let state = wecom.get("simulator/state").await;
    json!([refused, granted, entered, page, expired, journal, state])
}

#[tokio::test]
async fn the_same_script_with_the_same_seed_gives_the_same_journal() {
    let callback = receiver().await;
    let (first, again, other) = tokio::join!(script("7", callback), script("7", callback), script("8", callback));
    assert_eq!(first, again);
    let [refused, granted, entered, page, expired, journal, _] = first.as_array().unwrap().as_slice() else { panic!() };
    assert_eq!((&refused["errcode"], &granted["errcode"], &expired["errcode"]), (&json!(-1), &json!(0), &json!(42001)));
    assert_eq!(entered["delivery"], json!({ "sent": ["accepted"] }));
    assert_eq!(page["msg_list"].as_array().unwrap().len(), 2, "the entrance and the message");
    assert_eq!(journal[0]["at"], "2026-01-01T00:00:00.000Z");
    assert_eq!(journal.as_array().unwrap().last().unwrap()["at"], "2026-01-01T02:00:00.000Z");
    assert_ne!(granted["access_token"], other[1]["access_token"], "another seed, other tokens");
}

/// Programs that nobody here wrote, unchanged but for the address. `tests/run` installs and runs them.
mod foreign {
    use super::*;

    fn installed(kind: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/foreign").join(kind)
    }

    async fn runs(program: &str, file: &str, path: (&str, PathBuf)) -> String {
        let wecom = Simulator::start(&[]).await;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulator").join(file);
        let mut command = Command::new(program);
        let run = command.arg(script).arg(&wecom.url).env(path.0, path.1).stdin(Stdio::null()).output().await.unwrap();
        let (told, error) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{told}{error}");
        told.into_owned()
    }

    #[tokio::test]
    #[ignore = "needs what tests/simulator/install installs"]
    async fn wechatpy_verifies_syncs_sends_and_exchanges_files() {
        let told = runs("python3", "wechatpy_app.py", ("PYTHONPATH", installed("python"))).await;
        assert!(told.ends_with("wechatpy: ok\n"), "{told}");
    }

    #[tokio::test]
    #[ignore = "needs what tests/simulator/install installs"]
    async fn wecom_crypto_verifies_syncs_sends_and_exchanges_files() {
        let told = runs("node", "wecom_crypto_app.cjs", ("NODE_PATH", installed("node/node_modules"))).await;
        assert!(told.ends_with("@wecom/crypto: ok\n"), "{told}");
    }
}

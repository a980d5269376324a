//! Programs that nobody here wrote read the document, and one holds the running gateway to it. `tests/run`
//! installs and runs them.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use wxkf_gateway::simulator::wecom::{Wecom, WecomOptions};

use crate::admin::declare;
use crate::harness::{ACCOUNT, ADMIN_TOKEN, AES_KEY, CORP, Gateway, TOKEN, credential};

/// As the document's examples have it, so that they are true.
const SECRET: &str = "the-secret-of-the-app-as-WeCom-shows-it";
const PASSWORD: &str = "puppet-password-for-tests";
/// All but loopback: what is made up is sent to nobody.
const ELSEWHERE: &str =
    "::/0,0.0.0.0/2,64.0.0.0/3,96.0.0.0/4,112.0.0.0/5,120.0.0.0/6,124.0.0.0/7,126.0.0.0/8,128.0.0.0/1";
/// It takes some 25 s on an idle machine.
const TIME_LIMIT: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn told(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

#[tokio::test]
#[ignore = "needs what tests/simulator/install installs"]
async fn the_linter_has_nothing_to_say() {
    let mut redocly = Command::new(root().join("target/foreign/node/node_modules/.bin/redocly"));
    redocly.args(["lint", "--format", "json", "--config", "openapi/redocly.yaml", "openapi/openapi.json"]);
    redocly.env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true").env("REDOCLY_TELEMETRY", "off").current_dir(root());
    let output = redocly.output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
    assert_eq!((&report["totals"]["errors"], &report["totals"]["warnings"]), (&json!(0), &json!(0)), "{report:#}");
}

#[tokio::test]
#[ignore = "needs what tests/simulator/install installs"]
async fn schemathesis_finds_nothing_that_the_document_does_not_say() {
    let wecom = Wecom::start(WecomOptions::default()).await.unwrap();
    wecom.corp(CORP).secret(SECRET).sealed_by(credential()).account(ACCOUNT);
    let gateway = Gateway::start(&[
        ("WECOM_API_BASE_URL", &wecom.base_url()),
        ("PUPPET_PASSWORD", PASSWORD),
        ("DISPATCH_DENY_NETWORKS", ELSEWHERE),
    ])
    .await;
    furnish(&gateway).await;

    let directory = tempfile::tempdir().unwrap();
    let mut schemathesis = Command::new("python3");
    schemathesis.arg(root().join("target/foreign/python/bin/st"));
    schemathesis.arg("--config-file").arg(root().join("tests/simulator/schemathesis.toml"));
    schemathesis.args(["run", &format!("{}/openapi.json", gateway.url()), "--no-color"]);
    schemathesis.env("PYTHONPATH", root().join("target/foreign/python"));
    schemathesis.env("ADMIN_TOKEN", ADMIN_TOKEN).env("PUPPET_PASSWORD", PASSWORD);
    schemathesis.current_dir(directory.path()).kill_on_drop(true);
    let output = tokio::time::timeout(TIME_LIMIT, schemathesis.output()).await.expect("it takes too long").unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(gateway.get("/livez").send().await.unwrap().status(), 200);
}

/// One of each thing that the document's examples name.
async fn furnish(gateway: &Gateway) {
    declare(gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    let service = json!({ "url": "http://127.0.0.1:9", "events": ["change_contact"], "format": "json" });
    let service = gateway.admin(reqwest::Method::PUT, &format!("/corps/{CORP}/services/contacts")).json(&service);
    assert_eq!(service.send().await.unwrap().status(), 200);
    let bot = json!({ "kfId": ACCOUNT, "kfName": "support", "endpoint": "http://127.0.0.1:9", "corpId": CORP,
        "corpSecret": SECRET, "token": TOKEN, "encodingAESKey": AES_KEY });
    let event = json!({ "token": "t", "openKfId": ACCOUNT });
    for (path, body) in [("/puppetWxkfManager/register", bot), (&format!("/callback/decrypted/{CORP}"), event)] {
        let answer = gateway.post(path).bearer_auth(PASSWORD).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
}

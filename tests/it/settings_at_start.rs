//! What stops the start, and in which words; and the README's table of settings.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use wxkf_gateway::config::{SETTINGS, markdown_table};

use crate::admin::declare;
use crate::harness::{AES_KEY, CORP, Gateway, TOKEN};

/// Exit code and errors, a line each, of a start that does not come about.
fn failed_start(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&stdout), "");
    let text = String::from_utf8(stderr).unwrap();
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    (status.code().unwrap(), errors.join("\n"))
}

fn gateway(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.env_clear().env("BIND_ADDRESS", "127.0.0.1").env("PORT", "0").envs(settings.iter().copied());
    command
}

/// In the data directory of a gateway that ended.
fn again(ended: &Gateway, settings: &[(&str, &str)]) -> (i32, String) {
    failed_start(gateway(settings).env("DATA_DIR", ended.data_dir()))
}

fn key(byte: u8) -> String {
    BASE64_STANDARD.encode([byte; 32])
}

#[test]
fn all_faults_are_named_at_once_those_of_corps_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("corps.json");
    let corps = json!({ "corps": {
        "ww1": { "credentials": [{ "token": "", "encodingAESKey": "s3cret-key" }] },
        "w w": {},
    } });
    std::fs::write(&file, corps.to_string()).unwrap();
    let settings = [
        ("DATA_DIR", dir.path().to_str().unwrap()),
        ("CORPS_FILE", file.to_str().unwrap()),
        ("PORT", "http"),
        ("OPS_PORT", "70000"),
        ("EVENT_TTL", "soon"),
        ("DISPATCH_TIMEOUT", "0s"),
        ("REGISTRATION", "closed"),
        ("PUBLIC_URL", "wxkf.example.com"),
        ("WECOM_API_BASE_URL", "https://user:s3cret-key@wecom.example.com"),
        ("DISPATCH_DENY_NETWORKS", "10.0.0.0/33"),
        ("PUPPET_PASSWORD", "s3cret-key with a blank"),
        ("MASTER_KEY", "s3cret-key"),
        ("ADMIN_TOKEN", "given-in-both-ways"),
        ("ADMIN_TOKEN_FILE", "/run/secrets/admin_token"),
        ("RUST_LOG", "=x="),
        ("LOG_FORMAT", "xml"),
    ];
    let (code, stderr) = failed_start(&mut gateway(&settings));
    assert_eq!(code, 78, "{stderr}");
    let right = ["DATA_DIR", "CORPS_FILE", "ADMIN_TOKEN"];
    let wrong: Vec<&str> = settings.iter().map(|(variable, _)| *variable).filter(|it| !right.contains(it)).collect();
    for variable in &wrong {
        let line = stderr.lines().find(|line| line.starts_with(&format!("error: {variable}: ")));
        let line = line.unwrap_or_else(|| panic!("{variable} is not named in {stderr}"));
        assert!(line.contains(&format!("(example: {variable}=")), "{line}");
    }
    for path in ["corps.ww1.credentials[0].token", "corps.ww1.credentials[0].encodingAESKey", "corps.w w"] {
        assert!(stderr.contains(&format!("error: CORPS_FILE: {path} ")), "{path} in {stderr}");
    }
    assert!(!stderr.contains("s3cret-key"), "{stderr}");
    assert_eq!(stderr.lines().count(), wrong.len() + 3, "a line each: {stderr}");
}

#[test]
fn a_forward_proxy_for_everybody_stops_the_start() {
    let settings = [("EGRESS_PORT", "0"), ("BIND_ADDRESS", "0.0.0.0"), ("EGRESS_HOSTS", "http://qyapi.weixin.qq.com")];
    let (code, stderr) = failed_start(&mut gateway(&settings));
    assert_eq!((code, stderr.lines().count()), (78, 2), "{stderr}");
    assert!(stderr.contains("error: EGRESS_PORT: ") && stderr.contains("set PUPPET_PASSWORD"), "{stderr}");
    assert!(stderr.contains("error: EGRESS_HOSTS: `http://qyapi.weixin.qq.com` is no host"), "{stderr}");
}

#[test]
fn a_corps_file_that_cannot_be_read_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let data = ("DATA_DIR", dir.path().to_str().unwrap());
    let (code, stderr) = failed_start(&mut gateway(&[data, ("CORPS_FILE", "/nowhere/corps.json")]));
    assert!(code == 78 && stderr.starts_with("error: CORPS_FILE: "), "{code}: {stderr}");
    assert!(stderr.contains("/nowhere/corps.json"), "{stderr}");
}

#[test]
fn an_empty_value_and_what_kubernetes_injects_count_as_unset() {
    let settings = [("OPS_PORT", "tcp://10.0.0.1:7777"), ("PORT", ""), ("EVENT_TTL", "soon"), ("PUBLIC_URL", "")];
    let (code, stderr) = failed_start(&mut gateway(&settings));
    assert_eq!((code, stderr.lines().count()), (78, 1), "{stderr}");
    assert!(stderr.starts_with("error: EVENT_TTL: "), "{stderr}");
}

#[tokio::test]
async fn a_second_process_on_the_same_directory_is_told_so() {
    let first = Gateway::start(&[]).await;
    let (code, stderr) = again(&first, &[]);
    assert_eq!(code, 1);
    assert!(stderr.contains("DATA_DIR") && stderr.contains("is used by another process"), "{stderr}");
    assert_eq!(first.get("/readyz").send().await.unwrap().status(), 200, "the first goes on");
}

#[tokio::test]
async fn the_data_directory_is_its_owners_alone() {
    let gateway = Gateway::start(&[("ADMIN_TOKEN", "")]).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&gateway.data_dir()), 0o700);
    for entry in std::fs::read_dir(gateway.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = file.join("data");
    // Whoever runs the tests, root included, cannot write in /proc.
    for data in [Path::new("/proc"), Path::new("/proc/data"), &below_a_file, &file] {
        let (code, stderr) = failed_start(gateway(&[]).env("DATA_DIR", data));
        assert_eq!(code, 1);
        assert!(stderr.starts_with(&format!("error: DATA_DIR {} cannot be ", data.display())), "{stderr}");
    }
}

#[test]
fn a_full_disk_is_named() {
    let dir = tempfile::tempdir().unwrap();
    // No file may grow: as on a full disk, every write fails.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\"", env!("CARGO_BIN_EXE_wxkf-gateway")]);
    command.env_clear().env("BIND_ADDRESS", "127.0.0.1").env("PORT", "0").env("DATA_DIR", dir.path());
    let (code, stderr) = failed_start(&mut command);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.starts_with("error: DATA_DIR ") && stderr.contains("free space"), "{stderr}");
}

#[tokio::test]
async fn a_store_sealed_with_another_key_stops_the_start() {
    let (first, second) = (key(1), key(2));
    let mut gateway = Gateway::start(&[("MASTER_KEY", &first)]).await;
    let credentials = json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }]);
    let declared = declare(&gateway, CORP, credentials).await;
    assert_eq!(gateway.terminate().await, Some(0));
    for keys in [&[][..], &[("MASTER_KEY", &*second)], &[("MASTER_KEY", "plain")]] {
        let (code, stderr) = again(&gateway, keys);
        assert_eq!(code, 78, "{stderr}");
        assert!(stderr.starts_with("error: MASTER_KEY: "), "{stderr}");
        assert!(!stderr.contains(&first) && !stderr.contains(&second), "{stderr}");
    }
    // The way over: both, the new one first; then it alone.
    for keys in [format!("{second},{first}"), second] {
        gateway.set("MASTER_KEY", &keys);
        gateway.start_again().await;
        let shown = gateway.admin(reqwest::Method::GET, &format!("/corps/{CORP}")).send().await.unwrap();
        assert_eq!(shown.json::<serde_json::Value>().await.unwrap(), declared);
        assert_eq!(gateway.terminate().await, Some(0));
    }
}

#[test]
fn the_readme_holds_the_table_of_settings() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- settings -->").expect("README.md has no <!-- settings -->");
    let (table, _) = rest.split_once("<!-- /settings -->").expect("README.md has no <!-- /settings -->");
    let expected = markdown_table(SETTINGS);
    assert!(table.trim() == expected.trim(), "README.md's table of settings is outdated; it is:\n{expected}");
}

//! Mistakes in the settings: those that stop a start, and those that make the doctor look elsewhere than the gateway.

use std::path::Path;

use axum::Router;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::{World, doctor};
use crate::admin::declare;
use crate::harness::{ADMIN_TOKEN, AES_KEY, CORP, Gateway, TOKEN, bot, bot_options, wecom};
use crate::tokens::serve;

fn key(byte: u8) -> String {
    BASE64_STANDARD.encode([byte; 32])
}

#[tokio::test]
async fn faults_that_stop_a_start_are_all_shown_and_end_with_78() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("corps.json");
    std::fs::write(&file, r#"{"corps":{"w w":{}}}"#).unwrap();
    let settings = [("PORT", "http"), ("EVENT_TTL", "soon"), ("CORPS_FILE", file.to_str().unwrap())];
    let seen = doctor(&settings, &[]).await;
    assert_eq!(seen.code, 78);
    let mut wrong: Vec<&str> = seen.of("settings", "wrong").iter().map(|it| it["subject"].as_str().unwrap()).collect();
    wrong.sort_unstable();
    assert_eq!(wrong, ["CORPS_FILE", "EVENT_TTL", "PORT"]);
    assert!(seen.of("settings", "wrong").iter().all(|it| it["advice"].as_str().unwrap().contains('=')));
}

#[tokio::test]
async fn settings_that_are_not_the_gateways_are_named() {
    let world = World::healthy().await;
    let other = World::healthy().await;
    let (nowhere, other_dir) = (tempfile::tempdir().unwrap(), other.gateway.data_dir());
    let pair = json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }]);
    declare(&other.gateway, "ww-of-another-gateway", pair).await;
    let file = nowhere.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let below_a_file = file.join("data");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let rows = [
        (
            "another admin token",
            "ADMIN_TOKEN",
            "another-one".to_owned(),
            "gateway",
            "another ADMIN_TOKEN",
            "own settings",
        ),
        ("another store", "DATA_DIR", text(&other_dir), "gateway", "ww-of-another-gateway", "DATA_DIR or MONGO_URI"),
        ("no store", "DATA_DIR", text(nowhere.path()), "store", "holds no store", "DATA_DIR that the running"),
        ("no directory", "DATA_DIR", text(&below_a_file), "store", "", "free space"),
        ("another key", "MASTER_KEY", key(1), "store", "which MASTER_KEY does not hold", "after the first"),
        ("Redis is away", "REDIS_URL", "redis://:s3cret@127.0.0.1:1".to_owned(), "cache", "refused", "rediss://"),
        (
            "MongoDB is away",
            "MONGO_URI",
            "mongodb://u:s3cret@127.0.0.1:1/x".to_owned(),
            "store",
            "",
            "see that it runs",
        ),
        (
            "the bot's network",
            "DISPATCH_DENY_NETWORKS",
            "127.0.0.0/8".to_owned(),
            "bot",
            "forbids 127.0.0.1",
            "take the network",
        ),
    ];
    for (row, variable, value, part, seen, advice) in rows {
        let found = world.doctor(&[(variable, &value)]).await;
        found.assert_wrong(row, part, seen, advice);
        assert!(!found.stdout.contains("s3cret"), "{row}: {}", found.stdout);
    }
}

#[tokio::test]
async fn another_password_of_the_bots_is_named() {
    let wecom = wecom().await;
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &wecom.base_url()), ("PUPPET_PASSWORD", "right")]).await;
    let mut options = bot_options(&gateway, &wecom);
    options.manager = gateway.url().replace("http://", "http://bot:right@");
    let bot = wxkf_gateway::simulator::bot::Bot::start(options).await.unwrap();
    assert!(bot.registered(crate::harness::SOON).await);
    let (dir, base) = (gateway.data_dir(), wecom.base_url());
    let with = |password: &'static str| {
        [("DATA_DIR", dir.to_str().unwrap()), ("WECOM_API_BASE_URL", &*base), ("PUPPET_PASSWORD", password)]
    };
    let seen = doctor(&with("wrong"), &["--gateway", gateway.url()]).await;
    seen.assert_wrong("wrong password", "secret", "another PUPPET_PASSWORD", "own settings");
    let seen = doctor(&with("right"), &["--gateway", gateway.url()]).await;
    assert_eq!(seen.code, 0, "{}", seen.stdout);
}

#[tokio::test]
async fn what_is_no_gateway_is_named() {
    let stranger = serve(Router::new().fallback(async || "hello")).await;
    let rows = [("nobody", "http://127.0.0.1:1", "refused"), ("a stranger", &*stranger, "no gateway's")];
    let wecom = wecom().await;
    let dir = tempfile::tempdir().unwrap();
    for (row, url, seen) in rows {
        let settings = [("DATA_DIR", dir.path().to_str().unwrap()), ("WECOM_API_BASE_URL", &*wecom.base_url())];
        doctor(&settings, &["--gateway", url]).await.assert_wrong(row, "gateway", seen, "--gateway");
    }
}

#[tokio::test]
async fn a_corp_without_credentials_and_a_store_without_corps_are_named() {
    let wecom = wecom().await;
    let base = wecom.base_url();
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &base)]).await;
    let dir = gateway.data_dir();
    let settings = [("WECOM_API_BASE_URL", &*base), ("DATA_DIR", dir.to_str().unwrap())];
    let seen = doctor(&settings, &["--gateway", gateway.url()]).await;
    assert_eq!((seen.code, seen.of("callback", "warning").len()), (0, 1), "{}", seen.stdout);
    declare(&gateway, CORP, json!([])).await;
    let seen = doctor(&settings, &["--gateway", gateway.url()]).await;
    seen.assert_wrong("no credentials", "callback", "no credential", "EncodingAESKey");
}

#[tokio::test]
async fn a_lost_master_key_is_named_before_the_next_start_fails() {
    let mut world = World::healthy().await;
    world.gateway.kill().await;
    std::fs::remove_file(world.gateway.data_dir().join("master.key")).unwrap();
    world.doctor_alone().await.assert_wrong("lost", "store", "which is not given", "MASTER_KEY");
}

#[tokio::test]
async fn a_gateway_that_hangs_is_told_from_one_that_does_not_run() {
    let world = World::healthy().await;
    let port = world.gateway.url().rsplit(':').next().unwrap();
    // It listens there, so that its own port is a free one for the settings of the doctor.
    let (dir, base) = (world.gateway.data_dir(), world.wecom.base_url());
    let settings = [("DATA_DIR", dir.to_str().unwrap()), ("WECOM_API_BASE_URL", &*base), ("PORT", "1")];
    let seen = doctor(&settings, &[]).await;
    let finding = seen.of("gateway", "warning")[0];
    assert!(finding["seen"].as_str().unwrap().contains("is used by a process"), "{finding}");
    let found = doctor(&[settings[0], settings[1], ("PORT", port)], &[]).await;
    assert!(!found.of("gateway", "ok").is_empty(), "found by PORT alone: {}", found.stdout);
}

#[tokio::test]
async fn a_gateway_with_a_port_for_operators_is_asked_at_both() {
    let wecom = wecom().await;
    let base = wecom.base_url();
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &base), ("OPS_PORT", "0")]).await;
    let _bot = bot(&gateway, &wecom).await;
    let (dir, ops) = (gateway.data_dir(), gateway.listener("OPS_PORT").unwrap());
    let ops = ops.rsplit(':').next().unwrap();
    let settings = [("WECOM_API_BASE_URL", &*base), ("DATA_DIR", dir.to_str().unwrap()), ("OPS_PORT", ops)];
    let seen = doctor(&settings, &["--gateway", gateway.url()]).await;
    assert_eq!(seen.code, 0, "{}", seen.stdout);
    assert_eq!(seen.of("gateway", "ok").len(), 3, "{}", seen.stdout);
    assert!(!seen.of("secret", "ok").is_empty() && !seen.of("callback", "ok").is_empty(), "{}", seen.stdout);
}

#[tokio::test]
async fn the_generated_admin_token_is_found() {
    let wecom = wecom().await;
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &wecom.base_url()), ("ADMIN_TOKEN", "")]).await;
    let bot = bot(&gateway, &wecom).await;
    let (dir, base) = (gateway.data_dir(), wecom.base_url());
    let settings = [("DATA_DIR", dir.to_str().unwrap()), ("WECOM_API_BASE_URL", &*base), ("ADMIN_TOKEN", "")];
    let seen = doctor(&settings, &["--gateway", gateway.url()]).await;
    assert_eq!(seen.code, 0, "{}", seen.stdout);
    assert!(seen.stdout.contains("knows the same corps") && !seen.stdout.contains(ADMIN_TOKEN));
    assert!(seen.stdout.contains(CORP));
    drop(bot);
}

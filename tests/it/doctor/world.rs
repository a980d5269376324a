//! Mistakes in the world: in WeCom's console, at the bot; and a world without any.

use std::time::Duration;

use serde_json::json;
use wxkf_gateway::simulator::wecom::{Api, Fault, When};

use super::{World, run};
use crate::admin::declare;
use crate::harness::{ACCOUNT, AES_KEY, CORP, Gateway, SECRET, TOKEN, wecom};
use crate::registry::fields;

#[tokio::test]
async fn a_healthy_set_up_is_healthy_beside_the_gateway_and_without_it() {
    let mut world = World::healthy().await;
    let calls = world.wecom.gettoken_calls(CORP, SECRET);
    let public = world.gateway.url().to_owned();
    let beside = world.doctor(&[("PUBLIC_URL", &public)]).await;
    assert_eq!(beside.code, 0, "{}", beside.stdout);
    assert_eq!(world.wecom.gettoken_calls(CORP, SECRET), calls, "the gateway's token is used");
    for part in ["settings", "gateway", "store", "cache", "wecom", "callback", "secret", "account", "bot", "deliveries"]
    {
        assert!(!beside.of(part, "ok").is_empty(), "{part}: {}", beside.stdout);
    }
    assert_eq!((&beside.report["verdict"], &beside.report["counts"]["wrong"]), (&json!("ok"), &json!(0)));
    assert_eq!(beside.report["gateway"], world.gateway.url());

    assert_eq!(world.gateway.terminate().await, Some(0));
    let alone = world.doctor_alone().await;
    assert_eq!(alone.code, 0, "{}", alone.stdout);
    assert_eq!(world.wecom.gettoken_calls(CORP, SECRET), calls + 1, "once a secret");
    assert!(alone.report.get("gateway").is_none());
    assert!(!alone.of("callback", "skipped").is_empty(), "nobody to send it to");
    world.gateway.start_again().await;
}

#[tokio::test]
async fn the_report_is_one_json_document_of_findings() {
    let world = World::healthy().await;
    let seen = world.doctor(&[]).await;
    let counts: u64 = seen.report["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(counts, seen.findings().len() as u64);
    for finding in seen.findings() {
        for name in ["part", "verdict", "tried", "seen"] {
            assert!(finding[name].is_string(), "{name} in {finding}");
        }
        let needs_advice = ["warning", "wrong"].iter().any(|verdict| finding["verdict"] == *verdict);
        assert_eq!(finding.get("advice").is_some(), needs_advice, "{finding}");
    }
    let bot = seen.of("bot", "ok")[0];
    assert_eq!(bot["subject"], ACCOUNT);
}

#[tokio::test]
async fn what_wecom_refuses_is_named_with_the_mend() {
    type Change = fn(&World);
    let rows: [(&str, Change, &str, &str, &str); 4] = [
        (
            "the server's address is not trusted",
            |world| drop(world.wecom.corp(CORP).trusted(SECRET, &["203.0.113.7".parse().unwrap()])),
            "account",
            "errcode 60020",
            "127.0.0.1",
        ),
        (
            "the app has no customer service",
            |world| drop(world.wecom.corp(CORP).without_kf(SECRET)),
            "account",
            "errcode 48002",
            "console",
        ),
        (
            "the app may not manage the account",
            |world| drop(world.wecom.corp(CORP).unmanaged_account(ACCOUNT)),
            "account",
            "manage_privilege",
            "let the app manage",
        ),
        (
            "WeCom answers too many calls",
            |world| world.wecom.add_fault(Api::AccountList, Fault::Errcode(45009), When::Always),
            "account",
            "errcode 45009",
            "too many calls",
        ),
    ];
    for (row, change, part, seen, advice) in rows {
        let world = World::healthy().await;
        change(&world);
        world.doctor(&[]).await.assert_wrong(row, part, seen, advice);
    }
}

#[tokio::test]
async fn a_secret_that_was_reset_is_named_without_a_gateway_too() {
    let mut world = World::healthy().await;
    world.wecom.reset_secret(CORP, SECRET, "another-secret-of-the-same-app");
    world.doctor(&[]).await.assert_wrong("beside the gateway", "secret", "errcode 40001", "was reset");
    world.gateway.kill().await;
    let calls = world.wecom.calls(Api::GetToken);
    world.doctor_alone().await.assert_wrong("alone", "secret", "errcode 40001", "secret");
    assert_eq!(
        world.wecom.calls(Api::GetToken),
        calls + 2,
        "one of them without any secret, to see that WeCom answers"
    );
}

#[tokio::test]
async fn an_account_that_the_app_does_not_see_is_named() {
    let wecom = wecom().await;
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &wecom.base_url()), ("REGISTRATION", "open")]).await;
    let registered =
        gateway.post("/puppetWxkfManager/register").json(&fields("wkOfSomebodyElse", CORP, &[])).send().await;
    assert_eq!(registered.unwrap().status(), 200);
    let (dir, base) = (gateway.data_dir(), wecom.base_url());
    let settings = [("DATA_DIR", dir.to_str().unwrap()), ("WECOM_API_BASE_URL", &base)];
    let seen = super::doctor(&settings, &["--gateway", gateway.url()]).await;
    seen.assert_wrong("not in the list", "account", "none of the 1 accounts", "kfId, corpId and corpSecret");
}

#[tokio::test]
async fn a_bot_that_is_gone_is_named() {
    let world = World::healthy().await;
    world.bot.behave(wxkf_gateway::simulator::bot::Behaviour::Closed).await.unwrap();
    world.doctor(&[]).await.assert_wrong("gone", "bot", "no connection", "start the bot");
}

#[tokio::test]
async fn events_that_were_given_up_are_a_warning() {
    let wecom = wecom().await;
    let settings = [("WECOM_API_BASE_URL", &*wecom.base_url()), ("EVENT_TTL", "100ms")];
    let gateway = Gateway::start(&settings).await;
    declare(&gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    wecom.set_callback_url(CORP, &gateway.callback_url(CORP));
    assert!(wecom.send_event(CORP, "kf_msg_or_event", ACCOUNT, "").await.is_accepted());
    while gateway.deliveries("expired").await.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let dir = gateway.data_dir();
    let settings = [settings[0], ("DATA_DIR", dir.to_str().unwrap())];
    let seen = super::doctor(&settings, &["--gateway", gateway.url()]).await;
    assert_eq!(seen.code, 0, "{}", seen.stdout);
    assert_eq!(seen.report["verdict"], "warning");
    let given_up = seen.of("deliveries", "warning")[0];
    assert!(given_up["seen"].as_str().unwrap().starts_with("1; the oldest came at 20"), "{given_up}");
}

#[tokio::test]
async fn people_read_it_in_lines_that_fit() {
    let world = World::healthy().await;
    world.bot.behave(wxkf_gateway::simulator::bot::Behaviour::Closed).await.unwrap();
    let (dir, base) = (world.gateway.data_dir(), world.wecom.base_url());
    let settings = [("DATA_DIR", dir.to_str().unwrap()), ("WECOM_API_BASE_URL", &*base)];
    let (code, text) = run(&settings, &["--gateway", world.gateway.url()]).await;
    assert_eq!(code, 1);
    assert!(text.contains("\nBots\n  wrong    "), "{text}");
    assert!(text.contains("1 wrong, 0 warnings, "), "{text}");
    assert!(!text.contains('\x1b'), "no colours where no terminal is");
}

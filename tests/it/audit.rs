//! The record of changes, as operators read it and as the doors write it.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::admin::{declare, until};
use crate::harness::{ACCOUNT, AES_KEY, CORP, Gateway, SECRET, TOKEN, gateway_and_wecom};
use crate::registry::{fields, register};

async fn entries(gateway: &Gateway) -> Vec<Value> {
    let answer = gateway.admin(Method::GET, "/audit?limit=1000").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let page: Value = answer.json().await.unwrap();
    page["items"].as_array().unwrap().clone()
}

async fn sent(request: RequestBuilder) {
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// Action and subject of each entry, the oldest first.
fn told(entries: &[Value]) -> Vec<(&str, &str)> {
    entries.iter().rev().map(|entry| (entry["action"].as_str().unwrap(), entry["subject"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn every_change_is_recorded_with_who_when_where_and_what() {
    let (gateway, _wecom) = gateway_and_wecom().await;
    let bot = fields(ACCOUNT, CORP, &[]);
    assert_eq!(register(&gateway, &bot).await["code"], 0);
    assert_eq!(register(&gateway, &bot).await["code"], 0);
    let moved = fields(ACCOUNT, CORP, &[("endpoint", "http://127.0.0.1:9/moved")]);
    assert_eq!(register(&gateway, &moved).await["code"], 0);
    let deregister = || gateway.post("/puppetWxkfManager/deregister").json(&json!({ "kfId": ACCOUNT, "corpId": CORP }));
    sent(deregister()).await;
    sent(deregister()).await;

    let declared = declare(&gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    let credential = declared["credentials"][0]["id"].as_str().unwrap().to_owned();
    declare(&gateway, CORP, json!([{ "id": credential }])).await;
    let event = json!({ "token": "t", "openKfId": "wk-away" });
    sent(gateway.post(&format!("/callback/decrypted/{CORP}")).json(&event)).await;
    let held = gateway.deliveries("live").await[0]["id"].as_str().unwrap().to_owned();
    sent(gateway.admin(Method::POST, &format!("/deliveries/{held}/redeliver"))).await;
    sent(gateway.admin(Method::DELETE, &format!("/deliveries/{held}"))).await;
    let tokens: Value = gateway.admin(Method::GET, "/tokens").send().await.unwrap().json().await.unwrap();
    let token = tokens["items"][0]["id"].as_str().unwrap();
    sent(gateway.admin(Method::POST, &format!("/tokens/{token}/renew"))).await;
    sent(gateway.admin(Method::DELETE, &format!("/puppets/{ACCOUNT}"))).await;
    sent(gateway.admin(Method::DELETE, &format!("/corps/{CORP}"))).await;
    // What is not there is not changed.
    for path in ["/deliveries/none", "/puppets/none", "/corps/none"] {
        assert_eq!(gateway.admin(Method::DELETE, path).send().await.unwrap().status(), 404);
    }

    let entries = entries(&gateway).await;
    let expected = [
        ("puppet.register", ACCOUNT),
        ("puppet.register", ACCOUNT),
        ("puppet.deregister", ACCOUNT),
        ("corp.put", CORP),
        ("delivery.redeliver", &held),
        ("delivery.delete", &held),
        ("token.renew", token),
        ("puppet.delete", ACCOUNT),
        ("corp.delete", CORP),
    ];
    assert_eq!(told(&entries), expected, "what changed nothing is left out");
    for entry in &entries {
        assert_eq!(entry["address"], "127.0.0.1", "{entry}");
        entry["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let by_bot = entry["action"].as_str().unwrap().contains("register");
        assert_eq!(entry["who"], if by_bot { "bot" } else { "admin" }, "{entry}");
        for secret in [SECRET, AES_KEY, TOKEN] {
            assert!(!entry.to_string().contains(secret), "{entry}");
        }
    }
    let detail = |at: usize| entries[entries.len() - 1 - at]["detail"].as_str().unwrap();
    assert!(
        detail(0).starts_with(&format!("new; corp {CORP}, endpoint http://127.0.0.1:9/bot, pair ")),
        "{}",
        detail(0)
    );
    assert_eq!(detail(1), "endpoint http://127.0.0.1:9/bot -> http://127.0.0.1:9/moved");
    assert_eq!(detail(3), format!("declared with credentials {credential}"));
    assert_eq!(detail(7), format!("corp {CORP}, endpoint http://127.0.0.1:9/moved"));
    assert_eq!(detail(8), format!("withdrawn with credentials {credential}"));
}

#[tokio::test]
async fn the_record_is_paged_the_newest_first_and_survives_a_kill() {
    let mut gateway = Gateway::start(&[]).await;
    for number in 0..5 {
        declare(&gateway, &format!("ww{number}"), json!([])).await;
    }
    gateway.kill().await;
    gateway.start_again().await;
    let (mut subjects, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = gateway.admin(Method::GET, &format!("/audit?limit=2&cursor={cursor}")).send().await.unwrap();
        let page: Value = page.json().await.unwrap();
        let items = page["items"].as_array().unwrap();
        subjects.extend(items.iter().map(|item| item["subject"].as_str().unwrap().to_owned()));
        let Some(next) = page.get("next") else { break };
        cursor = next.as_str().unwrap().to_owned();
    }
    assert_eq!(subjects, ["ww4", "ww3", "ww2", "ww1", "ww0"]);
}

#[tokio::test]
async fn refusals_are_recorded_once_a_burst() {
    let settings = [("PUPPET_PASSWORD", "the-password-of-the-bots"), ("REGISTRATION", "open")];
    let gateway = Gateway::start(&settings).await;
    for _ in 0..5 {
        let wrong = gateway.get("/api/admin/corps/s3cr3t-in-the-path").bearer_auth("wrong-s3cr3t").send();
        assert_eq!(wrong.await.unwrap().status(), 401);
        let wrong = gateway.get("/puppetWxkfManager/puppetWxkfInfo/wk1").basic_auth("bot", Some("wrong-s3cr3t")).send();
        assert_eq!(wrong.await.unwrap().status(), 401);
        // No key at all is no attempt.
        assert_eq!(gateway.post("/puppetWxkfManager/register").send().await.unwrap().status(), 401);
    }
    until(|| async { entries(&gateway).await.len() == 2 }).await;
    let entries = entries(&gateway).await;
    let mut told = told(&entries);
    told.sort_unstable();
    let expected = [
        ("admin.refused", "/api/admin/corps/{corpId}"),
        ("puppet.refused", "/puppetWxkfManager/puppetWxkfInfo/{kfId}"),
    ];
    assert_eq!(told, expected);
    assert!(entries.iter().all(|entry| entry["who"] == "unknown" && entry["address"] == "127.0.0.1"), "{entries:?}");
    assert!(!format!("{entries:?}{}", gateway.log()).contains("s3cr3t"));
    assert_eq!(gateway.log().matches("\"wrong ADMIN_TOKEN\"").count(), 1, "one line a burst");
}

#[tokio::test]
async fn a_refused_registration_is_recorded() {
    let (gateway, _wecom) = gateway_and_wecom().await;
    for kf in ["wk-not-listed", "wk-not-either"] {
        assert_eq!(register(&gateway, &fields(kf, CORP, &[])).await["code"], 403);
    }
    assert_eq!(register(&gateway, &fields(ACCOUNT, CORP, &[])).await["code"], 0);
    let foreign = json!({ "kfId": ACCOUNT, "corpId": "ww-foreign" });
    sent(gateway.post("/puppetWxkfManager/deregister").json(&foreign)).await;
    let wanted = ["puppet.deregister.refused", "puppet.register", "puppet.register.refused"];
    until(|| async { entries(&gateway).await.len() == wanted.len() }).await;
    let entries = entries(&gateway).await;
    let find = |action: &str| entries.iter().find(|entry| entry["action"] == action).unwrap();
    let refused = find("puppet.register.refused");
    assert_eq!((&refused["who"], &refused["subject"]), (&json!("bot"), &json!("wk-not-listed")));
    assert!(refused["detail"].as_str().unwrap().contains("does not list kfId"), "{refused}");
    assert_eq!(find("puppet.deregister.refused")["subject"], ACCOUNT);
}

/// A handler is dropped with its connection; what it began goes on.
#[tokio::test]
async fn a_caller_who_hangs_up_leaves_a_whole_change() {
    use tokio::io::AsyncWriteExt as _;
    let gateway = Gateway::start(&[("REGISTRATION", "open")]).await;
    let address = gateway.url().trim_start_matches("http://").to_owned();
    for number in 0..40_u64 {
        let body = fields(&format!("wk{number}"), CORP, &[]).to_string();
        let head = "POST /puppetWxkfManager/register HTTP/1.1\r\nhost: gateway\r\ncontent-length";
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        // Dropped unread, before its handler began or in the midst of it.
        tokio::time::sleep(std::time::Duration::from_micros(number * 200)).await;
    }
    let bots = async || {
        let page: Value = gateway.admin(Method::GET, "/puppets").send().await.unwrap().json().await.unwrap();
        page["items"].as_array().unwrap().len()
    };
    until(|| async { bots().await > 0 }).await;
    until(|| async { entries(&gateway).await.len() == bots().await }).await;
    until(|| async { gateway.log().matches("a bot registered").count() == bots().await }).await;
}

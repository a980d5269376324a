//! The control API over a socket, as a script sees it.

use serde_json::Value;

use super::*;
use crate::simulator::wecom::testkit::{AES_KEY, http};
use crate::simulator::wecom::{Wecom, WecomOptions};

struct Script(Wecom);

impl Script {
    async fn start() -> Self {
        Self(Wecom::start(WecomOptions::default()).await.unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/simulator/{path}", self.0.base_url());
        let answer = http().post(url).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        http().get(format!("{}/simulator/{path}", self.0.base_url())).send().await.unwrap().json().await.unwrap()
    }
}

#[tokio::test]
async fn scripts_a_conversation() {
    let script = Script::start().await;
    let corp =
        json!({ "corp": "ww1", "secrets": ["s1"], "accounts": ["wk1"], "token": "T", "encodingAESKey": AES_KEY });
    assert_eq!(script.post("corps", corp).await.0, 204);
    let message = json!({ "corp": "ww1", "openKfId": "wk1", "customer": "c", "text": "hello" });
    assert_eq!(script.post("messages", message).await, (200, json!({ "delivery": "no_callback_url" })));
    assert_eq!(script.post("verify", json!({ "corp": "ww1" })).await.1, json!({ "verification": "no_callback_url" }));
    let token = script.0.access_token().await;
    let revoked = json!({ "corp": "ww1" });
    assert_eq!(script.post("tokens/revoke", revoked).await.0, 204);
    assert_eq!(script.0.get(&format!("kf/account/list?access_token={token}")).await["errcode"], 40014);
    script
        .0
        .post(
            "kf/send_msg",
            json!({ "touser": "c", "open_kfid": "wk1", "msgtype": "text", "text": { "content": "hi" } }),
        )
        .await;
    assert_eq!(script.get("answers?customer=c").await[0]["text"], "hi");
    let journal = script.get("journal?after=1").await;
    assert_eq!(journal[0]["number"], 2);
    assert!(
        journal
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["why"].as_str().is_some_and(|why| why.contains("revoked")))
    );
}

#[tokio::test]
async fn scripts_faults_and_time() {
    let script = Script::start().await;
    script.0.corp("ww1").secret("s1");
    let rule = json!({ "target": { "api": "get_token" }, "fault": { "errcode": -1 }, "when": { "next": 1 } });
    assert_eq!(script.post("faults", rule).await.0, 204);
    assert_eq!(script.get("faults").await[0]["fault"]["errcode"], -1);
    assert_eq!(script.0.get("gettoken?corpid=ww1&corpsecret=s1").await["errcode"], -1);
    assert_eq!(script.get("faults").await, json!([]));
    assert_eq!(script.get("journal").await[0]["what"], "fault: gettoken, errcode -1, the next 1");
    let token = script.0.access_token().await;
    assert_eq!(script.post("clock", json!({ "advanceSeconds": 7200 })).await.0, 200);
    assert_eq!(script.0.get(&format!("getcallbackip?access_token={token}")).await["errcode"], 42001);
}

#[tokio::test]
async fn refuses_slips_in_words() {
    let script = Script::start().await;
    script.0.corp("ww1").account("wk1");
    let cases = [
        ("messages", json!({ "corp": "ww2", "openKfId": "wk1", "customer": "c", "text": "" }), 404, "ww2"),
        ("messages", json!({ "corp": "ww1", "openKfId": "wk2", "customer": "c", "text": "" }), 404, "wk2"),
        ("messages", json!({ "corp": "ww1" }), 422, "openKfId"),
        ("corps", json!({ "corp": "ww1", "token": "T" }), 400, "encodingAESKey"),
        ("corps", json!({ "corp": "ww1", "token": "T", "encodingAESKey": "short" }), 400, "encodingAESKey"),
        ("corps", json!({ "corp": "ww1", "secret": "s1" }), 422, "secret"),
        ("faults", json!({ "target": "nonsense", "fault": "drop", "when": "always" }), 422, "target"),
        ("verify", json!({ "corp": "ww2" }), 404, "ww2"),
        ("tokens/revoke", json!({ "corp": "ww2" }), 404, "ww2"),
        ("events", json!({ "corp": "ww1" }), 400, "event"),
        ("messages", json!({ "corp": "ww1", "openKfId": "wk1", "customer": "c" }), 400, "text"),
        ("messages", json!({ "corp": "ww1", "openKfId": "wk1", "customer": "c", "content": {} }), 400, "msgtype"),
        ("enter", json!({ "corp": "ww1", "openKfId": "wk2", "customer": "c" }), 404, "wk2"),
        ("secrets/reset", json!({ "corp": "ww2", "old": "s1", "new": "s2" }), 404, "ww2"),
        ("corps", json!({ "corp": "ww1", "trustedAddresses": ["nowhere"] }), 422, "trustedAddresses"),
    ];
    for (path, body, status, named) in cases {
        let (got, answer) = script.post(path, body).await;
        assert_eq!(got, status, "{path}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(named), "{path}: {answer}");
    }
}

#[tokio::test]
async fn describes_every_route() {
    let document = Script::start().await.get("openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 14);
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
        }
    }
}

#[tokio::test]
async fn scripts_who_may_call_and_what_for() {
    let script = Script::start().await;
    let corp = json!({ "corp": "ww1", "secrets": ["s1"], "accounts": ["wk1"], "unmanagedAccounts": ["wk2"] });
    assert_eq!(script.post("corps", corp).await.0, 204);
    let codes = async || {
        let list = script.0.post("kf/account/list", json!({})).await;
        let state = json!({ "open_kfid": "wk2", "external_userid": "c" });
        let unmanaged = script.0.post("kf/service_state/get", state).await;
        (list["errcode"].as_i64(), unmanaged["errcode"].as_i64())
    };
    assert_eq!(codes().await, (Some(0), Some(95000)));
    // RFC 5737: an address that nobody has.
    let trusted = json!({ "corp": "ww1", "trustedAddresses": ["192.0.2.1"] });
    assert_eq!(script.post("corps", trusted).await.0, 204);
    assert_eq!(codes().await, (Some(60020), Some(60020)));
    assert_eq!(script.get("state").await["corps"][0]["trustedAddresses"], json!(["192.0.2.1"]));
    assert_eq!(script.post("heal", json!({})).await.0, 204);
    assert_eq!(codes().await, (Some(0), Some(95000)));
    let without = json!({ "corp": "ww1", "secretsWithoutKf": ["s1"] });
    assert_eq!(script.post("corps", without).await.0, 204);
    assert_eq!(codes().await, (Some(48002), Some(48002)));
}

#[tokio::test]
async fn heals_what_was_broken() {
    let script = Script::start().await;
    script.0.corp("ww1").secret("s1").account("wk1");
    let list = format!("kf/account/list?access_token={}", script.0.access_token().await);
    script.post("tokens/revoke", json!({ "corp": "ww1" })).await;
    script.post("faults", json!({ "target": "every_api", "fault": { "status": 500 }, "when": "always" })).await;
    let broken = script.get("state").await;
    assert_eq!((&broken["corps"][0]["revokedTokens"], &broken["corps"][0]["liveTokens"]), (&json!(1), &json!(0)));
    assert_eq!(broken["faults"].as_array().unwrap().len(), 1);
    script.post("heal", json!({})).await;
    assert_eq!(script.0.get(&list).await["errcode"], 0);
    let well = script.get("state").await;
    assert_eq!((&well["corps"][0]["revokedTokens"], &well["faults"]), (&json!(0), &json!([])));
    // What the administrator took away stays away.
    let reset = json!({ "corp": "ww1", "old": "s1", "new": "s2" });
    assert_eq!(script.post("secrets/reset", reset).await.0, 204);
    script.post("heal", json!({})).await;
    assert_eq!(script.0.get(&list).await["errcode"], 40014);
    assert_eq!(script.0.get("gettoken?corpid=ww1&corpsecret=s2").await["errcode"], 0);
}

#[tokio::test]
async fn scripts_an_entrance_and_messages_of_any_kind() {
    let script = Script::start().await;
    script.0.corp("ww1").secret("s1").account("wk1");
    let (status, entered) = script.post("enter", json!({ "corp": "ww1", "openKfId": "wk1", "customer": "c" })).await;
    assert_eq!((status, &entered["delivery"]), (200, &json!("no_callback_url")));
    let welcome = json!({ "code": entered["welcomeCode"], "msgtype": "text", "text": { "content": "welcome" } });
    assert_eq!(script.0.post("kf/send_msg_on_event", welcome).await["errcode"], 0);
    let picture = json!({ "msgtype": "image", "image": { "media_id": "m" } });
    script.post("messages", json!({ "corp": "ww1", "openKfId": "wk1", "customer": "c", "content": picture })).await;
    let list = script.0.post("kf/sync_msg", json!({ "open_kfid": "wk1" })).await["msg_list"].clone();
    assert_eq!(
        (&list[0]["event"]["event_type"], &list[1]["image"]["media_id"]),
        (&json!("enter_session"), &json!("m"))
    );
    let customers = script.get("state").await["corps"][0]["accounts"][0]["customers"].clone();
    assert_eq!(customers, json!([{ "customer": "c", "answers": 0, "serviceState": 0 }]));
}

/// What a browser gets first: everything after what it has seen.
async fn first_event(script: &Script, query: &str, last_event_id: Option<&str>) -> String {
    let url = format!("{}/simulator/events/stream{query}", script.0.base_url());
    let request = http().get(url);
    let request = last_event_id.into_iter().fold(request, |request, id| request.header("last-event-id", id));
    let mut answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while !text.contains("\n\n") {
        text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn streams_the_journal_from_where_a_browser_left_off() {
    let script = Script::start().await;
    for text in ["one", "two", "three"] {
        script.0.customer_writes_silently("ww1", "wk1", "Ling", text);
    }
    let first = first_event(&script, "", None).await;
    assert!(first.contains("id: 1\n") && first.contains(r#""kind":"customer_wrote""#), "{first}");
    assert!(first.contains(r#""openKfId":"wk1""#), "one spelling in and out: {first}");
    assert!(first_event(&script, "?after=1", None).await.starts_with("id: 2\n"));
    assert!(first_event(&script, "?after=1", Some("2")).await.starts_with("id: 3\n"));
    let (wecom, next) = (script.0.clone(), first_event(&script, "?after=3", None));
    tokio::pin!(next);
    let writing = async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        wecom.customer_writes_silently("ww1", "wk1", "Ling", "four");
        std::future::pending::<()>().await;
    };
    let told = tokio::select! { told = &mut next => told, () = writing => String::new() };
    assert!(told.contains(r#""text":"four""#), "{told}");
}

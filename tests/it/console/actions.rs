//! What forms do: the same as the admin API, recorded the same.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Browser;
use crate::admin::{declare, until};
use crate::harness::{ACCOUNT, AES_KEY, CORP, Gateway, TOKEN, gateway_and_wecom};
use crate::registry::{fields, register};

const OTHER_KEY: &str = "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt";

async fn api(gateway: &Gateway, path: &str) -> Value {
    gateway.admin(Method::GET, path).send().await.unwrap().json().await.unwrap()
}

/// The actions of the record, the oldest first.
async fn recorded(gateway: &Gateway) -> Vec<String> {
    let page = api(gateway, "/audit?limit=1000").await;
    let entries = page["items"].as_array().unwrap().iter().rev();
    let by_operators = entries.inspect(|entry| assert!(entry["who"] != "unknown", "{entry}"));
    by_operators.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_corp_is_added_rotated_and_withdrawn() {
    let gateway = Gateway::start(&[("PUBLIC_URL", "https://wxkf.example.com")]).await;
    let browser = Browser::signed_in(&gateway).await;
    let pair = [("corpId", CORP), ("token", TOKEN), ("encodingAESKey", " not-a-key "), ("label", "first <one>")];
    let refused = browser.post("/corps", &pair).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    refused.assert_shows("encodingAESKey: must be the 43 characters of EncodingAESKey as WeCom shows it");
    refused.assert_shows("value=\"first &#60;one&#62;\"");
    assert!(!refused.shows(TOKEN) && !refused.shows("not-a-key"));

    let key = format!(" {AES_KEY}\n");
    let pair = [("corpId", CORP), ("token", TOKEN), ("encodingAESKey", &*key), ("label", "first")];
    let added = browser.post("/corps", &pair).await;
    assert_eq!(added.url.path(), format!("/console/corps/{CORP}"));
    added.assert_shows("role=\"status\"");
    added.assert_shows(&format!("https://wxkf.example.com/callback/{CORP}"));
    let again = browser.post("/corps", &pair).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST, "an added corp is changed on its page");

    let corp = format!("/corps/{CORP}");
    let proxy = [("wecomProxy", "http://user:p4ssw0rd@127.0.0.1:9")];
    browser.post(&format!("{corp}/proxy"), &proxy).await.assert_shows("a proxy of its own");
    let rotated = [("token", "other"), ("encodingAESKey", OTHER_KEY), ("receiveIds", "ww-a, ww-b")];
    browser.post(&format!("{corp}/add-credential"), &rotated).await.assert_shows("ww-a, ww-b");
    let shown = api(&gateway, &corp).await;
    assert_eq!(shown["credentials"][0]["receiveIds"], json!(["ww-a", "ww-b"]), "the new one is tried first");
    assert_eq!((&shown["credentials"][1]["label"], &shown["hasWecomProxy"]), (&json!("first"), &json!(true)));
    let old = shown["credentials"][1]["id"].as_str().unwrap();
    browser.post(&format!("{corp}/remove-credential"), &[("id", old)]).await;
    let shown = api(&gateway, &corp).await;
    assert_eq!(shown["credentials"].as_array().unwrap().len(), 1);
    assert_eq!(shown["hasWecomProxy"], true, "what a form does not name stays");
    browser.post(&format!("{corp}/proxy"), &[("wecomProxy", "")]).await;
    assert_eq!(api(&gateway, &corp).await["hasWecomProxy"], false);
    assert_eq!(browser.post(&format!("{corp}/remove"), &[]).await.url.path(), "/console/corps");
    assert_eq!(api(&gateway, "/corps").await, json!({ "items": [] }));
    let changes = ["corp.put", "corp.put", "corp.put", "corp.put", "corp.put", "corp.delete"];
    assert_eq!(recorded(&gateway).await, changes);
}

#[tokio::test]
async fn a_service_is_added_changed_tested_and_removed() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::signed_in(&gateway).await;
    declare(&gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    let corp = format!("/corps/{CORP}");
    let secret = ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let add = |name, url, events| {
        let (browser, corp) = (&browser, &corp);
        async move {
            let fields = [("name", name), ("url", url), ("events", events), ("format", "json"), ("ttl", "1h"), secret];
            browser.post(&format!("{corp}/new-service"), &fields).await
        }
    };
    let refused = add("crm", "ftp://crm", "*").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    refused.assert_shows("value=\"ftp://crm\"");
    assert!(!refused.shows("whsec_Mf"));
    let added = add("crm", "http://127.0.0.1:9/", "change_contact, !change_contact.update_user").await;
    assert_eq!(added.url.path(), format!("/console{corp}"));
    assert_eq!(add("crm", "http://127.0.0.1:9/", "*").await.status, StatusCode::BAD_REQUEST, "its name is taken");

    let service = format!("{corp}/services/crm");
    let changed = [("url", "http://127.0.0.1:9/b"), ("events", "*"), ("format", "as-received"), ("ttl", "2h")];
    browser.post(&service, &changed).await;
    let shown = api(&gateway, &service).await;
    let expected = json!({ "name": "crm", "url": "http://127.0.0.1:9/b", "events": ["*"], "format": "as-received",
        "hasSecret": true, "ttl": "2h" });
    assert_eq!(shown, expected, "a secret that is not filled in stays");
    let forget: Vec<_> = changed.into_iter().chain([("forget", "yes")]).collect();
    browser.post(&service, &forget).await;
    assert_eq!(api(&gateway, &service).await["hasSecret"], false);
    let tested = browser.post(&format!("{service}/test"), &[]).await;
    tested.assert_shows("class=\"result bad\"");
    tested.assert_shows("no connection");
    browser.post(&format!("{service}/remove"), &[]).await;
    assert_eq!(api(&gateway, &format!("{corp}/services")).await, json!({ "items": [] }));
    let changes = ["corp.put", "service.put", "service.put", "service.put", "service.test", "service.delete"];
    assert_eq!(recorded(&gateway).await, changes);
}

#[tokio::test]
async fn events_bots_and_tokens_are_seen_to() {
    let (gateway, _wecom) = gateway_and_wecom().await;
    let browser = Browser::signed_in(&gateway).await;
    assert_eq!(register(&gateway, &fields(ACCOUNT, CORP, &[])).await["code"], 0);
    let poke = async || {
        let event = json!({ "token": "t", "openKfId": ACCOUNT });
        let answer = gateway.post(&format!("/callback/decrypted/{CORP}")).json(&event).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    };
    poke().await;
    let held = api(&gateway, "/deliveries").await["items"][0]["id"].as_str().unwrap().to_owned();
    let account = [("kfId", ACCOUNT), ("corpId", CORP)];
    browser.post("/bots/redeliver", &account).await.assert_shows("It goes as soon as it can be taken.");
    browser.post("/deliveries/redeliver", &[("id", &held)]).await.assert_shows("It goes as soon as it can be taken.");
    browser.post("/deliveries/delete", &[("id", &held)]).await.assert_shows("The event is deleted.");
    let gone = browser.post("/deliveries/delete", &[("id", &held)]).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    gone.assert_shows("role=\"alert\"");
    let token = api(&gateway, "/tokens").await["items"][0]["id"].as_str().unwrap().to_owned();
    browser.post("/tokens/renew", &[("id", &token)]).await.assert_shows("The token is renewed.");
    browser.post("/bots/remove", &account).await.assert_shows("No bot yet");
    assert_eq!(browser.post("/bots/remove", &account).await.status, StatusCode::NOT_FOUND);
    until(async || recorded(&gateway).await.len() == 6).await;
    let changes = [
        "puppet.register",
        "delivery.redeliver",
        "delivery.redeliver",
        "delivery.delete",
        "token.renew",
        "puppet.delete",
    ];
    assert_eq!(recorded(&gateway).await, changes);
}

#[tokio::test]
async fn a_corp_of_the_file_is_shown_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("corps.json");
    let service = json!({ "url": "http://127.0.0.1:9/", "events": ["*"], "format": "json" });
    let corp =
        json!({ "credentials": [{ "token": TOKEN, "encodingAESKey": AES_KEY }], "services": { "crm": service } });
    std::fs::write(&file, json!({ "corps": { CORP: corp } }).to_string()).unwrap();
    let gateway = Gateway::start(&[("CORPS_FILE", file.to_str().unwrap())]).await;
    let browser = Browser::signed_in(&gateway).await;
    let corp = format!("/corps/{CORP}");
    for path in [corp.clone(), format!("{corp}/services/crm")] {
        let page = browser.get(&path).await;
        page.assert_shows("CORPS_FILE declares this corp: change it there.");
        assert!(!page.shows("remove-credential") && !page.shows("class=\"danger\""), "{path}");
    }
    for path in ["remove", "proxy", "remove-credential", "services/crm/remove"] {
        let refused = browser.post(&format!("{corp}/{path}"), &[("id", "x")]).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{path}");
    }
}

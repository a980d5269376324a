//! Services as operators declare them: by the admin API, and in `CORPS_FILE`.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::receiver::Receiver;
use super::{CORP, Company, SECRET, SOON, declare, json, numbered, signed_callback};
use crate::delivery::eventually;
use crate::harness::{AES_KEY, Gateway, TOKEN, credential};

async fn call(gateway: &Gateway, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let answer = gateway.admin(method, &format!("/corps/{path}")).json(&body).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(!text.contains("MfKQ9r8G"), "a secret is shown: {text}");
    (status, serde_json::from_str(&text).unwrap_or_default())
}

#[tokio::test]
async fn a_service_is_declared_shown_without_its_secret_and_withdrawn() {
    let company = Company::start().await;
    let gateway = &company.world.gateway;
    let path = format!("{CORP}/services/crm");
    let absent = call(gateway, Method::GET, &path, json!(null)).await;
    assert_eq!(absent.0, 404);
    let body = json!({ "url": company.services.url("crm"), "events": ["text", "click"], "format": "json",
        "secret": SECRET, "ttl": "90m" });
    let (status, shown) = call(gateway, Method::PUT, &path, body.clone()).await;
    let expected = json!({ "name": "crm", "url": company.services.url("crm"), "events": ["text", "click"],
        "format": "json", "hasSecret": true, "ttl": "90m" });
    assert_eq!((status, &shown), (StatusCode::OK, &expected));
    assert_eq!(call(gateway, Method::GET, &path, json!(null)).await, (StatusCode::OK, expected.clone()));
    let list = call(gateway, Method::GET, &format!("{CORP}/services"), json!(null)).await.1;
    assert_eq!(list, json!({ "items": [expected] }));

    // What GET shows, put again without the secret, keeps it; so does a change of the corp.
    let mut kept = body.clone();
    kept.as_object_mut().unwrap().shift_remove("secret");
    assert_eq!(call(gateway, Method::PUT, &path, kept.clone()).await.1["hasSecret"], true);
    let corp = json!({ "credentials": [{ "token": TOKEN, "encodingAESKey": AES_KEY }] });
    assert_eq!(call(gateway, Method::PUT, CORP, corp).await.0, 200);
    company.post(&numbered("signed")).await;
    company.takes("crm", 1).await;
    assert!(company.services.taken("crm")[0].header("webhook-signature").starts_with("v1,"));
    kept["secret"] = Value::Null;
    assert_eq!(call(gateway, Method::PUT, &path, kept).await.1["hasSecret"], false);

    let audit = gateway.admin(Method::GET, "/audit").send().await.unwrap().text().await.unwrap();
    assert!(audit.contains("service.put") && audit.contains("secret removed"), "{audit}");
    for status in [204, 404] {
        assert_eq!(call(gateway, Method::DELETE, &path, json!(null)).await.0, status);
    }
    company.post(&numbered("after")).await;
    assert_eq!(company.services.calls("crm").len(), 1);
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let company = Company::start().await;
    let gateway = &company.world.gateway;
    let path = format!("{CORP}/services/crm");
    let wrong = json!({ "url": "ftp://h", "events": "text", "format": "xml", "ttl": "soon", "urll": 1 });
    let (status, problem) = call(gateway, Method::PUT, &path, wrong).await;
    assert_eq!(status, 400);
    for field in ["url ", "events", "format", "ttl", "urll"] {
        assert!(problem["detail"].as_str().unwrap().contains(field.trim()), "{field}: {problem}");
    }
    let good = json!({ "url": "http://crm/", "events": ["*"], "format": "json" });
    for (field, value) in [
        ("url", json!("http://169.254.169.254/latest")),
        ("url", json!("http://user:MfKQ9r8G@h/")),
        ("events", json!([])),
        ("events", json!(["no name!"])),
        ("secret", json!("MfKQ9r8G")),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let (status, problem) = call(gateway, Method::PUT, &path, body).await;
        assert!(status == 400 && problem["detail"].as_str().unwrap().contains(field), "{field}: {problem}");
    }
    assert_eq!(call(gateway, Method::PUT, &format!("{CORP}/services/a%20b"), good.clone()).await.0, 400);
    assert_eq!(call(gateway, Method::PUT, "ww-unknown/services/crm", good).await.0, 404);
}

#[tokio::test]
async fn a_corp_that_its_bots_made_known_may_have_services() {
    let gateway = Gateway::start(&[("REGISTRATION", "open")]).await;
    let services = Receiver::start().await;
    let body = json!({ "kfId": "wk1", "kfName": "a", "endpoint": "http://127.0.0.1:9", "corpId": CORP,
        "corpSecret": "secret", "token": TOKEN, "encodingAESKey": AES_KEY });
    gateway.post("/puppetWxkfManager/register").json(&body).send().await.unwrap();
    declare(&gateway, "crm", &json!({ "url": services.url("crm"), "events": ["*"], "format": "json" })).await;
    let callback = signed_callback(&credential(), &numbered("through the bot's pair"));
    let url = format!("/callback/{CORP}?{}", callback.query);
    assert_eq!(gateway.post(&url).body(callback.body).send().await.unwrap().status(), 200);
    assert!(eventually(SOON, async || services.taken("crm").len() == 1).await);
}

#[tokio::test]
async fn a_test_event_reaches_the_service_in_its_form_and_says_what_came_of_it() {
    let company = Company::start().await;
    let gateway = &company.world.gateway;
    let mut bodies = Vec::new();
    for format in ["json", "decrypted-xml", "as-received"] {
        company.declare(format, &["click"], format).await;
        let (status, tested) = call(gateway, Method::POST, &format!("{CORP}/services/{format}/test"), json!({})).await;
        assert_eq!((status, &tested["delivered"]), (StatusCode::OK, &json!(true)), "{tested}");
        bodies.push(company.services.taken(format).remove(0));
    }
    let as_json: Value = serde_json::from_slice(&bodies[0].body).unwrap();
    assert_eq!(as_json["event"], "wxkf_gateway_test");
    assert!(bodies[1].text().contains("<Event><![CDATA[wxkf_gateway_test]]></Event>"));
    // Sealed as WeCom seals: the gateway itself opens it.
    let url = format!("/callback/{CORP}?{}", bodies[2].query);
    let answer = gateway.post(&url).body(bodies[2].body.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 200);

    company.services.meet("json", super::receiver::Manner::Answer(401));
    let failed = call(gateway, Method::POST, &format!("{CORP}/services/json/test"), json!({})).await.1;
    assert!(failed["delivered"] == false && failed["error"].as_str().unwrap().contains("401"), "{failed}");
    assert_eq!(call(gateway, Method::POST, &format!("{CORP}/services/none/test"), json!({})).await.0, 404);
    assert!(company.deliveries("").await.is_empty(), "past the queue");
}

#[tokio::test]
async fn services_of_corps_file_are_served_and_read_only_elsewhere() {
    let (dir, services) = (tempfile::tempdir().unwrap(), Receiver::start().await);
    let file = dir.path().join("corps.json");
    let write = |name: &str| {
        let crm = json!({ "url": services.url(name), "events": ["text"], "format": "decrypted-xml", "secret": SECRET });
        let credentials = json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }]);
        let corps = json!({ "corps": { CORP: { "credentials": credentials, "services": { name: crm } } } });
        std::fs::write(&file, corps.to_string()).unwrap();
    };
    write("crm");
    let gateway = Gateway::start(&[("CORPS_FILE", file.to_str().unwrap())]).await;
    let post = async |text: &str| {
        let callback = signed_callback(&credential(), &numbered(text));
        let url = format!("/callback/{CORP}?{}", callback.query);
        assert_eq!(gateway.post(&url).body(callback.body).send().await.unwrap().status(), 200);
    };
    post("one").await;
    assert!(eventually(SOON, async || services.taken("crm").len() == 1).await, "{}", gateway.log());
    let path = format!("{CORP}/services/crm");
    assert_eq!(call(&gateway, Method::GET, &path, json!(null)).await.1["hasSecret"], true);
    let body = json!({ "url": "http://h/", "events": ["*"], "format": "json" });
    assert_eq!(call(&gateway, Method::PUT, &path, body).await.0, 409);
    assert_eq!(call(&gateway, Method::DELETE, &path, json!(null)).await.0, 409);
    write("erp");
    let changed = eventually(SOON, async || {
        post("two").await;
        !services.taken("erp").is_empty()
    });
    assert!(changed.await, "{}", gateway.log());
}

#[test]
fn a_wrong_service_in_corps_file_stops_the_start_without_repeating_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("corps.json");
    let crm = json!({ "url": "http://h/", "events": ["click!"], "format": "json", "secret": "MfKQ9r8G" });
    std::fs::write(&file, json!({ "corps": { CORP: { "services": { "crm": crm } } } }).to_string()).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.env_clear().env("DATA_DIR", dir.path().join("data")).env("CORPS_FILE", &file).env("PORT", "0");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    for path in [format!("corps.{CORP}.services.crm.events"), format!("corps.{CORP}.services.crm.secret")] {
        assert!(said.contains(&path), "{path}: {said}");
    }
    assert!(!said.contains("MfKQ9r8G"), "{said}");
}

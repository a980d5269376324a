//! The registry as bots of the original manager use it, and the proof that they may.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wxkf_gateway::simulator::bot::Bot;
use wxkf_gateway::simulator::wecom::{Happening, Wecom};

use crate::admin::{declare, until};
use crate::harness::{
    ACCOUNT, ADMIN_TOKEN, AES_KEY, CORP, Gateway, SECRET, SOON, TOKEN, bot, bot_options, gateway_and_wecom,
};

const NEW_SECRET: &str = "another-secret-of-the-corp-for-tests-alone-02";

/// A registration whose fields are in order, with these changed.
pub(crate) fn fields(kf: &str, corp: &str, changed: &[(&str, &str)]) -> Value {
    let mut fields = json!({
        "kfId": kf, "kfName": "support", "endpoint": "http://127.0.0.1:9/bot", "corpId": corp,
        "corpSecret": SECRET, "token": TOKEN, "encodingAESKey": AES_KEY,
    });
    for (name, value) in changed {
        fields[*name] = json!(value);
    }
    fields
}

/// Posts JSON to a route of the registry; bots judge the answer by its `code`.
async fn call(gateway: &Gateway, route: &str, body: &Value) -> Value {
    let answer = gateway.post(&format!("/puppetWxkfManager/{route}")).json(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    for secret in [SECRET, NEW_SECRET, AES_KEY] {
        assert!(!text.contains(secret), "{text}");
    }
    serde_json::from_str(&text).unwrap()
}

pub(crate) async fn register(gateway: &Gateway, fields: &Value) -> Value {
    call(gateway, "register", fields).await
}

async fn info(gateway: &Gateway, kf: &str) -> (StatusCode, Value) {
    let answer = gateway.get(&format!("/puppetWxkfManager/puppetWxkfInfo/{kf}")).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn open_gateway() -> Gateway {
    Gateway::start(&[("REGISTRATION", "open")]).await
}

fn done() -> Value {
    json!({ "code": 0, "message": "success" })
}

#[tokio::test]
async fn a_registration_is_kept_shown_without_secrets_and_survives_a_kill() {
    let mut gateway = open_gateway().await;
    assert_eq!(register(&gateway, &fields("wk1", CORP, &[("endpoint", "http://127.0.0.1:9/bot//")])).await, done());
    gateway.kill().await;
    gateway.start_again().await;
    let (status, mut shown) = info(&gateway, "wk1").await;
    assert_eq!(status, 200);
    let last: jiff::Timestamp = shown["lastOnlineDate"].take().as_str().unwrap().parse().unwrap();
    let expected = json!({
        "kfOpenId": "wk1", "name": "support", "botEndpoint": "http://127.0.0.1:9/bot", "corpId": CORP, "online": true,
        "lastOnlineDate": null,
    });
    assert_eq!(shown, expected);

    // A second one replaces it.
    assert_eq!(register(&gateway, &fields("wk1", CORP, &[("kfName", "客服")])).await, done());
    assert_eq!(info(&gateway, "wk1").await.1["name"], "客服");

    // The original let a deregistration overwrite the corp id, and went on dispatching.
    let other = call(&gateway, "deregister", &json!({ "kfId": "wk1", "corpId": "ww-other", "kfName": "x" })).await;
    assert_eq!(other["code"], 403);
    assert_eq!(info(&gateway, "wk1").await.1["online"], true);
    let own = json!({ "kfId": "wk1", "corpId": CORP, "kfName": "x" });
    assert_eq!(call(&gateway, "deregister", &own).await, done());
    let (status, shown) = info(&gateway, "wk1").await;
    assert_eq!((status.as_u16(), &shown["online"], &shown["corpId"]), (200, &json!(false), &json!(CORP)));
    assert!(shown["lastOnlineDate"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap() >= last);
    assert_eq!(call(&gateway, "deregister", &json!({ "kfId": "wk-unknown", "corpId": CORP })).await, done());
}

#[tokio::test]
async fn what_is_unknown_is_404_with_a_json_error() {
    let gateway = open_gateway().await;
    for kf in ["wk-unknown", "%E5%AE%A2", "a%20b"] {
        let (status, error) = info(&gateway, kf).await;
        assert_eq!((status.as_u16(), &error["code"]), (404, &json!(404)), "{kf}");
    }
    for path in ["/puppetWxkfManager/puppetWxkfInfo/", "/puppetWxkfManager", "/", "/callback", "/callback/a/b/c"] {
        assert_eq!(gateway.get(path).send().await.unwrap().status(), 404, "{path}");
    }
    // The original answered these 404; 405 names the methods that there are.
    for (method, path) in [
        (Method::GET, "/puppetWxkfManager/register"),
        (Method::GET, "/puppetWxkfManager/deregister"),
        (Method::POST, "/puppetWxkfManager/getToken"),
        (Method::POST, "/api/corp/accessToken"),
        (Method::PUT, "/puppetWxkfManager/puppetWxkfInfo/wk1"),
        (Method::DELETE, "/callback/ww1"),
        (Method::GET, "/callback/decrypted/ww1"),
    ] {
        let answer = gateway.request(method, path).send().await.unwrap();
        assert_eq!(answer.status(), 405, "{path}");
        assert!(answer.headers().contains_key("allow"), "{path}");
    }
    for path in ["/livez", "/readyz", "/puppetWxkfManager/getToken"] {
        assert_eq!(gateway.request(Method::HEAD, path).send().await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn every_wrong_field_is_named_and_nothing_is_kept() {
    let gateway = open_gateway().await;
    let all = ["kfId", "kfName", "endpoint", "corpId", "corpSecret", "token", "encodingAESKey"];
    let refused = register(&gateway, &json!({})).await;
    assert_eq!(refused["code"], 400);
    for name in all {
        assert!(refused["message"].as_str().unwrap().contains(&format!("{name} is required")), "{refused}");
        for wrong in [json!(""), json!(null), json!(7), json!([]), json!("\u{0}")] {
            // Names are for people; a control character is theirs.
            if name == "kfName" && wrong == json!("\u{0}") {
                continue;
            }
            let mut fields = fields("wk1", CORP, &[]);
            fields[name] = wrong.clone();
            let refused = register(&gateway, &fields).await;
            assert_eq!(refused["code"], 400, "{name}: {wrong}");
            let message = refused["message"].as_str().unwrap();
            assert!(message.starts_with(name) && !message.contains(';'), "{name}: {message}");
        }
    }
    for endpoint in [
        "bot:8080",
        "ftp://bot",
        "http://",
        "http://user@bot",
        "http://user:password@bot",
        "http://bot?q",
        "http://bot#f",
        "http://169.254.169.254/latest",
        "http://[::ffff:169.254.169.254]/",
    ] {
        let refused = register(&gateway, &fields("wk1", CORP, &[("endpoint", endpoint)])).await;
        assert!(refused["message"].as_str().unwrap().starts_with("endpoint "), "{endpoint}: {refused}");
        assert_eq!(refused["code"], 400);
    }
    assert_eq!(info(&gateway, "wk1").await.0, 404);

    // A part of the fields changed a known bot in the original, unchecked.
    assert_eq!(register(&gateway, &fields("wk1", CORP, &[])).await, done());
    assert_eq!(register(&gateway, &json!({ "kfId": "wk1", "kfName": "" })).await["code"], 400);
    assert_eq!(info(&gateway, "wk1").await.1["name"], "support");

    let refused = call(&gateway, "deregister", &json!({ "kfId": "", "corpId": 1 })).await;
    assert_eq!(refused["message"], "kfId is required; corpId must be a string");
}

#[tokio::test]
async fn a_body_may_be_json_or_urlencoded() {
    let gateway = open_gateway().await;
    let send = async |route: &str, content_type: &str, body: String| {
        let sending = gateway.post(&format!("/puppetWxkfManager/{route}")).header("content-type", content_type);
        let answer = sending.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()
    };
    let form = |fields: &Value| {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields.as_object().unwrap() {
            form.append_pair(name, value.as_str().unwrap());
        }
        form.finish()
    };
    let named = fields("wk1", CORP, &[("kfName", "客 服+1")]);
    let urlencoded = "application/x-www-form-urlencoded";
    assert_eq!(send("register", urlencoded, form(&named)).await, done());
    assert_eq!(info(&gateway, "wk1").await.1["name"], "客 服+1");
    let gone = json!({ "kfId": "wk1", "corpId": CORP });
    assert_eq!(send("deregister", &format!("{urlencoded}; charset=utf-8"), form(&gone)).await, done());
    assert_eq!(info(&gateway, "wk1").await.1["online"], false);
    // What says that it is another type, or none, is read as JSON.
    for content_type in ["application/json; charset=utf-8", "text/plain", urlencoded] {
        assert_eq!(send("register", content_type, named.to_string()).await, done(), "{content_type}");
    }
    let large = json!({ "kfId": "x".repeat(300_000) }).to_string();
    for body in ["", "[]", "7", "<xml/>", "{\"kfId\":", &large] {
        let refused = send("register", "application/json", body.to_owned()).await;
        assert_eq!(refused["code"], 400);
        assert!(refused["message"].as_str().unwrap().contains("the body"), "{refused}");
    }
}

#[tokio::test]
async fn routes_match_with_stray_slashes() {
    let gateway = open_gateway().await;
    for route in ["/puppetWxkfManager/register/", "//puppetWxkfManager/register", "//puppetWxkfManager/register/"] {
        let answer = gateway.post(route).json(&fields("wk1", CORP, &[])).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap(), done(), "{route}");
    }
    let answer = gateway.get("//puppetWxkfManager/puppetWxkfInfo/wk1/").send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["kfOpenId"], "wk1");
    // As bots build it from an endpoint that ends in a slash.
    let (gateway, wecom) = gateway_and_wecom().await;
    let mut options = bot_options(&gateway, &wecom);
    options.manager.push('/');
    assert!(Bot::start(options).await.unwrap().registered(SOON).await);
}

#[tokio::test]
async fn a_decrypted_event_is_answered_roger_once_it_is_delivered_or_stored() {
    let (gateway, wecom) = gateway_and_wecom().await;
    let send = async |corp: &str, body: &Value| {
        gateway.post(&format!("/callback/decrypted/{corp}")).json(body).send().await.unwrap()
    };
    let unknown = send(CORP, &json!({ "token": "t", "openKfId": ACCOUNT })).await;
    assert_eq!(unknown.status(), 404, "the original answered `roger` to whatever came");
    assert_eq!(unknown.json::<Value>().await.unwrap()["code"], 404);

    let bot = bot(&gateway, &wecom).await;
    assert!(bot.ready(SOON).await);
    let event = json!({ "token": wecom.sync_token(CORP, ACCOUNT), "openKfId": ACCOUNT, "more": { "a": [1, null] } });
    let answer = send(CORP, &event).await;
    assert_eq!((answer.status().as_u16(), &*answer.text().await.unwrap()), (200, "roger"));
    assert!(bot.wait_for_pokes(1, SOON).await);
    let received = &bot.received()[0];
    assert_eq!(received.path, "/callback/decrypted");
    assert_eq!(serde_json::from_slice::<Value>(&received.body).unwrap(), event);

    for wrong in [json!({}), json!({ "token": "t" }), json!({ "openKfId": 1 }), json!({ "openKfId": "" }), json!([])] {
        let answer = send(CORP, &wrong).await;
        assert_eq!(answer.status(), 400, "{wrong}");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], 400);
    }
    // A bot that is gone ended the original's process.
    bot.terminate().await;
    let answer = send(CORP, &json!({ "token": "later", "openKfId": ACCOUNT })).await;
    assert_eq!((answer.status().as_u16(), &*answer.text().await.unwrap()), (200, "roger"));
    assert_eq!(gateway.deliveries("live").await.len(), 1);
}

/// How often WeCom's API was called, whatever came of it.
fn calls(wecom: &Wecom) -> usize {
    let called = |what: &Happening| matches!(what, Happening::ApiCalled { .. });
    wecom.journal().entries().iter().filter(|entry| called(&entry.what)).count()
}

async fn refused(gateway: &Gateway, fields: &Value, code: u16, reason: &str) {
    let answer = register(gateway, fields).await;
    assert_eq!(answer["code"], code, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains(reason), "{answer}");
}

#[tokio::test]
async fn a_secret_must_manage_the_account() {
    let (gateway, wecom) = gateway_and_wecom().await;
    wecom.corp(CORP).unmanaged_account("wk-unmanaged");
    let wrong = [("corpSecret", "a-secret-that-wecom-never-gave-out")];
    refused(&gateway, &fields(ACCOUNT, CORP, &wrong), 403, "errcode 40001").await;
    refused(&gateway, &fields(ACCOUNT, "ww-unknown", &[]), 403, "errcode 40013").await;
    refused(&gateway, &fields("wk-unlisted", CORP, &[]), 403, "does not list kfId").await;
    refused(&gateway, &fields("wk-unmanaged", CORP, &[]), 403, "may not manage it").await;
    assert_eq!(info(&gateway, ACCOUNT).await.0, 404);
    assert_eq!(register(&gateway, &fields(ACCOUNT, CORP, &[])).await, done());
    // The last of many pages.
    for number in 0..250 {
        let setup = wecom.corp(CORP);
        drop(setup.account(&format!("wk-{number:03}")));
    }
    assert_eq!(register(&gateway, &fields("wk-249", CORP, &[])).await, done());
    // A token that WeCom revoked is renewed for the proof.
    wecom.revoke_tokens(CORP);
    assert_eq!(register(&gateway, &fields("wk-248", CORP, &[])).await, done());
}

#[tokio::test]
async fn an_unchanged_registration_asks_nothing_and_an_outage_is_no_refusal() {
    let (gateway, wecom) = gateway_and_wecom().await;
    wecom.corp(CORP).account("wk-second");
    assert_eq!(register(&gateway, &fields(ACCOUNT, CORP, &[])).await, done());
    let before = calls(&wecom);
    assert_eq!(register(&gateway, &fields(ACCOUNT, CORP, &[])).await, done());
    assert_eq!(calls(&wecom), before);
    wecom.go_away().await;
    assert_eq!(register(&gateway, &fields(ACCOUNT, CORP, &[])).await, done());
    refused(&gateway, &fields("wk-second", CORP, &[]), 503, "try again").await;
    refused(&gateway, &fields("wk-second", CORP, &[("corpSecret", NEW_SECRET)]), 503, "try again").await;
    wecom.go_on().await.unwrap();
    wecom.corp(CORP).secret(NEW_SECRET);
    let mended = fields("wk-second", CORP, &[("corpSecret", NEW_SECRET)]);
    until(|| async { register(&gateway, &mended).await == done() }).await;
}

#[tokio::test]
async fn where_accounts_cannot_be_listed_a_new_account_passes_and_a_takeover_does_not() {
    let (gateway, wecom) = gateway_and_wecom().await;
    wecom.corp(CORP).secret(NEW_SECRET).without_kf(SECRET).trusted(NEW_SECRET, &["10.9.8.7".parse().unwrap()]);
    wecom.corp("ww-second").secret(NEW_SECRET).without_kf(NEW_SECRET);
    // 48002 of the one, 60020 of the other.
    assert_eq!(register(&gateway, &fields("wk-1", CORP, &[])).await, done());
    assert_eq!(register(&gateway, &fields("wk-2", CORP, &[("corpSecret", NEW_SECRET)])).await, done());
    let words = "registered with another secret or corp";
    refused(&gateway, &fields("wk-1", CORP, &[("corpSecret", NEW_SECRET)]), 403, words).await;
    refused(&gateway, &fields("wk-2", CORP, &[]), 403, words).await;
    refused(&gateway, &fields("wk-1", "ww-second", &[("corpSecret", NEW_SECRET)]), 403, words).await;
    // What the same secret changes is the bot's own.
    assert_eq!(register(&gateway, &fields("wk-1", CORP, &[("endpoint", "http://127.0.0.1:10")])).await, done());
    assert_eq!(info(&gateway, "wk-1").await.1["botEndpoint"], "http://127.0.0.1:10");
}

#[tokio::test]
async fn another_corp_takes_an_account_only_by_the_lists_proof() {
    let (gateway, wecom) = gateway_and_wecom().await;
    wecom.corp("ww-second").secret(NEW_SECRET);
    assert_eq!(register(&gateway, &fields(ACCOUNT, CORP, &[])).await, done());
    let takeover = fields(ACCOUNT, "ww-second", &[("corpSecret", NEW_SECRET)]);
    refused(&gateway, &takeover, 403, "does not list kfId").await;
    assert_eq!(info(&gateway, ACCOUNT).await.1["corpId"], CORP);
    wecom.corp("ww-second").account(ACCOUNT);
    assert_eq!(register(&gateway, &takeover).await, done());
    assert_eq!(info(&gateway, ACCOUNT).await.1["corpId"], "ww-second");
}

#[tokio::test]
async fn a_token_service_without_a_way_to_wecom_is_enough_for_a_new_account() {
    let service = crate::harness::wecom().await;
    let url = format!("{}/cgi-bin/gettoken", service.base_url());
    let settings = [("ACCESS_TOKEN_URL", &*url), ("WECOM_API_BASE_URL", "http://127.0.0.1:9")];
    let gateway = Gateway::start(&settings).await;
    assert_eq!(register(&gateway, &fields("wk-1", CORP, &[])).await, done());
    service.corp(CORP).secret(NEW_SECRET);
    let other = fields("wk-1", CORP, &[("corpSecret", NEW_SECRET)]);
    refused(&gateway, &other, 403, "registered with another secret or corp").await;
}

#[tokio::test]
async fn the_password_is_asked_for_on_the_bots_routes_alone() {
    const PASSWORDS: [&str; 2] = ["old-password", "New.password_2~"];
    let wecom = crate::harness::wecom().await;
    let settings = [("PUPPET_PASSWORD", &*PASSWORDS.join(",")), ("WECOM_API_BASE_URL", &wecom.base_url())];
    let gateway = Gateway::start(&settings).await;
    declare(&gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    // Every one of the document, so that no route is forgotten, and a spelling.
    let document = crate::openapi::document();
    let bots = crate::openapi::operations(&document).into_iter().filter(|(_, _, it)| it["tags"][0] == "Bots");
    let mut asking: Vec<_> = bots
        .map(|(method, path, _)| {
            let values = [("{corpId}", CORP), ("{kfId}", "wk1"), ("{path}", "gettoken")];
            (method, values.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value)))
        })
        .collect();
    asking.push((Method::POST, "//puppetWxkfManager/deregister/".to_owned()));
    assert_eq!(asking.len(), 11);
    for (method, path) in asking {
        let request = || gateway.request(method.clone(), &path);
        let without = request().send().await.unwrap();
        assert_eq!(without.status(), 401, "{path}");
        assert!(without.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "), "{path}");
        for wrong in [
            request().basic_auth("bot", Some("wrong")),
            request().basic_auth(PASSWORDS[0], None::<&str>),
            request().bearer_auth("old-passwor"),
            request().bearer_auth(""),
            request().bearer_auth(ADMIN_TOKEN),
            request().header("authorization", PASSWORDS[0]),
        ] {
            assert_eq!(wrong.send().await.unwrap().status(), 401, "{path}");
        }
        for password in PASSWORDS {
            for right in [
                request().basic_auth("bot", Some(password)),
                request().basic_auth("", Some(password)),
                request().bearer_auth(password),
            ] {
                assert_ne!(right.send().await.unwrap().status(), 401, "{path}");
            }
        }
    }
    let free = [&*format!("/callback/{CORP}"), "/livez", "/readyz", "/metrics", "/openapi.json"];
    for path in free {
        assert_ne!(gateway.get(path).send().await.unwrap().status(), 401, "{path}");
    }
    let admin = gateway.get("/api/admin/corps").bearer_auth(PASSWORDS[0]).send().await.unwrap();
    assert_eq!(admin.status(), 401);

    // As unmodified bots send it.
    let mut options = bot_options(&gateway, &wecom);
    options.manager = gateway.url().replace("http://", &format!("http://bot:{}@", PASSWORDS[1]));
    let bot = Bot::start(options).await.unwrap();
    assert!(bot.registered(SOON).await, "{}", gateway.log());
}

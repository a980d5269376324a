//! Every page in both languages, with nothing and with something of everything to show.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode, Url};
use serde_json::json;
use wxkf_gateway::simulator::wecom::{Verification, Wecom};

use super::{Browser, Page};
use crate::admin::until;
use crate::harness::{ACCOUNT, ADMIN_TOKEN, AES_KEY, CORP, Gateway, SECRET, TOKEN, gateway_and_wecom};
use crate::registry::{fields, register};

const PAGES: [&str; 7] = ["", "/corps", "/bots", "/deliveries", "/tokens", "/tail", "/audit"];
const PROXY_PASSWORD: &str = "p4ssw0rd-of-the-proxy";
const SERVICE_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const LANGUAGES: [(&str, &str); 2] = [("en", "en"), ("zh", "zh-CN")];

/// What holds for each page.
fn check(page: &Page, tag: &str) {
    let url = &page.url;
    assert_eq!(page.status, StatusCode::OK, "{url}");
    page.assert_shows(&format!("<html lang=\"{tag}\">"));
    let header = |name: &str| page.headers[name].to_str().unwrap().to_owned();
    assert_eq!((header("cache-control"), header("x-content-type-options")), ("no-store".into(), "nosniff".into()));
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    for inline in [" style=", "<style", "<script>", "onclick=", "javascript:"] {
        assert!(!page.shows(inline), "{url} has {inline}");
    }
    for secret in [SECRET, TOKEN, AES_KEY, PROXY_PASSWORD, SERVICE_SECRET, ADMIN_TOKEN, "wxkf_console="] {
        assert!(!page.shows(secret), "{url} shows {secret}");
    }
}

/// What a page links to and loads, each resolved as a browser does.
fn links(page: &Page) -> BTreeSet<Url> {
    let quoted = |mark: &'static str| page.text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
    let all = [" href=\"", " src=\"", " action=\"", " data-live=\"", " data-tail=\""].into_iter().flat_map(quoted);
    let plain = all.filter(|link| !link.starts_with('#')).map(|link| link.replace("&amp;", "&"));
    let relative =
        plain.inspect(|link| assert!(!link.starts_with('/') && !link.contains("://"), "{}: {link}", page.url));
    relative.map(|link| page.url.join(&link).unwrap()).collect()
}

/// One of everything: a corp with two pairs, a proxy and a service, a bot that is away, events, a token.
async fn full() -> (Gateway, Wecom) {
    let (gateway, wecom) = gateway_and_wecom().await;
    let body = json!({
        "credentials": [
            { "token": TOKEN, "encodingAESKey": AES_KEY, "label": "<b>new</b>" },
            { "token": "another", "encodingAESKey": AES_KEY, "receiveIds": [CORP, "ww-provider"] },
        ],
        "services": { "contacts": { "url": "http://127.0.0.1:9/", "events": ["*"], "format": "json", "secret": SERVICE_SECRET } },
    });
    let put = gateway.admin(Method::PUT, &format!("/corps/{CORP}")).json(&body).send().await.unwrap();
    assert_eq!(put.status(), 200);
    assert_eq!(register(&gateway, &fields(ACCOUNT, CORP, &[("kfName", "<i>support</i>")])).await["code"], 0);
    assert!(wecom.customer_writes(CORP, ACCOUNT, "wm1", "hello").await.is_accepted());
    assert_eq!(wecom.verify_url(CORP).await, Verification::Passed);
    until(async || gateway.deliveries("live").await.len() == 2).await;
    // The last, because this proxy leads nowhere.
    let proxied = json!({ "wecomProxy": format!("http://user:{PROXY_PASSWORD}@127.0.0.1:9") });
    gateway.admin(Method::PUT, "/corps/ww-other").json(&proxied).send().await.unwrap();
    (gateway, wecom)
}

#[tokio::test]
async fn every_page_of_a_new_gateway_renders_and_says_what_to_do() {
    let gateway = Gateway::start(&[]).await;
    for (language, tag) in LANGUAGES {
        let browser = Browser { language, ..Browser::signed_in(&gateway).await };
        for path in PAGES {
            let page = browser.get(path).await;
            check(&page, tag);
            let empty = page.shows("class=\"empty\"") || page.shows("class=\"guide\"") || path == "/audit";
            assert!(empty, "{path} says nothing of being empty");
        }
        let guide = browser.get("").await;
        for name in ["设置API接收", "Set API Receive", "企业ID", "Corp ID", "随机获取", "保存"] {
            if language == "zh" || name != "Corp ID" {
                guide.assert_shows(name);
            }
        }
    }
}

#[tokio::test]
async fn every_page_shows_what_there_is_and_no_secret() {
    let (gateway, _wecom) = full().await;
    let corp = format!("/corps/{CORP}");
    let pages = [format!("{corp}/services/contacts"), format!("{corp}/new-service"), corp, "/corps/ww-other".into()];
    let pages: Vec<&str> = PAGES.into_iter().chain(pages.iter().map(String::as_str)).collect();
    for (language, tag) in LANGUAGES {
        let browser = Browser { language, ..Browser::signed_in(&gateway).await };
        for path in &pages {
            let page = browser.get(path).await;
            check(&page, tag);
            assert!(!page.shows("<b>new") && !page.shows("<i>support"), "{path} lets others write HTML");
            assert!(!page.shows("class=\"empty\"") || *path == "/tail", "{path} shows nothing");
        }
    }
    let browser = Browser::signed_in(&gateway).await;
    let seen = [
        ("/bots", "away"),
        ("/bots", "&#60;i&#62;support"),
        ("/deliveries", "the bot is away"),
        ("/deliveries?state=live&service=contacts", "kf_msg_or_event"),
        ("/tokens", CORP),
        ("/audit", "Corp changed"),
        ("/corps", "Verified"),
        ("", "Bots away: 1"),
    ];
    for (path, text) in seen {
        browser.get(path).await.assert_shows(text);
    }
    let none = browser.get("/deliveries?openKfId=wk-none").await;
    none.assert_shows("Nothing like that waits");
    assert_eq!(browser.get("/deliveries?corpId=w%20w").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn every_link_is_relative_and_leads_somewhere() {
    let (gateway, _wecom) = full().await;
    let browser = Browser::signed_in(&gateway).await;
    let mut known = BTreeSet::new();
    let mut next = vec![browser.url(""), browser.url("/sign-in")];
    while let Some(url) = next.pop() {
        let answer = browser.request(Method::GET, url.clone()).send().await.unwrap();
        let is_stream = answer.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        // Forms that only change something have no page; what they have is `POST`.
        let status = answer.status();
        assert!(status.is_success() || status == 405 || status == 303, "{url}: {status}");
        if is_stream || !url.path().starts_with("/console") || url.path().contains("/files/") || !status.is_success() {
            continue;
        }
        for link in links(&browser.follow(answer).await) {
            if known.insert(link.clone()) {
                next.push(link);
            }
        }
    }
    assert!(known.len() > 25, "{known:#?}");
}

#[tokio::test]
async fn the_language_is_the_browsers_until_somebody_chooses() {
    let gateway = Gateway::start(&[]).await;
    let mut browser = Browser { language: "zh-CN,zh;q=0.9", ..Browser::signed_in(&gateway).await };
    let page = browser.get("/corps").await;
    page.assert_shows("<h1>企业</h1>");
    let answer = browser.send("/language", &[("language", "en"), ("back", &page.hidden("back"))]).await;
    let choice = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    browser.session = browser.session.map(|session| format!("{session}; {choice}"));
    let back = browser.follow(answer).await;
    assert_eq!(back.url.path(), "/console/corps");
    back.assert_shows("<h1>Corps</h1>");
}

#[tokio::test]
async fn what_is_not_there_has_a_page_too() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::signed_in(&gateway).await;
    for path in ["/nowhere", "/corps/ww-none", "/corps/w%20w", "/corps/ww-none/services/x", "/files/none.css"] {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let slash = gateway.get("/console/").send().await.unwrap();
    assert_eq!(slash.url().path(), "/console/sign-in");
}

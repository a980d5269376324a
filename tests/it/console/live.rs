//! What moves by itself: the tail of hops, and WeCom's check of a URL.

use futures::StreamExt as _;
use reqwest::Method;
use serde_json::json;
use tokio::time::timeout;
use wxkf_gateway::simulator::wecom::Verification;

use super::Browser;
use crate::admin::declare;
use crate::harness::{ACCOUNT, AES_KEY, CORP, Gateway, SECRET, SOON, TOKEN, bot, gateway_and_wecom};

/// A stream of server-sent events.
struct Stream {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Stream {
    async fn open(browser: &Browser, path: &str) -> Self {
        let answer = browser.request(Method::GET, browser.url(path)).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (200, "text/event-stream")
        );
        assert_eq!(answer.headers()["cache-control"], "no-cache");
        Self { bytes: answer.bytes_stream().boxed(), text: String::new() }
    }

    /// Reads until all of it came.
    async fn shows(&mut self, texts: &[&str]) {
        let reading = async {
            while !texts.iter().all(|text| self.text.contains(text)) {
                let part = self.bytes.next().await.expect("it goes on").unwrap();
                self.text.push_str(std::str::from_utf8(&part).unwrap());
            }
        };
        let in_time = timeout(SOON, reading).await.is_ok();
        assert!(in_time, "{texts:?} are not all in:\n{}", self.text);
    }
}

#[tokio::test]
async fn the_tail_tells_each_hop_and_no_secret() {
    let (gateway, wecom) = gateway_and_wecom().await;
    let browser = Browser::signed_in(&gateway).await;
    let service = json!({ "url": "http://127.0.0.1:9/", "events": ["change_contact"], "format": "json" });
    let body =
        json!({ "credentials": [{ "token": TOKEN, "encodingAESKey": AES_KEY }], "services": { "crm": service } });
    gateway.admin(Method::PUT, &format!("/corps/{CORP}")).json(&body).send().await.unwrap();
    let mut tail = Stream::open(&browser, "/tail/hops").await;
    assert_eq!(wecom.verify_url(CORP).await, Verification::Passed);
    tail.shows(&["<b>URL verified</b>"]).await;
    let bot = bot(&gateway, &wecom).await;
    assert!(bot.ready(SOON).await);
    let event = json!({ "token": "t", "openKfId": "wk-nobody" });
    gateway.post(&format!("/callback/decrypted/{CORP}")).json(&event).send().await.unwrap();
    tail.shows(&["<b>Genuine</b>", "<b>Stored</b><span>no bot is online for this account</span>", "wk-nobody"]).await;
    assert!(wecom.customer_writes(CORP, ACCOUNT, "wm1", "hello").await.is_accepted());
    tail.shows(&["<b>Delivered</b>", ACCOUNT]).await;
    let contact = "<xml><MsgType>event</MsgType><Event>change_contact</Event></xml>";
    let other = "<xml><MsgType>event</MsgType><Event>something_else</Event></xml>";
    for xml in [contact, other] {
        assert!(wecom.call_back(CORP, xml).await.is_accepted());
    }
    tail.shows(&["<b>Queued</b><span>change_contact</span>", "<b>Attempt failed</b><span>no connection"]).await;
    tail.shows(&["<b>Nobody takes it</b><span>something_else</span>"]).await;
    gateway.get(&format!("/callback/{CORP}?msg_signature=a")).send().await.unwrap();
    gateway.get("/callback/w%22%3Cb%3E?x=1").send().await.unwrap();
    tail.shows(&["<b>Refused</b><span>query incomplete or repeated</span>", "unknown corp"]).await;
    for secret in [SECRET, TOKEN, AES_KEY, "<b>?"] {
        assert!(!tail.text.contains(secret), "{}", tail.text);
    }
}

#[tokio::test]
async fn the_page_of_a_corp_tells_each_check_of_its_url() {
    let (gateway, wecom) = gateway_and_wecom().await;
    declare(&gateway, CORP, json!([{ "token": "another", "encodingAESKey": AES_KEY, "label": "mine" }])).await;
    let mut browser = Browser::signed_in(&gateway).await;
    let path = format!("/corps/{CORP}/live");
    let mut page = Stream::open(&browser, &path).await;
    browser.language = "zh";
    let mut chinese = Stream::open(&browser, &path).await;
    page.shows(&["Not checked yet"]).await;
    assert_ne!(wecom.verify_url(CORP).await, Verification::Passed);
    page.shows(&["WeCom checked this URL", "wrong Token", "Do this:", "127.0.0.1"]).await;
    chinese.shows(&["Token 不正确", "请从后台重新复制 Token"]).await;
    browser.language = "en";
    browser.get("").await.assert_shows(&format!("Callbacks of {CORP} are refused"));
    declare(&gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY, "label": "mine" }])).await;
    assert_eq!(wecom.verify_url(CORP).await, Verification::Passed);
    page.shows(&["WeCom verified this URL", "<code>mine</code>"]).await;
    browser.get("").await.assert_shows("Nothing needs you.");
}

#[tokio::test]
async fn numbers_of_the_last_hour_are_counted() {
    let (gateway, wecom) = gateway_and_wecom().await;
    declare(&gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    let browser = Browser::signed_in(&gateway).await;
    let mut overview = Stream::open(&browser, "/live").await;
    assert!(wecom.customer_writes(CORP, ACCOUNT, "wm1", "hello").await.is_accepted());
    gateway.get("/callback/none").send().await.unwrap();
    gateway.get("/cgi-bin/kf/account/list").send().await.unwrap();
    let chart = |name: &str, number| format!("aria-label=\"{name}: {number}, peak {number}\"");
    let expected = [("Callbacks", 1), ("Dispatched", 0), ("Stored", 1), ("Refused", 1), ("API calls proxied", 1)];
    let expected = expected.map(|(name, number)| chart(name, number));
    overview.shows(&expected.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn an_open_page_does_not_hold_up_the_end() {
    let mut gateway = Gateway::start(&[]).await;
    let browser = Browser::signed_in(&gateway).await;
    let _streams = tokio::join!(Stream::open(&browser, "/tail/hops"), Stream::open(&browser, "/live"));
    let began = std::time::Instant::now();
    assert_eq!(gateway.terminate().await, Some(0));
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

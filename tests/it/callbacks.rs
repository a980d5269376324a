//! The callback URL as WeCom, and everybody else on the internet, meets it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::{Value, json};
use wxkf_gateway::callback::crypto;
use wxkf_gateway::simulator::bot::Behaviour;
use wxkf_gateway::simulator::wecom::{
    Credential, EventFields, SHAPED, Stamp, Verification, inner_xml, signed_callback, verification_query,
};

use crate::admin::{declare, until};
use crate::harness::{
    ACCOUNT, AES_KEY, CORP, Gateway, SOON, TOKEN, bot, bot_options, credential, gateway_and_wecom, wecom,
};
use crate::registry::{fields, register};
use crate::vectors::{self, Vector};

const OTHER_KEY: &str = "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt";

/// A gateway that knows [`CORP`] by [`credential`], and no WeCom.
async fn gateway() -> Gateway {
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", "http://127.0.0.1:9")]).await;
    declare(&gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    gateway
}

async fn told(response: Response) -> (u16, String) {
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn post(gateway: &Gateway, path: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    told(gateway.post(path).header("content-type", "text/xml").body(body).send().await.unwrap()).await
}

/// Posts an inner XML that this credential sealed.
async fn seal_and_post(gateway: &Gateway, corp: &str, credential: &Credential, inner: &str) -> (u16, String) {
    let callback = signed_callback(credential, inner);
    post(gateway, &format!("/callback/{corp}?{}", callback.query), callback.body).await
}

async fn verify(gateway: &Gateway, corp: &str, credential: &Credential) -> (u16, String) {
    let query = verification_query(credential, "1616140317555161061", &Stamp::now());
    told(gateway.get(&format!("/callback/{corp}?{query}")).send().await.unwrap()).await
}

fn success() -> (u16, String) {
    (200, "success".to_owned())
}

fn verified() -> (u16, String) {
    (200, "1616140317555161061".to_owned())
}

/// What signs a vector that was published without a signature.
const STAMP: (&str, &str) = ("1409659589", "263014780");

/// `msg_signature`, `timestamp`, `nonce` and the token behind them.
fn signed(vector: &Vector) -> (String, String) {
    let (token, timestamp, nonce, signature) = if vector.msg_signature.is_empty() {
        let signature = crypto::signature(TOKEN, STAMP.0, STAMP.1, &vector.encrypt);
        (TOKEN, STAMP.0, STAMP.1, signature.iter().copied().map(char::from).collect())
    } else {
        (&*vector.token, &*vector.timestamp, &*vector.nonce, vector.msg_signature.clone())
    };
    (token.to_owned(), format!("msg_signature={signature}&timestamp={timestamp}&nonce={nonce}"))
}

/// The corp that a vector is for; one without a receive id belongs to an individual's app.
fn corp_of(vector: &Vector) -> &str {
    match vector.receive_id.as_deref() {
        Some("") => "an-individuals-app",
        Some(id) => id,
        None => "wx5823bf96d3bd56c7",
    }
}

/// A gateway that was told the pair of every vector.
async fn gateway_of(vectors: &[Vector]) -> Gateway {
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", "http://127.0.0.1:9")]).await;
    let mut corps: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for vector in vectors {
        let (token, _) = signed(vector);
        let mut pair = json!({ "token": token, "encodingAESKey": vector.encoding_aes_key });
        if vector.receive_id.as_deref() == Some("") {
            pair["receiveIds"] = json!([""]);
        }
        let pairs = corps.entry(corp_of(vector)).or_default();
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    for (corp, pairs) in corps {
        declare(&gateway, corp, json!(pairs)).await;
    }
    gateway
}

async fn get_vector(gateway: &Gateway, vector: &Vector) -> (u16, String) {
    let echo: String = form_urlencoded::byte_serialize(vector.encrypt.as_bytes()).collect();
    let path = format!("/callback/{}?{}&echostr={echo}", corp_of(vector), signed(vector).1);
    told(gateway.get(&path).send().await.unwrap()).await
}

async fn post_vector(gateway: &Gateway, vector: &Vector) -> (u16, String) {
    let xml = vector.post_body.clone().filter(|body| body.starts_with('<'));
    let body = xml.unwrap_or_else(|| format!("<xml><Encrypt><![CDATA[{}]]></Encrypt></xml>", vector.encrypt));
    post(gateway, &format!("/callback/{}?{}", corp_of(vector), signed(vector).1), body).await
}

#[tokio::test]
async fn every_genuine_vector_is_answered_to_the_byte() {
    let mut genuine = vectors::published();
    genuine.extend(vectors::made().into_iter().filter(|vector| vector.kind == "synthetic_positive"));
    let gateway = gateway_of(&genuine).await;
    for vector in &genuine {
        let plaintext = vector.plaintext.clone().unwrap();
        assert_eq!(get_vector(&gateway, vector).await, (200, plaintext), "{}", vector.id);
        assert_eq!(post_vector(&gateway, vector).await, success(), "{}", vector.id);
    }
    // The JSON envelopes of some APIs are no callback of customer service.
    let json = genuine.iter().find(|vector| vector.kind == "message_json").unwrap();
    let path = format!("/callback/{}?{}", corp_of(json), signed(json).1);
    assert_eq!(post(&gateway, &path, json.post_body.clone().unwrap()).await.0, 400);
    // Two corps have news of an account, which wait for its bot; all else is no bot's.
    let held = gateway.deliveries("live").await;
    let corps: Vec<&str> = held.iter().map(|held| held["corpId"].as_str().unwrap()).collect();
    assert_eq!(corps, ["wx5823bf96d3bd56c7", "an-individuals-app"]);
}

#[tokio::test]
async fn every_hostile_vector_is_refused_by_its_class() {
    let hostile: Vec<Vector> =
        vectors::made().into_iter().filter(|vector| vector.kind == "synthetic_negative").collect();
    let gateway = gateway_of(&hostile).await;
    for vector in &hostile {
        let expected = match vector.id.as_str() {
            "neg_bad_signature" | "uppercase_signature" => (403, "wrong signature"),
            "neg_wrong_receive_id" => (403, "wrong receive id"),
            _ => (400, "not base64 or not decryptable"),
        };
        let expected = (expected.0, expected.1.to_owned());
        assert_eq!(get_vector(&gateway, vector).await, expected, "{}", vector.id);
        assert_eq!(post_vector(&gateway, vector).await, expected, "{}", vector.id);
    }
    assert_eq!(hostile.len(), 7);
}

#[tokio::test]
async fn refusals_come_in_their_order_and_name_the_class_alone() {
    let gateway = gateway().await;
    let good = signed_callback(&credential(), "<xml/>");
    let sign = |encrypted: &str| {
        let hex = crypto::signature(TOKEN, "1", "2", encrypted);
        format!("msg_signature={}&timestamp=1&nonce=2", hex.map(char::from).iter().collect::<String>())
    };
    let envelope = |encrypted: &str| format!("<xml><Encrypt>{encrypted}</Encrypt></xml>");
    let stranger = signed_callback(&Credential::new("ww-another", TOKEN, AES_KEY).unwrap(), "<xml/>");
    let large = "x".repeat(1024 * 1024 + 1);
    let query = "query incomplete or repeated: forward WeCom's query string";
    let xml = "body is not WeCom's XML with an Encrypt element";
    let dtd = format!("<!DOCTYPE xml>{}", good.body);
    let entity = envelope("&encrypted;");
    let cases = [
        ("/callback/ww-unknown".to_owned(), &*large, 404, "unknown corp"),
        ("/callback/not.a.corp.id?x".to_owned(), &*large, 404, "unknown corp"),
        (format!("/callback/{CORP}"), &large, 400, query),
        (format!("/callback/{CORP}?{}&nonce=1", good.query), &large, 400, query),
        (format!("/callback/{CORP}?{}", sign("x")), &large, 413, "body larger than 1 MiB"),
        (format!("/callback/{CORP}?{}", sign("x")), "no xml", 400, xml),
        (format!("/callback/{CORP}?{}", sign("x")), "", 400, xml),
        (format!("/callback/{CORP}?{}", sign("x")), "<xml><A><Encrypt>x</Encrypt></A></xml>", 400, xml),
        (format!("/callback/{CORP}?{}", sign("x")), "<xml><Encrypt/></xml>", 400, xml),
        (format!("/callback/{CORP}?{}", good.query), &dtd, 400, xml),
        (format!("/callback/{CORP}?{}", good.query), &entity, 400, xml),
        (format!("/callback/{CORP}?{}", sign("x")), &envelope("!"), 403, "wrong signature"),
        (format!("/callback/{CORP}?{}", sign("!")), &envelope("!"), 400, "not base64 or not decryptable"),
        (format!("/callback/{CORP}?{}", sign("AAAA")), &envelope("AAAA"), 400, "not base64 or not decryptable"),
        (format!("/callback/{CORP}?{}", stranger.query), &stranger.body, 403, "wrong receive id"),
        (format!("/callback/{CORP}?{}", good.query), &good.body, 200, "success"),
    ];
    for (path, body, status, class) in cases {
        assert_eq!(post(&gateway, &path, body.to_owned()).await, (status, class.to_owned()), "{path}");
    }
    // The answers tell no more; the log does.
    for reason in ["the query has nonce more than once", "no Encrypt element directly below", "another receive id"] {
        until(async || gateway.log().contains(reason)).await;
    }
}

#[tokio::test]
async fn a_large_body_is_read_to_its_end_and_answered() {
    let gateway = gateway().await;
    let good = signed_callback(&credential(), "<xml/>");
    let path = format!("/callback/{CORP}?{}", good.query);
    let padded = |length: usize| format!("{}{}", good.body, " ".repeat(length - good.body.len()));
    assert_eq!(post(&gateway, &path, padded(1024 * 1024)).await, success());
    for length in [1024 * 1024 + 1, 8 * 1024 * 1024] {
        assert_eq!(post(&gateway, &path, padded(length)).await.0, 413, "{length}");
    }
    // Of unknown length, in many small pieces.
    let pieces = futures::stream::iter((0..2048).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])));
    assert_eq!(post(&gateway, &path, reqwest::Body::wrap_stream(pieces)).await.0, 413);
}

#[tokio::test]
async fn each_signed_parameter_is_wanted_once() {
    let gateway = gateway().await;
    let good = verification_query(&credential(), "hello", &Stamp::now());
    let get = async |query: &str| told(gateway.get(&format!("/callback/{CORP}?{query}")).send().await.unwrap()).await;
    assert_eq!(get(&good).await, (200, "hello".to_owned()));
    let pairs: Vec<&str> = good.split('&').collect();
    for (at, pair) in pairs.iter().enumerate() {
        let mut others = pairs.clone();
        others.remove(at);
        let name = pair.split('=').next().unwrap();
        for query in [others.join("&"), format!("{}&{name}=", others.join("&")), format!("{good}&{pair}")] {
            assert_eq!(get(&query).await.0, 400, "{query}");
        }
    }
    // What stood in the configured URL is ignored, and the order does not matter.
    let mut turned = pairs;
    turned.reverse();
    assert_eq!(get(&format!("corpid=$CORPID$&{}&corpid=x", turned.join("&"))).await.0, 200);
    // A proxy that decoded once too often leaves spaces where base64 has `+`.
    let spaced = (0..=u8::MAX)
        .map(|byte| verification_query(&credential(), "hello", &Stamp { random: [byte; 16], ..Stamp::now() }))
        .find(|query| query.contains("%2B"));
    assert_eq!(get(&spaced.unwrap().replace("%2B", "+")).await, (200, "hello".to_owned()));
}

#[tokio::test]
async fn slashes_content_types_and_layout_do_not_matter() {
    let gateway = gateway().await;
    let good = signed_callback(&credential(), "<xml/>\r\n");
    for path in [format!("/callback/{CORP}/"), format!("//callback/{CORP}"), format!("//callback/{CORP}/")] {
        assert_eq!(post(&gateway, &format!("{path}?{}", good.query), good.body.clone()).await, success(), "{path}");
        let query = verification_query(&credential(), "hello", &Stamp::now());
        assert_eq!(gateway.get(&format!("{path}?{query}")).send().await.unwrap().text().await.unwrap(), "hello");
    }
    let path = format!("/callback/{CORP}?{}", good.query);
    for content_type in ["application/xml; charset=utf-8", "text/plain", "application/json", "multipart/form-data"] {
        let sending = gateway.post(&path).header("content-type", content_type).body(good.body.clone());
        assert_eq!(told(sending.send().await.unwrap()).await, success(), "{content_type}");
    }
    assert_eq!(told(gateway.post(&path).body(good.body.clone()).send().await.unwrap()).await, success());
    let sealed = good.body.split("<Encrypt><![CDATA[").nth(1).unwrap().split("]]>").next().unwrap();
    for body in [
        format!("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n{}\r\n", good.body),
        format!("<xml>\r\n  <Encrypt> <![CDATA[{sealed}]]>\r\n</Encrypt>\r\n</xml>\r\n"),
        format!("<any a='b'><Encrypt>{}</Encrypt><Encrypt>second</Encrypt></any>", sealed.replace('+', "&#43;")),
    ] {
        assert_eq!(post(&gateway, &path, body.clone()).await, success(), "{body}");
    }
}

#[tokio::test]
async fn what_is_genuine_is_acknowledged_whatever_it_holds() {
    let gateway = gateway().await;
    for inner in [
        "",
        "no xml",
        "{\"json\":true}",
        "<xml>",
        "<!DOCTYPE x [<!ENTITY e 'e'>]><xml><Event>kf_msg_or_event</Event><OpenKfId>&e;</OpenKfId></xml>",
        "<xml><Event>kf_msg_or_event</Event><OpenKfId>with a space</OpenKfId></xml>",
        "<xml><Other><Event>kf_msg_or_event</Event></Other><OpenKfId>wk1</OpenKfId></xml>",
    ] {
        assert_eq!(seal_and_post(&gateway, CORP, &credential(), inner).await, success(), "{inner}");
    }
    assert!(gateway.deliveries("live").await.is_empty());
}

/// Of reference 4.2, beside those that the simulator gives a shape of their own.
const EVENTS: &str = "subscribe unsubscribe enter_agent view_miniprogram scancode_push scancode_waitmsg pic_sysphoto \
    pic_photo_or_album pic_weixin location_select open_approval_change sys_approval_change taskcard_click \
    template_card_event template_card_menu_event share_agent_change share_chain_change close_inactive_agent \
    reopen_inactive_agent change_external_chat change_external_tag msgaudit_notify living_status_change \
    customer_acquisition modify_calendar delete_schedule book_meeting_room change_school_contact KF_MSG_OR_EVENT";

#[tokio::test]
async fn no_event_but_an_accounts_news_goes_to_a_bot() {
    let (gateway, wecom) = gateway_and_wecom().await;
    let bot = bot(&gateway, &wecom).await;
    assert!(bot.ready(SOON).await);
    let news = |name: &str| name.starts_with("kf_msg_or_event");
    let others = SHAPED.iter().copied().filter(|name| !news(name)).chain(EVENTS.split_whitespace());
    let fields = EventFields { corp: CORP, open_kf_id: ACCOUNT, create_time: 1, ..EventFields::default() };
    for name in others {
        let answer = seal_and_post(&gateway, CORP, &credential(), &inner_xml(name, &fields)).await;
        assert_eq!(answer, success(), "{name}");
    }
    assert!(wecom.send_event(CORP, "kf_msg_or_event", ACCOUNT, "").await.is_accepted());
    assert!(bot.wait_for_pokes(1, SOON).await);
    assert_eq!(bot.received().len(), 1, "only the last one was dispatched");
    assert!(gateway.deliveries("live").await.is_empty());
}

#[tokio::test]
async fn news_that_names_no_account_goes_to_each_online_bot_decrypted() {
    let (gateway, wecom) = gateway_and_wecom().await;
    wecom.corp(CORP).account("wk-second");
    let first = bot(&gateway, &wecom).await;
    let mut options = bot_options(&gateway, &wecom);
    options.open_kf_id = "wk-second".to_owned();
    let second = wxkf_gateway::simulator::bot::Bot::start(options).await.unwrap();
    assert!(second.registered(SOON).await && first.ready(SOON).await && second.ready(SOON).await);
    assert!(wecom.send_event(CORP, "kf_msg_or_event_without_open_kf_id", ACCOUNT, "").await.is_accepted());
    for (bot, account) in [(first, ACCOUNT), (second, "wk-second")] {
        assert!(bot.wait_for_pokes(1, SOON).await);
        let received = bot.received();
        assert_eq!(received[0].path, "/callback/decrypted");
        assert_eq!(bot.pokes()[0].open_kf_id, account);
        assert_eq!(bot.died(), None);
    }
}

#[tokio::test]
async fn a_bot_gets_the_news_of_its_own_corp_while_it_is_online_and_no_other() {
    let (gateway, wecom) = gateway_and_wecom().await;
    let bot = bot(&gateway, &wecom).await;
    assert!(bot.ready(SOON).await);
    let other = Credential::new("ww-other", TOKEN, OTHER_KEY).unwrap();
    declare(&gateway, "ww-other", json!([{ "token": TOKEN, "encodingAESKey": OTHER_KEY }])).await;
    let fields = EventFields { corp: "ww-other", open_kf_id: ACCOUNT, token: "t", ..EventFields::default() };
    let news = inner_xml("kf_msg_or_event", &fields);
    assert_eq!(seal_and_post(&gateway, "ww-other", &other, &news).await, success());

    let gone = json!({ "kfId": ACCOUNT, "corpId": CORP });
    gateway.post("/puppetWxkfManager/deregister").json(&gone).send().await.unwrap();
    assert!(wecom.send_event(CORP, "kf_msg_or_event", ACCOUNT, "").await.is_accepted());
    let held = gateway.deliveries("live").await;
    assert_eq!(held.len(), 2, "both wait for a bot of theirs: {held:?}");
    assert!(bot.received().is_empty());
}

#[tokio::test]
async fn corp_ids_differ_by_case_alone() {
    let gateway = gateway().await;
    let pairs = [("wwAbC", "token-1"), ("wwabc", "token-2")];
    for (corp, token) in pairs {
        declare(&gateway, corp, json!([{ "token": token, "encodingAESKey": OTHER_KEY }])).await;
    }
    for (corp, token) in pairs {
        assert_eq!(verify(&gateway, corp, &Credential::new(corp, token, OTHER_KEY).unwrap()).await, verified());
    }
    let upper = Credential::new("wwabc", "token-1", OTHER_KEY).unwrap();
    assert_eq!(verify(&gateway, "wwAbC", &upper).await, (403, "wrong receive id".to_owned()));
    assert_eq!(verify(&gateway, "WWABC", &upper).await.0, 404);
}

#[tokio::test]
async fn credentials_are_rotated_without_a_gap() {
    let gateway = gateway().await;
    let old = credential();
    let new = Credential::new(CORP, "new-token", OTHER_KEY).unwrap();
    assert_eq!(verify(&gateway, CORP, &new).await.0, 403);
    let shown: Value =
        gateway.admin(Method::GET, &format!("/corps/{CORP}")).send().await.unwrap().json().await.unwrap();
    let kept = json!({ "id": shown["credentials"][0]["id"] });
    let added = json!({ "token": "new-token", "encodingAESKey": OTHER_KEY });
    let both = declare(&gateway, CORP, json!([kept, added])).await;
    for credential in [&old, &new] {
        assert_eq!(verify(&gateway, CORP, credential).await, verified());
        assert_eq!(seal_and_post(&gateway, CORP, credential, "<xml/>").await, success());
    }
    // The same token with another key: every pair whose token signs is tried.
    let same_token = Credential::new(CORP, TOKEN, OTHER_KEY).unwrap();
    assert_eq!(verify(&gateway, CORP, &same_token).await.0, 400);
    let third = json!({ "token": TOKEN, "encodingAESKey": OTHER_KEY });
    declare(&gateway, CORP, json!([kept, { "id": both["credentials"][1]["id"] }, third])).await;
    assert_eq!(verify(&gateway, CORP, &same_token).await, verified());
    declare(&gateway, CORP, json!([{ "id": both["credentials"][1]["id"] }])).await;
    assert_eq!(verify(&gateway, CORP, &old).await.0, 403);
    assert_eq!(verify(&gateway, CORP, &new).await, verified());
}

#[tokio::test]
async fn explicit_credentials_count_alone_else_those_of_all_registrations() {
    let gateway = Gateway::start(&[("REGISTRATION", "open")]).await;
    let pair = |token: &str| Credential::new("ww-two-apps", token, OTHER_KEY).unwrap();
    assert_eq!(verify(&gateway, "ww-two-apps", &pair("app-1")).await.0, 404);
    for (kf, token) in [("wk-1", "app-1"), ("wk-2", "app-2")] {
        let bot = fields(kf, "ww-two-apps", &[("token", token), ("encodingAESKey", OTHER_KEY)]);
        assert_eq!(register(&gateway, &bot).await["code"], 0);
    }
    let gone = json!({ "kfId": "wk-1", "corpId": "ww-two-apps" });
    gateway.post("/puppetWxkfManager/deregister").json(&gone).send().await.unwrap();
    for token in ["app-1", "app-2"] {
        assert_eq!(verify(&gateway, "ww-two-apps", &pair(token)).await, verified(), "{token}");
    }
    // An empty list declares the corp and leaves the keys to its bots.
    declare(&gateway, "ww-two-apps", json!([])).await;
    assert_eq!(verify(&gateway, "ww-two-apps", &pair("app-1")).await, verified());

    let explicit = json!([{ "token": "explicit", "encodingAESKey": OTHER_KEY }]);
    let declared = declare(&gateway, "ww-two-apps", explicit).await;
    assert_eq!(declared["uncoveredBots"], json!(["wk-2"]));
    assert!(gateway.log().lines().any(|line| line.contains("a corp was declared") && line.contains("wk-2")));
    assert_eq!(verify(&gateway, "ww-two-apps", &pair("explicit")).await, verified());
    assert_eq!(verify(&gateway, "ww-two-apps", &pair("app-2")).await.0, 403);
    let other = fields("wk-3", "ww-two-apps", &[("token", "app-2"), ("encodingAESKey", OTHER_KEY)]);
    assert_eq!(register(&gateway, &other).await["code"], 0);
    let told = gateway.log().matches("are not among the corp's credentials").count();
    assert_eq!(told, 1, "of this one, and of none before there were any");

    let deleted = gateway.admin(Method::DELETE, "/corps/ww-two-apps").send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(verify(&gateway, "ww-two-apps", &pair("app-2")).await, verified());
    assert_eq!(verify(&gateway, "ww-two-apps", &pair("explicit")).await.0, 403);
}

#[tokio::test]
async fn corps_file_counts_within_five_seconds_and_its_last_good_content_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("corps.json");
    let write = |token: &str| {
        let credentials = json!([{ "token": token, "encodingAESKey": OTHER_KEY }]);
        std::fs::write(&file, json!({ "corps": { CORP: { "credentials": credentials } } }).to_string()).unwrap();
    };
    write("first");
    let gateway = Gateway::start(&[("CORPS_FILE", file.to_str().unwrap())]).await;
    let pair = |token: &str| Credential::new(CORP, token, OTHER_KEY).unwrap();
    assert_eq!(verify(&gateway, CORP, &pair("first")).await, verified());

    write("second");
    let began = Instant::now();
    until(|| async { verify(&gateway, CORP, &pair("second")).await == verified() }).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(verify(&gateway, CORP, &pair("first")).await.0, 403);

    std::fs::write(&file, "{\"corps\":").unwrap();
    let ready = async || gateway.get("/readyz").send().await.unwrap();
    until(|| async { ready().await.json::<Value>().await.unwrap()["status"] == "degraded" }).await;
    let degraded = ready().await;
    assert_eq!(degraded.status(), 200);
    let degraded: Value = degraded.json().await.unwrap();
    assert_eq!(degraded["degraded"][0]["part"], "corps-file", "{degraded}");
    assert_eq!(verify(&gateway, CORP, &pair("second")).await, verified());

    write("third");
    until(|| async { verify(&gateway, CORP, &pair("third")).await == verified() }).await;
    let ready: Value = ready().await.json().await.unwrap();
    assert_eq!(ready, json!({ "status": "ready" }));
}

#[tokio::test]
async fn a_verification_is_answered_within_a_second_while_bot_and_wecom_hang() {
    let wecom = wecom().await;
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &wecom.base_url())]).await;
    wecom.set_callback_url(CORP, &gateway.callback_url(CORP));
    let bot = bot(&gateway, &wecom).await;
    assert!(bot.ready(SOON).await);
    bot.behave(Behaviour::Hang(Duration::from_secs(60))).await.unwrap();
    wecom.add_fault(
        wxkf_gateway::simulator::wecom::Target::EveryApi,
        wxkf_gateway::simulator::wecom::Fault::HangMs(60_000),
        wxkf_gateway::simulator::wecom::When::Always,
    );
    let (delivery, verification) =
        tokio::join!(wecom.send_event(CORP, "kf_msg_or_event", ACCOUNT, ""), wecom.verify_url(CORP));
    assert_eq!(verification, Verification::Passed);
    assert!(delivery.is_accepted(), "stored, because its bot hangs: {delivery:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_body_that_is_too_large() {
    use tokio::io::AsyncWriteExt as _;
    let gateway = gateway().await;
    let address = gateway.url().strip_prefix("http://").unwrap();
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /callback/{CORP}?msg_signature=s&timestamp=1&nonce=2 HTTP/1.1\r\nhost: g\r\ncontent-length: 99\r\n\r\n<xml>"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    until(async || gateway.log().contains("the body broke off")).await;
    assert!(!gateway.log().contains("too large"));
}

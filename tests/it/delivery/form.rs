//! What a bot is sent, to the byte, and that nothing of it kills an unmodified one.

use std::time::Duration;

use serde_json::json;
use wxkf_gateway::simulator::wecom::{EventFields, SHAPED, inner_xml, signed_callback};

use super::{Event, World, now, sealed};
use crate::harness::{ACCOUNT, CORP, SOON, TOKEN, bot, credential, gateway_and_wecom};

const OTHER_TOKEN: &str = "AnotherToken";

#[tokio::test]
async fn a_bot_with_the_same_pair_gets_the_callback_as_it_came() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    let mut callback = sealed(&Event { kf: "wk1", token: "t1", created: now() });
    callback.query.push_str("&from=%E4%BC%81%2B");
    callback.query.insert_str(0, "tenant=a%20b&");
    assert_eq!(world.post(&callback).await, (200, "success".to_owned()));
    let [sent] = &world.bots.sent("wk1")[..] else { panic!("one dispatch") };
    assert_eq!((sent.path.as_str(), sent.content_type.as_str()), ("callback", "application/xml"));
    assert_eq!(sent.query, callback.query);
    assert_eq!(sent.body, callback.body);
}

#[tokio::test]
async fn whatever_a_bot_could_not_read_goes_decrypted() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    let fields =
        |corp| EventFields { corp, open_kf_id: "wk1", token: "t1", create_time: now(), ..EventFields::default() };
    let event = inner_xml("kf_msg_or_event", &fields(CORP));
    let mut large = sealed(&Event { kf: "wk1", token: "t1", created: now() });
    large.body = large.body.replace("</xml>", &format!("<Padding>{}</Padding></xml>", "x".repeat(101 * 1024)));
    let unreadable = [
        ("another ToUserName", signed_callback(&credential(), &inner_xml("kf_msg_or_event", &fields("ww-other")))),
        ("no ToUserName", signed_callback(&credential(), &event.replace("ToUserName", "Elsewhere"))),
        ("larger than 100 kB", large),
    ];
    for (what, callback) in unreadable {
        let before = world.bots.sent("wk1").len();
        assert_eq!(world.post(&callback).await.0, 200, "{what}");
        let sent = world.bots.sent("wk1").split_off(before);
        let [sent] = &sent[..] else { panic!("{what}: {sent:?}") };
        assert_eq!((sent.path.as_str(), sent.query.as_str()), ("callback/decrypted", ""), "{what}");
        assert_eq!(sent.content_type, "application/json", "{what}");
        let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(body, json!({ "token": "t1", "openKfId": "wk1" }), "{what}");
    }
    let no_event = signed_callback(&credential(), &event.replace("Event>", "Happening>"));
    assert_eq!(world.post(&no_event).await.0, 200);
    assert_eq!(world.bots.sent("wk1").len(), 3, "without Event it is none");
}

#[tokio::test]
async fn a_bot_with_another_pair_gets_it_decrypted() {
    let world = World::start(&[]).await;
    world.register_at("wk1", &world.bots.endpoint("wk1"), OTHER_TOKEN).await;
    assert_eq!(world.poke("wk1", "t1").await, 200);
    assert_eq!(world.bots.sent("wk1")[0].path, "callback/decrypted");
    assert_eq!(world.bots.taken("wk1"), [Some("t1".to_owned())]);
}

#[tokio::test]
async fn on_request_everything_goes_decrypted() {
    let world = World::start(&[("DISPATCH_FORMAT", "decrypted")]).await;
    world.register("wk1").await;
    assert_eq!(world.poke("wk1", "t1").await, 200);
    assert_eq!(world.bots.sent("wk1")[0].path, "callback/decrypted");
}

#[tokio::test]
async fn an_event_without_an_account_goes_decrypted_to_every_online_bot_of_the_corp() {
    let world = World::start(&[]).await;
    for kf in ["wk1", "wk2", "wk3"] {
        world.register(kf).await;
    }
    world.deregister("wk3").await;
    let fields = EventFields { corp: CORP, token: "t1", create_time: now(), ..EventFields::default() };
    let event = inner_xml("kf_msg_or_event_without_open_kf_id", &fields);
    assert_eq!(world.post(&signed_callback(&credential(), &event)).await, (200, "success".to_owned()));
    for kf in ["wk1", "wk2"] {
        let sent = world.bots.sent(kf);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].path, "callback/decrypted");
        let body: serde_json::Value = serde_json::from_slice(&sent[0].body).unwrap();
        assert_eq!(body, json!({ "token": "t1", "openKfId": kf }));
    }
    assert!(world.bots.sent("wk3").is_empty());
}

#[tokio::test]
async fn nothing_that_wecom_sends_kills_an_unmodified_bot() {
    let (gateway, wecom) = gateway_and_wecom().await;
    let bot = bot(&gateway, &wecom).await;
    assert!(bot.ready(SOON).await);
    for name in SHAPED.iter().chain(&["subscribe", "open_approval_change"]) {
        assert!(wecom.send_event(CORP, name, ACCOUNT, "content").await.is_accepted(), "{name}");
    }
    let odd = [
        "<xml><Event>kf_msg_or_event</Event></xml>".to_owned(),
        format!("<xml><Event>kf_msg_or_event</Event><OpenKfId>{ACCOUNT}</OpenKfId></xml>"),
        format!("<xml><ToUserName>{CORP}</ToUserName><Event>kf_msg_or_event</Event><OpenKfId> </OpenKfId></xml>"),
        format!(
            "<?xml version=\"1.0\"?><xml><ToUserName>{CORP}</ToUserName><Event>kf_msg_or_event</Event>\
             <OpenKfId>{ACCOUNT}</OpenKfId><OpenKfId>another</OpenKfId></xml>\r\n"
        ),
        "no xml at all".to_owned(),
        String::new(),
    ];
    for event in odd {
        assert!(wecom.call_back(CORP, &event).await.is_accepted(), "{event}");
    }
    assert!(wecom.customer_writes(CORP, ACCOUNT, "customer-1", "still there?").await.is_accepted());
    assert!(wecom.wait_for_answer("customer-1", "still there?", SOON).await.is_some(), "died: {:?}", bot.died());
    assert_eq!(bot.died(), None);
    assert_ne!(TOKEN, OTHER_TOKEN);
    tokio::time::timeout(Duration::from_secs(5), bot.terminate()).await.unwrap();
}

//! Every kind of callback, to services with different filters and formats.

use serde_json::Value;
use wxkf_gateway::services::signature::SigningSecret;
use wxkf_gateway::simulator::wecom::SHAPED;

use super::{CORP, Company, SECRET, declare, json, numbered, xml};
use crate::delivery::eventually;

/// What names a kind in a filter; the shapes are named by it, but for these.
fn name(kind: &str) -> &str {
    match kind {
        "kf_msg_or_event_without_open_kf_id" => "kf_msg_or_event",
        other => other,
    }
}

#[tokio::test]
async fn every_kind_reaches_those_that_take_it_in_their_form() {
    let company = Company::start().await;
    company.declare("all", &["*"], "json").await;
    company.declare("contacts", &["change_contact", "click", "suite_ticket"], "decrypted-xml").await;
    company.declare("others", &["*", "!change_contact", "!kf_msg_or_event"], "as-received").await;
    let app_events = ["open_approval_change", "template_card_event", "msgaudit_notify", "living_status_change"];
    let (mut all, mut contacts, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for (at, kind) in SHAPED.iter().chain(&app_events).enumerate() {
        let inner = xml(kind, &format!("number {at}"));
        let callback = company.post(&inner).await;
        all.push((*kind, inner.clone()));
        if ["change_contact", "click", "suite_ticket"].contains(kind) {
            contacts.push(inner);
        }
        if !["change_contact", "kf_msg_or_event"].contains(&name(kind)) {
            others.push(callback);
        }
    }
    company.takes("all", all.len()).await;
    company.takes("contacts", contacts.len()).await;
    company.takes("others", others.len()).await;

    let got = company.services.taken("all");
    assert_eq!(got.len(), all.len());
    for (call, (kind, inner)) in got.iter().zip(&all) {
        assert_eq!(call.header("content-type"), "application/json");
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!((&body["corpId"], &body["id"]), (&json!(CORP), &json!(call.header("webhook-id"))));
        assert!(body["event"].as_str().unwrap().starts_with(name(kind)), "{kind}: {body}");
        assert!(body["receivedAt"].as_str().unwrap().ends_with('Z'), "{body}");
        for (element, value) in body["message"].as_object().unwrap() {
            assert!(inner.contains(&format!("<{element}")), "{kind}: {element} {value}");
        }
    }
    let got = company.services.taken("contacts");
    assert_eq!(got.iter().map(|call| call.text().to_owned()).collect::<Vec<_>>(), contacts);
    assert!(got.iter().all(|call| call.header("content-type") == "application/xml" && call.query.is_empty()));
    let got = company.services.taken("others");
    assert_eq!(got.len(), others.len());
    for (call, callback) in got.iter().zip(&others) {
        assert_eq!((call.text(), &*call.query), (&*callback.body, &*callback.query), "to the byte");
        assert_eq!(call.header("content-type"), "text/xml");
    }
}

#[tokio::test]
async fn a_secret_signs_by_the_standard_webhooks_and_a_repeat_is_sent_once() {
    let company = Company::start().await;
    let url = format!("{}?tenant=7", company.services.url("crm"));
    let body = json!({ "url": url, "events": ["*"], "format": "as-received", "secret": SECRET });
    declare(&company.world.gateway, "crm", &body).await;
    company.declare("plain", &["text"], "decrypted-xml").await;
    let inner = numbered("once");
    let first = company.post(&inner).await;
    // Sealed afresh, as WeCom's repeats may be.
    for _ in 0..3 {
        company.post(&inner).await;
    }
    company.post(&numbered("the last")).await;
    company.takes("crm", 2).await;
    company.takes("plain", 2).await;
    let (crm, plain) = (company.services.taken("crm"), company.services.taken("plain"));
    assert_eq!((crm.len(), plain.len()), (2, 2), "repeats are sent once");
    assert_eq!(crm[0].query, format!("tenant=7&{}", first.query), "its own query goes before WeCom's");
    assert_eq!(crm[0].header("webhook-id"), plain[0].header("webhook-id"), "of the same event");
    assert_ne!(crm[0].header("webhook-id"), crm[1].header("webhook-id"));
    let secret = SigningSecret::parse(SECRET).unwrap();
    for call in &crm {
        let (id, timestamp) = (call.header("webhook-id"), call.header("webhook-timestamp").parse().unwrap());
        assert_eq!(call.header("webhook-signature"), secret.sign(id, timestamp, &call.body));
    }
    assert_eq!(plain[0].header("webhook-signature"), "", "without a secret nothing is signed");
}

#[tokio::test]
async fn a_bot_gets_its_news_whether_a_service_takes_it_or_not() {
    let company = Company::start().await;
    company.declare("kf", &["kf_msg_or_event"], "json").await;
    company.world.register("wk1").await;
    company.post(&xml("kf_msg_or_event", "t1")).await;
    company.takes("kf", 1).await;
    assert_eq!(company.world.bots.taken("wk1"), [Some("t1".to_owned())]);
    let body: Value = serde_json::from_slice(&company.services.taken("kf")[0].body).unwrap();
    assert_eq!(body["message"]["Token"], "t1");
    // The other way in feeds bots alone.
    let decrypted = company.world.post_decrypted(&json!({ "token": "t2", "openKfId": "wk1" })).await;
    assert_eq!(decrypted.0, 200);
    company.world.takes("wk1", "t2", super::SOON).await;
    company.post(&xml("kf_msg_or_event", "t3")).await;
    company.takes("kf", 2).await;
    assert_eq!(company.services.taken("kf").len(), 2);
}

#[tokio::test]
async fn an_event_nobody_takes_is_acknowledged_and_goes_nowhere() {
    let company = Company::start().await;
    company.declare("contacts", &["change_contact"], "json").await;
    company.post(&numbered("nobody's")).await;
    company.post(&xml("change_contact", "somebody's")).await;
    company.takes("contacts", 1).await;
    assert!(eventually(super::SOON, async || company.deliveries("").await.is_empty()).await);
    assert_eq!(company.services.calls("contacts").len(), 1);
}

//! What services are sent: every kind of event, signed, in each form, as receivers of ours and of others
//! see it.

mod schema;
mod standard;

use std::process::Stdio;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;
use wxkf_gateway::domain::{Clock, CorpId};
use wxkf_gateway::services::filter::EventName;
use wxkf_gateway::services::format::{self, Webhook};
use wxkf_gateway::services::signature::{SigningSecret, webhook_id};
use wxkf_gateway::simulator::service::{Form, Receiver, ReceiverOptions};

use crate::harness::{CORP, SOON, credential, wecom};
use crate::openapi::document;
use crate::vectors::{EventVector, events};
use schema::valid;
use standard::StandardWebhooks;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn http() -> reqwest::Client {
    wxkf_gateway::egress::install_tls_provider();
    #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Those that have a name, and so can go to a service.
fn named() -> impl Iterator<Item = (EventVector, EventName)> {
    events().into_iter().filter_map(|vector| EventName::of(vector.xml.as_bytes()).map(|name| (vector, name)))
}

/// The id and the body in the format `json`.
fn webhook(vector: &EventVector, name: &EventName) -> (String, Vec<u8>) {
    let (corp, xml) = (CorpId::parse(CORP).unwrap(), vector.xml.as_bytes());
    let id = webhook_id(&corp, xml);
    let received_at = Timestamp::from_millisecond(1_769_860_800_123).unwrap();
    let body = Webhook::new(&id, &corp, name, received_at, format::json(xml).unwrap()).to_body();
    (id, body)
}

/// Signed as the gateway signs.
async fn send(http: &reqwest::Client, url: &str, kind: &str, id: &str, body: Vec<u8>) -> u16 {
    let at = Clock::default().now().as_second();
    let signature = SigningSecret::parse(SECRET).unwrap().sign(id, at, &body);
    let request = http.post(url).header("content-type", kind).header("webhook-id", id).header("webhook-timestamp", at);
    request.header("webhook-signature", signature).body(body).send().await.unwrap().status().as_u16()
}

#[test]
fn every_kind_of_event_is_json_by_the_documented_schema() {
    let document = document();
    let valid = |value: &Value| valid(&document, "/components/schemas/Webhook", value);
    for (vector, name) in named() {
        let (_, body) = webhook(&vector, &name);
        assert_eq!(valid(&serde_json::from_slice(&body).unwrap()), Ok(()), "{name}");
    }
    let example = document.pointer("/components/schemas/Webhook/example").unwrap();
    assert_eq!(valid(example), Ok(()));
    for (field, wrong) in [("id", json!(1)), ("event", Value::Null), ("message", json!({ "A": ["x", { "B": 1 }] }))] {
        let mut value = example.clone();
        value[field] = wrong;
        assert!(valid(&value).is_err(), "{value}");
    }
    assert!(valid(&json!({})).is_err());
}

#[tokio::test]
async fn the_simulated_wecom_sends_every_kind() {
    let wecom = wecom().await;
    let options = ReceiverOptions { credential: Some(credential()), ..ReceiverOptions::default() };
    let receiver = Receiver::start(options).await.unwrap();
    wecom.set_callback_url(CORP, &receiver.url());
    for EventVector { event, xml, .. } in events() {
        assert!(wecom.call_back(CORP, &xml).await.is_accepted(), "{event:?}");
        let received = receiver.journal().entries().pop().unwrap().what;
        assert_eq!((received.form, received.event), (Form::AsReceived, event));
        assert_eq!(received.opened.as_deref(), Some(xml.as_bytes()));
    }
}

#[tokio::test]
async fn simulate_service_shows_what_it_receives() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.args(["simulate", "service", "--listen", "127.0.0.1:0", "--secret", SECRET]);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let url = first.rsplit(' ').next().unwrap();
    let (vector, name) = named().next().unwrap();
    let (id, body) = webhook(&vector, &name);
    let http = http();
    assert_eq!(send(&http, url, "application/json", &id, body.clone()).await, 200);
    assert_eq!(http.post(url).body(body).send().await.unwrap().status(), 401);
    let mut told = String::new();
    let forged = "signature wrong: it is not signed; answered 401";
    while !told.contains(forged) {
        let line = timeout(SOON, lines.next_line()).await.expect("in time").unwrap();
        told.push_str(&line.unwrap_or_else(|| panic!("ended after:\n{told}")));
        told.push('\n');
    }
    assert!(told.contains(&format!("● kf_msg_or_event  {id}  json, signature good; answered 200\n")), "{told}");
    assert!(told.contains("\"event\": \"kf_msg_or_event\","), "{told}");
    assert!(!told.contains(SECRET), "{told}");
}

#[tokio::test]
#[ignore = "needs what tests/simulator/install installs"]
async fn the_foreign_library_takes_every_event_and_nothing_forged() {
    let (mut service, http) = (StandardWebhooks::start(SECRET).await, http());
    for (vector, name) in named() {
        let (id, body) = webhook(&vector, &name);
        assert_eq!(send(&http, service.url(), "application/json", &id, body).await, 204);
        assert_eq!(service.said().await, format!("taken: {id} {name}"));
        assert_eq!(send(&http, service.url(), "application/xml", &id, vector.xml.into_bytes()).await, 204);
        assert_eq!(service.said().await, format!("taken: {id} as application/xml"));
    }
    let mut other = StandardWebhooks::start("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert_eq!(send(&http, other.url(), "application/json", "msg_1", b"{}".to_vec()).await, 401);
    assert_eq!(other.said().await, "refused: No matching signature found");
}

#[test]
fn the_document_describes_what_services_are_sent() {
    let document = document();
    let event: &Value = &document["webhooks"]["event"]["post"];
    for kind in ["application/json", "application/xml", "text/xml"] {
        assert!(event["requestBody"]["content"][kind].is_object(), "{kind}");
    }
    let named = |name: &str| event["parameters"].as_array().unwrap().iter().any(|parameter| parameter["name"] == name);
    assert!(["webhook-id", "webhook-timestamp", "webhook-signature"].into_iter().all(named));
    assert_eq!(event["tags"], json!(["Services"]));
    assert!(event["summary"].is_string() && event["description"].is_string());
    assert_eq!(event["requestBody"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Webhook");
}

//! Other services of the app, with the real binary: who gets what in which form, order, faults, crashes.

mod crash;
mod declared;
mod faults;
mod forms;
mod receiver;
mod replicas;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use wxkf_gateway::simulator::wecom::{EventFields, SignedCallback, inner_xml, signed_callback};

use crate::delivery::{World, eventually, now};
use crate::harness::{CORP, Gateway, credential};
use receiver::Receiver;

/// Longer than anything here waits for.
const SOON: Duration = Duration::from_secs(20);
/// What the services' events are signed with.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A gateway with a declared corp, and services.
struct Company {
    world: World,
    services: Receiver,
}

impl Company {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(settings: &[(&str, &str)]) -> Self {
        let world = World::start(&[&[("DISPATCH_TIMEOUT", "2s")], settings].concat()).await;
        Self { world, services: Receiver::start().await }
    }

    /// Declares a service that signs nothing.
    async fn declare(&self, name: &str, events: &[&str], format: &str) {
        let body = json!({ "url": self.services.url(name), "events": events, "format": format });
        declare(&self.world.gateway, name, &body).await;
    }

    /// Posts an event; it must be acknowledged.
    async fn post(&self, xml: &str) -> SignedCallback {
        let callback = signed_callback(&credential(), xml);
        assert_eq!(self.world.post(&callback).await, (200, "success".to_owned()), "{xml}");
        callback
    }

    /// Waits until the service has taken so many calls.
    async fn takes(&self, service: &str, calls: usize) {
        let taken = eventually(SOON, async || self.services.taken(service).len() >= calls).await;
        let took = self.services.taken(service).len();
        assert!(taken, "{service} took {took} of {calls}: {}", self.world.gateway.log());
    }

    async fn deliveries(&self, query: &str) -> Vec<Value> {
        let path = format!("/deliveries?limit=1000&{query}");
        let page: Value = self.world.gateway.admin(Method::GET, &path).send().await.unwrap().json().await.unwrap();
        page["items"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
    }
}

async fn declare(gateway: &Gateway, name: &str, body: &Value) {
    let path = format!("/corps/{CORP}/services/{name}");
    let answer = gateway.admin(Method::PUT, &path).json(body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

fn xml(kind: &str, content: &str) -> String {
    let fields =
        EventFields { corp: CORP, open_kf_id: "wk1", token: content, create_time: now(), suite: "suite-1", content };
    inner_xml(kind, &fields)
}

/// A message of an app's user, told from others by its text.
fn numbered(text: &str) -> String {
    xml("text", text)
}

/// The texts of messages in the format `decrypted-xml`, in the order of their arrival.
fn texts(calls: &[receiver::Call]) -> Vec<String> {
    let text = |call: &receiver::Call| {
        let (_, rest) = call.text().split_once("<Content><![CDATA[")?;
        Some(rest.split_once("]]>")?.0.to_owned())
    };
    calls.iter().filter_map(text).collect()
}

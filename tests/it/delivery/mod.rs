//! From a callback to its bot, with the real binary: forms, holding, order, isolation, outages. The
//! bots are lean recorders; where it matters what an unmodified bot survives, the simulated one.

mod decrypted;
mod expiry;
mod form;
mod held;
mod isolation;
mod newest;
mod outage;
mod recorder;
mod restart;

pub(crate) use outage::SmallDisk;
pub(crate) use recorder::{Manner, Recorder};

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wxkf_gateway::domain::Clock;
use wxkf_gateway::simulator::wecom::{EventFields, SignedCallback, inner_xml, signed_callback};

use crate::harness::{AES_KEY, CORP, Gateway, TOKEN, credential};

/// A gateway that takes every registration, with a declared corp, and lean bots.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) bots: Recorder,
}

/// An event to be posted.
#[derive(Debug, Clone)]
pub(crate) struct Event<'a> {
    pub(crate) kf: &'a str,
    pub(crate) token: &'a str,
    /// Seconds since 1970.
    pub(crate) created: i64,
}

impl World {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let mut all = vec![("REGISTRATION", "open")];
        all.extend(settings);
        let gateway = Gateway::start(&all).await;
        let corp = json!({ "credentials": [{ "token": TOKEN, "encodingAESKey": AES_KEY }] });
        let declared = gateway.admin(reqwest::Method::PUT, &format!("/corps/{CORP}")).json(&corp).send().await;
        assert_eq!(declared.unwrap().status(), 200);
        Self { gateway, bots: Recorder::start().await }
    }

    /// The account's lean bot registers.
    pub(crate) async fn register(&self, kf: &str) {
        self.register_at(kf, &self.bots.endpoint(kf), TOKEN).await;
    }

    pub(crate) async fn register_at(&self, kf: &str, endpoint: &str, token: &str) {
        let body = json!({
            "kfId": kf, "kfName": kf, "endpoint": endpoint, "corpId": CORP, "corpSecret": "secret",
            "token": token, "encodingAESKey": AES_KEY,
        });
        let answer = self.gateway.post("/puppetWxkfManager/register").json(&body).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], 0);
    }

    pub(crate) async fn deregister(&self, kf: &str) {
        let body = json!({ "kfId": kf, "corpId": CORP });
        let answer = self.gateway.post("/puppetWxkfManager/deregister").json(&body).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], 0);
    }

    /// WeCom posts an event that happened just now; the status it is answered.
    pub(crate) async fn poke(&self, kf: &str, token: &str) -> u16 {
        self.post(&sealed(&Event { kf, token, created: now() })).await.0
    }

    /// The status and the text of the answer; 0 when there was none.
    pub(crate) async fn post(&self, callback: &SignedCallback) -> (u16, String) {
        let url = format!("/callback/{CORP}?{}", callback.query);
        let request = self.gateway.post(&url).header("content-type", "text/xml").body(callback.body.clone());
        match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            Err(_) => (0, String::new()),
        }
    }

    pub(crate) async fn post_decrypted(&self, body: &Value) -> (u16, String) {
        let answer = self.gateway.post(&format!("/callback/decrypted/{CORP}")).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits until the account's bot has taken an event with this token.
    pub(crate) async fn takes(&self, kf: &str, token: &str, limit: Duration) {
        let wanted = Some(token.to_owned());
        let arrived = eventually(limit, async || self.bots.taken(kf).contains(&wanted)).await;
        assert!(arrived, "{kf} did not get {token}: {:?}; {}", self.bots.sent(kf), self.gateway.log());
    }

    /// The account's undelivered events of a state, as the admin API shows them.
    pub(crate) async fn deliveries(&self, state: &str, kf: &str) -> Vec<Value> {
        let mut all = self.gateway.deliveries(state).await;
        all.retain(|item| item["openKfId"] == kf);
        all
    }

    /// Waits until nothing of the account is held.
    pub(crate) async fn settles(&self, kf: &str) {
        let settled = eventually(Duration::from_secs(5), async || {
            self.deliveries("live", kf).await.is_empty() && self.deliveries("expired", kf).await.is_empty()
        });
        assert!(settled.await, "{kf} is not settled: {}", self.gateway.log());
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    Clock::default().now().as_second()
}

/// The event as WeCom sends it.
pub(crate) fn sealed(event: &Event<'_>) -> SignedCallback {
    let fields = EventFields {
        corp: CORP,
        open_kf_id: event.kf,
        token: event.token,
        create_time: event.created,
        ..EventFields::default()
    };
    signed_callback(&credential(), &inner_xml("kf_msg_or_event", &fields))
}

/// Asks again and again; false when `limit` passed before it was so.
pub(crate) async fn eventually(limit: Duration, mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let began = Instant::now();
    while !is_so().await {
        if began.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

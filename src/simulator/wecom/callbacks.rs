//! WeCom's own calls: the callback with its repeats, and the verification of a URL.
//!
//! Whether a repeat carries the old nonce is documented nowhere; here it is signed afresh (same
//! plaintext, new random bytes, nonce and timestamp), the harder of the two for a receiver.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use super::faults::{Fault, Target};
use super::seal::{Credential, Stamp, stamped_callback, verification_query};
use super::{Happening, Shared};

/// How one sending of a callback ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// HTTP 200, the only status that counts (document 91116).
    Accepted,
    /// Another status.
    Refused(u16),
    /// No answer within five seconds: WeCom cut the connection.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
    /// Lost on its way, as a fault rule asked.
    Lost,
}

/// What became of one callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// The corp has no callback URL or no credential.
    NoCallbackUrl,
    /// Every sending in order; the last one decides.
    Sent(Vec<Attempt>),
}

impl Delivery {
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Sent(attempts) if attempts.last() == Some(&Attempt::Accepted))
    }
}

/// The answer to a URL verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// Exactly the decrypted message came back in time: WeCom saves the configuration.
    Passed,
    NoCallbackUrl,
    /// Another status, or another body.
    WrongAnswer {
        status: u16,
        body: String,
    },
    /// No answer within a second.
    TimedOut,
    Unreachable,
}

impl Shared {
    /// Sends an event to the corp's callback URL, whoever waits for it: a caller that goes away does
    /// not keep WeCom from repeating.
    pub(super) async fn call_back(self: &Arc<Self>, corp: &str, inner_xml: &str) -> Delivery {
        let (shared, corp, inner_xml) = (Arc::clone(self), corp.to_owned(), inner_xml.to_owned());
        let sending = self.tasks.spawn(async move { shared.send_until_accepted(&corp, &inner_xml).await });
        sending.await.unwrap_or(Delivery::NoCallbackUrl)
    }

    /// Five seconds an attempt, three repeats after the first (document 91116).
    async fn send_until_accepted(&self, corp: &str, inner_xml: &str) -> Delivery {
        let Some((credential, url)) = self.callback_of(corp) else { return Delivery::NoCallbackUrl };
        let mut attempts = Vec::new();
        for number in 0..=self.options.callback_repeats {
            if number > 0 {
                tokio::time::sleep(self.options.repeat_after).await;
            }
            let began = Instant::now();
            let attempt = self.send(&credential, &url, inner_xml).await;
            attempts.push(attempt.clone());
            let event = kind_of(inner_xml).to_owned();
            let happening = Happening::CallbackSent { corp: corp.to_owned(), event, repeat: number, outcome: attempt };
            self.journal.record(happening, began);
            if attempts.last() == Some(&Attempt::Accepted) {
                break;
            }
        }
        Delivery::Sent(attempts)
    }

    async fn send(&self, credential: &Credential, url: &str, inner_xml: &str) -> Attempt {
        let mut callback = stamped_callback(credential, inner_xml, &self.stamp());
        let fault = self.faults.lock().next(Target::Callback);
        match fault {
            Some(Fault::Drop) => return Attempt::Lost,
            Some(Fault::WrongSignature) => {
                callback.query = callback.query.replacen("msg_signature=", "msg_signature=0", 1);
            }
            Some(Fault::HangMs(delay)) => tokio::time::sleep(Duration::from_millis(delay)).await,
            _ => {}
        }
        let request = self
            .client
            .post(with_query(url, &callback.query))
            .header(CONTENT_TYPE, "text/xml")
            .timeout(self.options.callback_timeout)
            .body(callback.body);
        match request.send().await {
            Ok(answer) if answer.status() == StatusCode::OK => Attempt::Accepted,
            Ok(answer) => Attempt::Refused(answer.status().as_u16()),
            Err(error) if error.is_timeout() => Attempt::TimedOut,
            Err(_) => Attempt::Unreachable,
        }
    }

    /// What WeCom does when an administrator presses "save": a GET that must be answered within one
    /// second with exactly the decrypted message (documents 91116 and 96238).
    pub(super) async fn verify_url(&self, corp: &str) -> Verification {
        let Some((credential, url)) = self.callback_of(corp) else { return Verification::NoCallbackUrl };
        let began = Instant::now();
        let outcome = self.ask_for_echo(&credential, &url).await;
        let happening = Happening::UrlVerified { corp: corp.to_owned(), url, outcome: outcome.clone() };
        self.journal.record(happening, began);
        outcome
    }

    async fn ask_for_echo(&self, credential: &Credential, url: &str) -> Verification {
        let stamp = self.stamp();
        let message = self.world.lock().nonce();
        let query = verification_query(credential, &message, &stamp);
        let limit = self.options.verification_timeout;
        let asked = self.client.get(with_query(url, &query)).timeout(limit).send().await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => return Verification::TimedOut,
            Err(_) => return Verification::Unreachable,
        };
        let status = answer.status().as_u16();
        match answer.bytes().await {
            Ok(body) if status == 200 && body == message.as_bytes() => Verification::Passed,
            Ok(body) => Verification::WrongAnswer { status, body: String::from_utf8_lossy(&body).into_owned() },
            Err(error) if error.is_timeout() => Verification::TimedOut,
            Err(_) => Verification::Unreachable,
        }
    }

    fn stamp(&self) -> Stamp {
        let timestamp = self.options.clock.now().as_second().to_string();
        let mut world = self.world.lock();
        Stamp { timestamp, nonce: world.nonce(), random: world.bytes() }
    }

    fn callback_of(&self, corp: &str) -> Option<(Credential, String)> {
        let world = self.world.lock();
        let corp = world.corps.get(corp)?;
        Some((corp.credential.clone()?, corp.callback_url.clone()?))
    }
}

/// A query that the administrator typed into the URL stays in front of WeCom's own.
fn with_query(url: &str, query: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{query}")
}

/// The name of an event, for the journal: `Event`, else `InfoType`, else `MsgType`.
fn kind_of(inner_xml: &str) -> &str {
    let text = |name: &str| {
        let (_, rest) = inner_xml.split_once(&format!("<{name}><![CDATA["))?;
        rest.split_once("]]>").map(|(text, _)| text)
    };
    text("Event").or_else(|| text("InfoType")).or_else(|| text("MsgType")).unwrap_or("message")
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::RawQuery;
    use axum::routing::any;
    use parking_lot::Mutex;
    use tokio::net::TcpListener;

    use super::*;
    use crate::callback::crypto;
    use crate::simulator::port::{KillOnDrop, Port};
    use crate::simulator::wecom::testkit::{AES_KEY, TOKEN, hasty, wecom};
    use crate::simulator::wecom::{EventFields, When, inner_xml};

    /// A callback URL that answers as told and keeps what it gets.
    struct Receiver {
        port: KillOnDrop,
        got: Arc<Mutex<Vec<(String, String)>>>,
    }

    impl Receiver {
        async fn start(answers: &'static [u16], body: impl Fn(&str) -> String + Clone + Send + Sync + 'static) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = Arc::new(Port::new(listener.local_addr().unwrap(), crate::lifecycle::Tasks::new()));
            let got = Arc::new(Mutex::new(Vec::new()));
            let kept = Arc::clone(&got);
            let handler = move |RawQuery(query): RawQuery, text: String| async move {
                let query = query.unwrap_or_default();
                let answer = body(&query);
                let count = {
                    let mut kept = kept.lock();
                    kept.push((query, text));
                    kept.len()
                };
                let status = answers[(count - 1).min(answers.len() - 1)];
                if status == 0 {
                    std::future::pending::<()>().await;
                }
                (StatusCode::from_u16(status).unwrap(), answer)
            };
            port.serve(listener, Router::new().route("/callback/ww1", any(handler)));
            Self { port: KillOnDrop(port), got }
        }

        fn url(&self) -> String {
            format!("http://{}/callback/ww1", self.port.0.address())
        }
    }

    /// The plaintext, checked as a receiver does.
    fn opened(query: &str, body: &str) -> String {
        let credential = Credential::new("ww1", TOKEN, AES_KEY).unwrap();
        let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap();
        let sealed = body.split_once("<Encrypt><![CDATA[").unwrap().1.split_once("]]>").unwrap().0;
        assert!(crypto::verify(&value("msg_signature"), TOKEN, &value("timestamp"), &value("nonce"), sealed));
        let opened = crypto::decrypt(credential.aes_key.key(), sealed).unwrap();
        assert_eq!(opened.receive_id, "ww1");
        String::from_utf8(opened.message.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn repeats_until_exactly_200() {
        let receiver = Receiver::start(&[500, 201, 302, 200], |_| "success".to_owned()).await;
        let wecom = wecom(hasty()).await;
        assert_eq!(wecom.customer_writes("ww1", "wk1", "customer", "hello").await, Delivery::NoCallbackUrl);
        wecom.set_callback_url("ww1", &receiver.url());
        let delivery = wecom.customer_writes("ww1", "wk1", "customer", "hello").await;
        let refused = [Attempt::Refused(500), Attempt::Refused(201), Attempt::Refused(302), Attempt::Accepted];
        assert_eq!(delivery, Delivery::Sent(refused.to_vec()));
        let got = receiver.got.lock().clone();
        let plaintexts: Vec<String> = got.iter().map(|(query, body)| opened(query, body)).collect();
        assert!(plaintexts.iter().all(|text| *text == plaintexts[0]), "a repeat has the same plaintext");
        assert_ne!(got[0].0, got[1].0, "and a new envelope");
        assert!(plaintexts[0].contains("<OpenKfId><![CDATA[wk1]]>"));
    }

    #[tokio::test]
    async fn cuts_a_silent_receiver_and_gives_up() {
        let receiver = Receiver::start(&[0], |_| String::new()).await;
        let wecom = wecom(hasty()).await;
        wecom.set_callback_url("ww1", &receiver.url());
        let delivery = wecom.send_event("ww1", "subscribe", "wk1", "").await;
        assert_eq!(delivery, Delivery::Sent(vec![Attempt::TimedOut; 4]));
        receiver.port.0.close().await;
        assert_eq!(wecom.call_back("ww1", "<xml/>").await, Delivery::Sent(vec![Attempt::Unreachable; 4]));
    }

    #[tokio::test]
    async fn loses_and_spoils_callbacks_on_request() {
        let receiver = Receiver::start(&[200], |_| String::new()).await;
        let wecom = wecom(hasty()).await;
        wecom.set_callback_url("ww1", &receiver.url());
        wecom.add_fault(Target::Callback, Fault::Drop, When::Every(2));
        wecom.add_fault(Target::Callback, Fault::WrongSignature, When::Next(1));
        let credential = Credential::new("ww1", TOKEN, AES_KEY).unwrap();
        assert!(wecom.call_back("ww1", "<xml/>").await.is_accepted());
        let query = receiver.got.lock()[0].0.clone();
        assert!(query.starts_with("msg_signature=0"), "one digit too many");
        let lost = wecom.call_back("ww1", "<xml/>").await;
        assert_eq!(lost, Delivery::Sent(vec![Attempt::Lost, Attempt::Accepted]));
        assert_eq!(credential.receive_id, "ww1");
    }

    #[tokio::test]
    async fn verifies_a_url_by_the_exact_answer() {
        let echo = |query: &str| {
            let credential = Credential::new("ww1", TOKEN, AES_KEY).unwrap();
            let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let sealed = &pairs.iter().find(|(key, _)| key == "echostr").unwrap().1;
            String::from_utf8(crypto::decrypt(credential.aes_key.key(), sealed).unwrap().message.to_vec()).unwrap()
        };
        let wecom = wecom(hasty()).await;
        assert_eq!(wecom.verify_url("ww1").await, Verification::NoCallbackUrl);
        let good = Receiver::start(&[200], echo).await;
        wecom.set_callback_url("ww1", &format!("{}?app=1", good.url()));
        assert_eq!(wecom.verify_url("ww1").await, Verification::Passed);
        assert!(good.got.lock()[0].0.starts_with("app=1&msg_signature="));
        let newline = Receiver::start(&[200], move |query| echo(query) + "\n").await;
        wecom.set_callback_url("ww1", &newline.url());
        assert!(matches!(wecom.verify_url("ww1").await, Verification::WrongAnswer { status: 200, .. }));
        newline.port.0.close().await;
        assert_eq!(wecom.verify_url("ww1").await, Verification::Unreachable);
    }

    /// One script, from a new WeCom to the end: what it did, without the times.
    async fn script(seed: u64) -> (Vec<Happening>, String) {
        let receiver = Receiver::start(&[500, 200], |_| String::new()).await;
        let wecom = wecom(crate::simulator::wecom::WecomOptions { seed, ..hasty() }).await;
        wecom.set_callback_url("ww1", &receiver.url());
        wecom.fail_next(crate::simulator::wecom::Api::GetToken, Fault::Errcode(-1), 1);
        wecom.get("gettoken?corpid=ww1&corpsecret=s1").await;
        wecom.customer_writes("ww1", "wk1", "customer", "hello").await;
        let token = wecom.sync_token("ww1", "wk1");
        wecom.post("kf/sync_msg", serde_json::json!({ "token": token, "open_kfid": "wk1" })).await;
        (wecom.journal().entries().into_iter().map(|entry| entry.what).collect(), token)
    }

    #[tokio::test]
    async fn the_same_seed_gives_the_same_run() {
        let first = script(7).await;
        assert_eq!(first, script(7).await);
        assert_ne!(first.1, script(8).await.1);
    }

    #[test]
    fn names_an_event_for_the_journal() {
        for name in ["kf_msg_or_event", "suite_ticket", "text", "change_contact"] {
            assert_eq!(kind_of(&inner_xml(name, &EventFields::default())), name);
        }
        assert_eq!(kind_of("anything"), "message");
    }
}

use std::time::Duration;

use crate::domain::{Clock, CorpId};
use crate::services::filter::EventName;
use crate::services::format::{self, Webhook};
use crate::services::signature::{SignatureFault, SigningSecret};
use crate::simulator::service::{Answer, Form, Receiver, ReceiverOptions, Sequence};
use crate::simulator::wecom::testkit::{AES_KEY, TOKEN, http};
use crate::simulator::wecom::{Credential, EventFields, inner_xml, signed_callback};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SOON: Duration = Duration::from_secs(10);

async fn receiver(answer: Answer) -> Receiver {
    let secret = Some(SigningSecret::parse(SECRET).unwrap());
    let credential = Some(Credential::new("ww1", TOKEN, AES_KEY).unwrap());
    Receiver::start(ReceiverOptions { secret, credential, answer, ..ReceiverOptions::default() }).await.unwrap()
}

fn xml(content: &str) -> String {
    inner_xml("click", &EventFields { corp: "ww1", content, ..EventFields::default() })
}

/// Sends a signed body; the status of the answer, 0 when the connection was cut.
async fn send(receiver: &Receiver, id: &str, kind: &str, query: &str, body: &[u8]) -> u16 {
    let at = Clock::default().now().as_second();
    let signature = SigningSecret::parse(SECRET).unwrap().sign(id, at, body);
    let request = http().post(format!("{}{query}", receiver.url())).header("content-type", kind);
    let request = request.header("webhook-id", id).header("webhook-timestamp", at);
    let answer = request.header("webhook-signature", signature).body(body.to_vec()).send().await;
    answer.map_or(0, |answer| answer.status().as_u16())
}

async fn send_xml(receiver: &Receiver, id: &str, content: &str) -> u16 {
    send(receiver, id, "application/xml", "", xml(content).as_bytes()).await
}

#[tokio::test]
async fn reads_each_form_and_checks_the_signature() {
    let receiver = receiver(Answer::Accept).await;
    let (plain, corp) = (xml("7"), CorpId::parse("ww1").unwrap());
    let event = EventName::of(plain.as_bytes()).unwrap();
    let message = format::json(plain.as_bytes()).unwrap();
    let json = Webhook::new("msg_1", &corp, &event, Clock::default().now(), message).to_body();
    let sealed = signed_callback(&Credential::new("ww1", TOKEN, AES_KEY).unwrap(), &xml("9"));
    assert_eq!(send(&receiver, "msg_1", "application/json", "", &json).await, 200);
    assert_eq!(send(&receiver, "msg_2", "application/xml", "", xml("8").as_bytes()).await, 200);
    let query = format!("?{}", sealed.query);
    assert_eq!(send(&receiver, "msg_3", "text/xml", &query, sealed.body.as_bytes()).await, 200);
    let accepted = receiver.accepted();
    let forms: Vec<Form> = accepted.iter().map(|received| received.form).collect();
    assert_eq!(forms, [Form::Json, Form::DecryptedXml, Form::AsReceived]);
    for received in &accepted {
        assert_eq!(received.event.as_deref(), Some("click"));
        assert_eq!((received.signature, &received.sequence), (Some(Ok(())), &Sequence::Next));
    }
    assert_eq!(accepted[2].opened.as_deref(), Some(xml("9").as_bytes()));

    let unsigned = http().post(receiver.url()).body("{}").send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    assert_eq!(receiver.journal().entries()[3].what.signature, Some(Err(SignatureFault::Missing)));
    assert_eq!(receiver.tally().wrong_signatures, 1);
}

#[tokio::test]
async fn answers_as_told() {
    let receiver = receiver(Answer::Status(400)).await;
    assert_eq!(send_xml(&receiver, "msg_1", "1").await, 400);
    receiver.behave(Answer::Refuse { containing: "[1]".to_owned(), status: 400 }).await.unwrap();
    assert_eq!(send_xml(&receiver, "msg_1", "1").await, 400);
    assert_eq!(send_xml(&receiver, "msg_2", "2").await, 200);
    receiver.behave(Answer::Slow(Duration::from_millis(5))).await.unwrap();
    assert_eq!(send_xml(&receiver, "msg_1", "1").await, 200);
    receiver.behave(Answer::Hang(Duration::from_millis(5))).await.unwrap();
    assert_eq!(send_xml(&receiver, "msg_3", "3").await, 0);
    receiver.behave(Answer::Closed).await.unwrap();
    assert_eq!(send_xml(&receiver, "msg_3", "3").await, 0);
    receiver.behave(Answer::Accept).await.unwrap();
    assert_eq!(send_xml(&receiver, "msg_2", "2").await, 200);
    assert!(receiver.wait_for_accepted(2, SOON).await);
    let tally = receiver.tally();
    assert_eq!((tally.requests, tally.events, tally.repeats, tally.refused, tally.late), (6, 2, 1, 3, 1));
}

#[tokio::test]
async fn the_seed_decides_what_is_refused_at_random() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let receiver = receiver(Answer::Random { refused_percent: 50 }).await;
        let mut statuses = Vec::new();
        for number in 0..20 {
            statuses.push(send_xml(&receiver, &format!("msg_{number}"), "x").await);
        }
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&200) && runs[0].contains(&503));
}

//! Services that are dead, slow, full of refusals: nothing is lost, and nobody waits for another.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::receiver::Manner;
use super::{Company, SOON, declare, json, numbered, signed_callback, texts, xml};
use crate::delivery::{SmallDisk, eventually};
use crate::harness::credential;

const ALL: [&str; 1] = ["text"];

async fn post_numbers(company: &Company, numbers: std::ops::Range<usize>) {
    for number in numbers {
        company.post(&numbered(&format!("n{number}"))).await;
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("n{number}")).collect()
}

#[tokio::test]
async fn a_backlog_drains_in_order_when_its_service_is_back_also_after_a_kill() {
    let mut company = Company::start().await;
    company.declare("crm", &ALL, "decrypted-xml").await;
    company.services.meet("crm", Manner::Answer(503));
    post_numbers(&company, 0..150).await;
    company.world.gateway.kill().await;
    company.world.gateway.start_again().await;
    post_numbers(&company, 150..250).await;
    let waiting = company.deliveries("service=crm&state=live").await;
    assert_eq!(waiting.len(), 250);
    assert_eq!(waiting[0]["event"], "text");
    assert!(waiting[0]["lastError"].as_str().unwrap().contains("503"), "{}", waiting[0]);
    company.services.meet("crm", Manner::Take);
    company.takes("crm", 250).await;
    assert_eq!(texts(&company.services.taken("crm")), numbers(0..250));
    assert!(eventually(SOON, async || company.deliveries("service=crm").await.is_empty()).await);
}

#[tokio::test]
async fn a_dead_and_a_hanging_service_delay_nobody() {
    let company = Company::start().await;
    for name in ["dead", "hanging", "good"] {
        company.declare(name, &["*"], "decrypted-xml").await;
    }
    let nobody = json!({ "url": "http://127.0.0.1:9/hook", "events": ["*"], "format": "json" });
    declare(&company.world.gateway, "dead", &nobody).await;
    company.services.meet("hanging", Manner::Hang);
    company.world.register("wk1").await;
    let began = Instant::now();
    for number in 0..30 {
        company.post(&numbered(&format!("n{number}"))).await;
        assert_eq!(company.world.poke("wk1", &format!("t{number}")).await, 200);
    }
    company.takes("good", 60).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(company.world.bots.taken("wk1").len(), 30);
    assert_eq!(company.deliveries("service=dead&state=live").await.len(), 60);
    assert_eq!(company.services.calls("hanging").len().min(1), 1);
}

#[tokio::test]
async fn an_event_refused_five_times_is_set_aside_and_can_be_sent_again() {
    let company = Company::start().await;
    company.declare("crm", &ALL, "decrypted-xml").await;
    company.services.meet("crm", Manner::AnswerTo("n3]", 400));
    post_numbers(&company, 0..8).await;
    company.takes("crm", 7).await;
    let expected: Vec<_> = numbers(0..8).into_iter().filter(|text| text != "n3").collect();
    assert_eq!(texts(&company.services.taken("crm")), expected);
    assert_eq!(company.services.calls("crm").len(), 12, "five times");
    let expired = company.deliveries("service=crm&state=expired").await;
    assert_eq!((expired.len(), &expired[0]["attempts"]), (1, &json!(5)));
    assert!(expired[0]["lastError"].as_str().unwrap().contains("400"), "{}", expired[0]);

    company.services.meet("crm", Manner::Take);
    let path = format!("/deliveries/{}", expired[0]["id"].as_str().unwrap());
    let again = company.world.gateway.admin(Method::POST, &format!("{path}/redeliver")).send().await.unwrap();
    assert_eq!(again.status(), 202);
    company.takes("crm", 8).await;
    assert_eq!(texts(&company.services.taken("crm")).last().unwrap(), "n3");
    let gone = eventually(SOON, async || company.deliveries("service=crm").await.is_empty());
    assert!(gone.await);
    let again = company.world.gateway.admin(Method::POST, &format!("{path}/redeliver")).send().await.unwrap();
    assert_eq!(again.status(), 404);
}

#[tokio::test]
async fn haste_is_no_fault_of_the_event() {
    let company = Company::start().await;
    company.declare("crm", &ALL, "decrypted-xml").await;
    company.services.meet("crm", Manner::Answer(429));
    company.post(&numbered("n0")).await;
    let tried = eventually(SOON, async || company.services.calls("crm").len() > 5).await;
    assert!(tried, "it is tried on and on");
    company.services.meet("crm", Manner::Take);
    company.takes("crm", 1).await;
}

#[tokio::test]
async fn what_is_not_taken_within_its_ttl_expires() {
    let company = Company::start().await;
    let url = company.services.url("crm");
    let body = json!({ "url": url, "events": ["text"], "format": "decrypted-xml", "ttl": "1s" });
    declare(&company.world.gateway, "crm", &body).await;
    company.services.meet("crm", Manner::Answer(500));
    post_numbers(&company, 0..3).await;
    let expired = eventually(SOON, async || company.deliveries("service=crm&state=expired").await.len() == 3);
    assert!(expired.await, "{}", company.world.gateway.log());
    company.services.meet("crm", Manner::Take);
    company.post(&numbered("in time")).await;
    company.takes("crm", 1).await;
    assert_eq!(texts(&company.services.taken("crm")), ["in time"], "what expired is not sent");
    let listed = company.deliveries("service=crm").await;
    let path = format!("/deliveries/{}", listed[0]["id"].as_str().unwrap());
    for status in [204, 404] {
        let deleted = company.world.gateway.admin(Method::DELETE, &path).send().await.unwrap();
        assert_eq!(deleted.status(), status);
    }
    let metrics = company.world.gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("wxkf_service_expired_total{reason=\"ttl\"} 3"), "{metrics}");
}

#[tokio::test]
async fn what_a_service_cannot_be_stored_for_is_not_acknowledged() {
    let Some(disk) = SmallDisk::mount() else { return };
    let data = disk.path().join("data");
    let company = Company::start_with(&[("DATA_DIR", data.to_str().unwrap())]).await;
    company.declare("crm", &["*"], "decrypted-xml").await;
    company.services.meet("crm", Manner::Answer(503));
    company.world.register("wk1").await;
    disk.fill();
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let text = format!("n{number}");
        match company.world.post(&signed_callback(&credential(), &numbered(&text))).await.0 {
            200 => acknowledged.push(text),
            503 => break,
            other => panic!("answered {other}"),
        }
        assert!(number < 5_000, "the disk does not get full");
    }
    // The bot has it; the service has not.
    let mut refused = 0;
    while company.world.post(&signed_callback(&credential(), &xml("kf_msg_or_event", &format!("t{refused}")))).await.0
        == 200
    {
        refused += 1;
        assert!(refused < 100, "the disk has space again");
    }
    company.world.takes("wk1", &format!("t{refused}"), SOON).await;
    disk.free();
    let again = eventually(SOON, async || {
        company.world.post(&signed_callback(&credential(), &xml("kf_msg_or_event", "again"))).await.0 == 200
    });
    assert!(again.await, "it recovers without a restart");
    company.services.meet("crm", Manner::Take);
    company.takes("crm", acknowledged.len() + 1).await;
    let taken = texts(&company.services.taken("crm"));
    assert!(acknowledged.iter().all(|text| taken.contains(text)), "{acknowledged:?} {taken:?}");
}

#[tokio::test]
async fn a_drain_ends_between_two_events_and_loses_none() {
    let mut company = Company::start().await;
    company.declare("crm", &ALL, "decrypted-xml").await;
    company.services.meet("crm", Manner::TakeAfter(Duration::from_millis(100)));
    post_numbers(&company, 0..20).await;
    company.takes("crm", 3).await;
    assert_eq!(company.world.gateway.terminate().await, Some(0));
    let before = company.services.taken("crm").len();
    assert!(before < 20, "it did not wait for the whole backlog");
    company.world.gateway.start_again().await;
    company.takes("crm", 20).await;
    assert_eq!(texts(&company.services.taken("crm")), numbers(0..20), "each once: the drain deletes what it delivered");
}

#[tokio::test]
async fn a_withdrawn_service_takes_its_backlog_with_it() {
    let company = Company::start().await;
    for name in ["crm", "erp"] {
        company.declare(name, &ALL, "json").await;
        company.services.meet(name, Manner::Answer(503));
    }
    post_numbers(&company, 0..5).await;
    let corp = format!("/corps/{}", super::CORP);
    let service = format!("{corp}/services/crm");
    assert_eq!(company.world.gateway.admin(Method::DELETE, &service).send().await.unwrap().status(), 204);
    let left: Vec<Value> = company.deliveries("").await;
    assert!(left.len() == 5 && left.iter().all(|item| item["service"] == "erp"), "{left:?}");
    assert_eq!(company.world.gateway.admin(Method::DELETE, &corp).send().await.unwrap().status(), 204);
    assert_eq!(company.deliveries("").await, Vec::<Value>::new());
}

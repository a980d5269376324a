//! The crash proof: `kill -9` under load, again and again, and every acknowledged event arrives at every
//! service that takes it, in order. `SERVICE_KILLS` sets the number of crashes, `SERVICE_EVENTS` the number
//! of events.
//!
//! Each caller posts its events one after the other, each until it is acknowledged, so that their order is
//! known. What arrives more than once counts where it arrived first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::Value;
use wxkf_gateway::lifecycle::Tasks;

use super::receiver::{Manner, Receiver};
use super::{CORP, Company, declare, json, numbered, signed_callback, texts};
use crate::delivery::eventually;
use crate::harness::{Gateway, by_hand, credential};

const CALLERS: usize = 4;
/// One event in so many is refused for good by one of the services.
const POISON: usize = 100;

/// What the services take and do with it.
pub(super) const SERVICES: [&str; 5] = ["steady", "slow", "random", "picky", "dead"];

pub(super) async fn declare_all(gateway: &Gateway, services: &Receiver) {
    services.meet("slow", Manner::TakeAfter(Duration::from_millis(5)));
    services.meet("random", Manner::AtRandom(50));
    services.meet("picky", Manner::AnswerTo("poison", 400));
    for name in SERVICES {
        let url = if name == "dead" { "http://127.0.0.1:9/hook".to_owned() } else { services.url(name) };
        declare(gateway, name, &json!({ "url": url, "events": ["text"], "format": "decrypted-xml" })).await;
    }
}

/// What the callers share.
#[derive(Default)]
pub(super) struct Load {
    pub(super) acknowledged: AtomicUsize,
    pub(super) repeats: AtomicUsize,
    pub(super) stop: AtomicBool,
}

fn text(caller: usize, number: usize) -> String {
    let kind = if number % POISON == POISON - 1 { "poison" } else { "good" };
    format!("{caller}-{number}-{kind}")
}

/// Posts so many events to one of the gateways at a time; to the next one when that fails. Returns how
/// many were acknowledged: fewer only when it was told to stop.
pub(super) async fn call(urls: Vec<String>, caller: usize, events: usize, load: Arc<Load>) -> usize {
    #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut at = caller;
    for number in 0..events {
        let inner = numbered(&text(caller, number));
        loop {
            if load.stop.load(Ordering::Relaxed) {
                return number;
            }
            let callback = signed_callback(&credential(), &inner);
            let url = format!("{}?{}", urls[at % urls.len()], callback.query);
            let request = http.post(url).body(callback.body).timeout(Duration::from_secs(5));
            match request.send().await {
                Ok(answer) if answer.status() == 200 => break,
                _ => {
                    load.repeats.fetch_add(1, Ordering::Relaxed);
                    at += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        load.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    events
}

/// What the service took, by caller, each once and where it came first; and how often it was more.
fn first_taken(services: &Receiver, service: &str) -> (BTreeMap<usize, Vec<String>>, usize) {
    let (mut seen, mut by_caller, mut again) = (BTreeSet::new(), BTreeMap::<usize, Vec<String>>::new(), 0);
    for text in texts(&services.taken(service)) {
        if !seen.insert(text.clone()) {
            again += 1;
            continue;
        }
        let caller = text.split('-').next().unwrap().parse().unwrap();
        by_caller.entry(caller).or_default().push(text);
    }
    (by_caller, again)
}

fn expected(service: &str, posted: &[usize]) -> BTreeMap<usize, Vec<String>> {
    let of = |(caller, &events): (usize, &usize)| {
        let texts = (0..events).map(|number| text(caller, number));
        (caller, texts.filter(|text| service != "picky" || text.ends_with("good")).collect())
    };
    posted.iter().enumerate().map(of).collect()
}

/// Waits until all that is expected has arrived, and says in which order it did.
pub(super) async fn prove(services: &Receiver, posted: &[usize], limit: Duration) {
    for service in SERVICES.iter().filter(|service| **service != "dead") {
        let wanted = expected(service, posted);
        let count: usize = wanted.values().map(Vec::len).sum();
        let arrived =
            eventually(limit, async || first_taken(services, service).0.values().map(Vec::len).sum::<usize>() >= count);
        let arrived = arrived.await;
        let (got, again) = first_taken(services, service);
        let total: usize = got.values().map(Vec::len).sum();
        println!("{service}: {total} of {count} events, {again} of them once more");
        assert!(arrived, "{service}: {total} of {count} arrived");
        for (caller, texts) in &wanted {
            assert_eq!(&got[caller], texts, "{service}: the order of caller {caller}");
        }
    }
}

/// All live events of a service, by the admin API's pages.
pub(super) async fn backlog(gateway: &Gateway, service: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/deliveries?service={service}&state=live&corpId={CORP}&limit=1000&cursor={cursor}");
        let page: Value = gateway.admin(reqwest::Method::GET, &path).send().await.unwrap().json().await.unwrap();
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_event_arrives_in_order_whatever_is_killed() {
    let (kills, events) = (by_hand("SERVICE_KILLS", 2), by_hand("SERVICE_EVENTS", 1_000));
    let began = Instant::now();
    let mut company = Company::start().await;
    company.world.gateway.set("RUST_LOG", "warn,wxkf_gateway::services=error,wxkf_gateway::cli=info");
    declare_all(&company.world.gateway, &company.services).await;
    let load = Arc::new(Load::default());
    let urls = vec![company.world.gateway.callback_url(CORP)];
    let calling = |caller| Tasks::new().spawn(call(urls.clone(), caller, events / CALLERS, load.clone()));
    let callers: Vec<_> = (0..CALLERS).map(calling).collect();
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(rand::random_range(200..1_500))).await;
        company.world.gateway.kill().await;
        company.world.gateway.start_again().await;
    }
    let posted: Vec<usize> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
    prove(&company.services, &posted, Duration::from_secs(60 + events as u64 / 20)).await;
    let dead = backlog(&company.world.gateway, "dead").await;
    assert_eq!(dead.len(), posted.iter().sum::<usize>(), "what nobody takes waits");
    // The last ones may still be tried.
    let poison = (events / CALLERS / POISON * CALLERS).min(1_000);
    let set_aside =
        eventually(super::SOON, async || company.deliveries("service=picky&state=expired").await.len() == poison);
    assert!(set_aside.await, "{poison} events are refused for good");
    println!(
        "{kills} crashes in {:?}: {} events acknowledged, {} posted again",
        began.elapsed(),
        load.acknowledged.load(Ordering::Relaxed),
        load.repeats.load(Ordering::Relaxed),
    );
}

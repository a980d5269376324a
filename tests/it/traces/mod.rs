//! Traces of the real binary, as a collector gets them, and the log beside them.

mod collector;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use self::collector::{Collector, Hop, Manner};
use crate::delivery::{self, Event, World, eventually, now, sealed};
use crate::harness::{AES_KEY, CORP, Gateway, SECRET, TOKEN, wecom};
use crate::tokens::serve;

/// Kinds of spans, as OTLP numbers them.
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// A caller's trace, its span, and its wish to be recorded.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn settings<'s>(collector: &'s Collector, more: &[(&'s str, &'s str)]) -> Vec<(&'s str, &'s str)> {
    let all = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("RUST_LOG", "info,wxkf_gateway=debug"),
    ];
    all.into_iter().chain(more.iter().copied()).collect()
}

/// Posts an event as a caller does who traces.
async fn poke_within_a_trace(world: &World, kf: &str, token: &str) {
    let callback = sealed(&Event { kf, token, created: now() });
    let request = world.gateway.post(&format!("/callback/{CORP}?{}", callback.query)).body(callback.body);
    let answer = request.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

/// The log's lines about an event, in their order.
fn life(gateway: &Gateway, event: &str) -> Vec<Value> {
    let lines = gateway.log();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event.id"] == event).collect()
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["message"].as_str().unwrap()).collect()
}

fn holds_no_secret(hops: &[Hop], more: &[&str]) {
    let told = format!("{hops:?}");
    for secret in [TOKEN, AES_KEY, SECRET, "msg_signature", "nonce"].iter().chain(more) {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[tokio::test]
async fn a_callback_is_one_trace_from_its_caller_to_its_bot() {
    let collector = Collector::start(Manner::Take).await;
    let more = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let world = World::start(&settings(&collector, &more)).await;
    world.register("wk1").await;
    poke_within_a_trace(&world, "wk1", "sync-token-1").await;

    let attempt = collector.named("deliver to bot", 1).await.remove(0);
    let callbacks = collector.named("POST /callback/{corpId}", 1).await;
    let callback = callbacks.iter().find(|hop| hop.trace == TRACE).unwrap();
    let opened = collector.named("open callback", 1).await.remove(0);
    assert_eq!((callback.kind, &*callback.parent), (SERVER, CALLER));
    assert_eq!(callback.attributes["http.response.status_code"], "200");
    assert_eq!((opened.kind, &opened.trace, &opened.parent), (INTERNAL, &callback.trace, &callback.id));
    assert_eq!((attempt.kind, &attempt.trace, &attempt.parent), (CLIENT, &callback.trace, &callback.id));
    assert!([callback, &opened, &attempt].iter().all(|hop| hop.error.is_none()));

    let sent = world.bots.sent("wk1").remove(0);
    assert_eq!(sent.traceparent, format!("00-{TRACE}-{}-01", attempt.id));

    let lines = life(&world.gateway, &attempt.attributes["event.id"]);
    assert_eq!(messages(&lines), ["an event for a bot", "delivered"]);
    assert!(lines.iter().all(|line| line["trace_id"] == TRACE), "{lines:?}");

    let resource = collector.resource();
    assert_eq!(resource["service.name"], "wxkf-gateway");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "test");
    assert_eq!(collector.headers()["authorization"], "Bearer s3cret");
    holds_no_secret(&collector.hops(), &["sync-token-1"]);
    assert!(!world.gateway.log().contains("s3cret"));
}

#[tokio::test]
async fn a_held_event_is_found_in_traces_and_log_by_its_id() {
    let collector = Collector::start(Manner::Take).await;
    let world = World::start(&settings(&collector, &[])).await;
    world.register("wk1").await;
    world.bots.one("wk1", delivery::Manner::Refuse);
    poke_within_a_trace(&world, "wk1", "t1").await;
    // Once more in vain.
    assert!(eventually(Duration::from_secs(10), async || world.bots.sent("wk1").len() >= 2).await);
    world.bots.one("wk1", delivery::Manner::Take);
    world.takes("wk1", "t1", Duration::from_secs(20)).await;
    world.settles("wk1").await;

    let attempts = collector.named("deliver to bot", 3).await;
    let event = attempts[0].attributes["event.id"].clone();
    let (last, failed) = attempts.split_last().unwrap();
    assert_eq!(failed[0].trace, TRACE);
    assert!(failed.iter().all(|hop| hop.error.as_deref() == Some("the bot answered 500 Internal Server Error")));
    assert!(last.error.is_none() && last.parent.is_empty() && last.trace != TRACE, "{last:?}");
    assert!(attempts.iter().all(|hop| hop.attributes["event.id"] == event), "{attempts:?}");
    let stored = collector.named("store event", 1).await.remove(0);
    assert_eq!((&*stored.trace, &stored.attributes["event.id"]), (TRACE, &event));
    assert_eq!(stored.attributes["event.held_because"], "failed");

    let lines = life(&world.gateway, &event);
    let told = messages(&lines);
    let beginning = ["an event for a bot", "an attempt failed", "stored", "an attempt failed", "put off"];
    assert_eq!(told[..5], beginning, "{told:?}");
    assert_eq!(told.last(), Some(&"delivered an event that was held"));
    assert_eq!(lines[0]["trace_id"], TRACE);
    // What went wrong, and how it ended, is told without asking for details.
    let serious = |line: &&Value| line["level"] != "DEBUG";
    assert!(lines.iter().filter(serious).count() >= 3, "{lines:?}");
}

#[tokio::test]
async fn calls_of_wecom_belong_to_the_trace_of_whoever_needed_them() {
    let collector = Collector::start(Manner::Take).await;
    let wecom = wecom().await;
    let gateway = Gateway::start(&settings(&collector, &[("WECOM_API_BASE_URL", &wecom.base_url())])).await;
    let path = format!("/cgi-bin/kf/account/list?corpid={CORP}&corpsecret={SECRET}");
    let answer = gateway.request(Method::POST, &path).json(&json!({})).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["errcode"], 0);

    let call = collector.named("call WeCom", 1).await.remove(0);
    let served = collector.named("POST /cgi-bin/{*path}", 1).await.remove(0);
    let granted = collector.named("gettoken", 1).await.remove(0);
    assert_eq!(call.attributes["url.path"], "/cgi-bin/kf/account/list");
    for hop in [&call, &granted] {
        assert_eq!((hop.kind, &hop.trace, &hop.parent), (CLIENT, &served.trace, &served.id));
    }
    holds_no_secret(&collector.hops(), &["access_token", "corpsecret"]);
    let obtained = gateway.log().lines().find(|line| line.contains("obtained an access token")).unwrap().to_owned();
    assert!(obtained.contains(&format!("\"trace_id\":\"{}\"", served.trace)), "{obtained}");
}

#[tokio::test]
async fn services_are_told_of_a_trace_of_their_delivery() {
    let collector = Collector::start(Manner::Take).await;
    let world = World::start(&settings(&collector, &[])).await;
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let take = move |headers: axum::http::HeaderMap| {
        let _ = sender.send(headers);
        async { "ok" }
    };
    let url = serve(axum::Router::new().route("/", axum::routing::post(take))).await;
    let service = json!({ "url": url, "events": ["*"], "format": "json" });
    let path = format!("/corps/{CORP}/services/crm");
    assert_eq!(world.gateway.admin(Method::PUT, &path).json(&service).send().await.unwrap().status(), 200);
    world.register("wk1").await;
    poke_within_a_trace(&world, "wk1", "t1").await;

    let delivered = collector.named("deliver to service", 1).await.remove(0);
    let stored = collector.named("store for services", 1).await.remove(0);
    assert_eq!(stored.trace, TRACE);
    assert_eq!(stored.attributes["event.id"], delivered.attributes["event.id"]);
    let headers = told.recv().await.unwrap();
    assert_eq!(headers["traceparent"], format!("00-{}-{}-01", delivered.trace, delivered.id));
    let lines = life(&world.gateway, &delivered.attributes["event.id"]);
    assert_eq!(messages(&lines), ["stored for a service", "delivered to a service"]);
}

#[tokio::test]
async fn nothing_is_recorded_where_the_sampler_says_so() {
    let collector = Collector::start(Manner::Take).await;
    let mut world = World::start(&settings(&collector, &[("OTEL_TRACES_SAMPLER", "always_off")])).await;
    world.register("wk1").await;
    poke_within_a_trace(&world, "wk1", "t1").await;
    assert_eq!(world.gateway.terminate().await, Some(0));
    assert!(collector.hops().is_empty(), "{:?}", collector.hops());
    // The bot can decide otherwise; the trace goes on.
    let told = world.bots.sent("wk1").remove(0).traceparent;
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
}

#[tokio::test]
async fn a_bot_is_told_of_no_trace_where_there_are_none() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    poke_within_a_trace(&world, "wk1", "t1").await;
    assert_eq!(world.bots.sent("wk1").remove(0).traceparent, "");
    assert!(!world.gateway.log().contains("trace_id"));
}

#[tokio::test]
async fn what_waits_is_sent_before_the_end() {
    let collector = Collector::start(Manner::Take).await;
    let mut world = World::start(&settings(&collector, &[("OTEL_BSP_SCHEDULE_DELAY", "3600000")])).await;
    world.register("wk1").await;
    poke_within_a_trace(&world, "wk1", "t1").await;
    assert!(collector.hops().is_empty());
    assert_eq!(world.gateway.terminate().await, Some(0));
    let names: Vec<String> = collector.hops().into_iter().map(|hop| hop.name).collect();
    for name in ["POST /callback/{corpId}", "deliver to bot", "open callback"] {
        assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
    }
}

#[tokio::test]
async fn a_collector_that_hangs_slows_nobody() {
    let collector = Collector::start(Manner::Hang).await;
    let more = [("OTEL_BSP_MAX_QUEUE_SIZE", "10"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500")];
    let mut world = World::start(&settings(&collector, &more)).await;
    world.register("wk1").await;
    let began = Instant::now();
    for number in 0..50 {
        poke_within_a_trace(&world, "wk1", &format!("t{number}")).await;
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let told = eventually(Duration::from_secs(20), async || world.gateway.log().contains("spans of traces are lost"));
    assert!(told.await, "{}", world.gateway.log());
    let metrics = world.gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
    let count = |result: &str| {
        let series = format!("wxkf_trace_spans_total{{result=\"{result}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap();
        value.parse::<u64>().unwrap()
    };
    assert!(count("dropped") > 50, "{metrics}");
    assert!(count("failed") > 0 && count("exported") == 0, "{metrics}");
    let began = Instant::now();
    assert_eq!(world.gateway.terminate().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(world.gateway.log().matches("spans of traces are lost").count(), 1);
}

//! What cannot be delivered at once is stored, acknowledged, and delivered later, once.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use wxkf_gateway::simulator::bot::{Behaviour, Bot};

use super::{Event, Manner, World, eventually, now, sealed};
use crate::harness::{ACCOUNT, CORP, SOON, TOKEN, bot_options, gateway_and_wecom};

#[tokio::test]
async fn for_a_bot_that_was_never_there_until_it_registers() {
    let world = World::start(&[]).await;
    assert_eq!(world.poke("wk1", "t1").await, 200);
    let held = world.deliveries("live", "wk1").await;
    assert_eq!(held[0]["lastError"], "no bot is online for this account");
    world.register("wk1").await;
    world.takes("wk1", "t1", Duration::from_secs(5)).await;
    world.settles("wk1").await;
    assert_eq!(world.bots.sent("wk1").len(), 1);
}

#[tokio::test]
async fn for_a_bot_that_deregistered_until_it_registers_again() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    world.deregister("wk1").await;
    assert_eq!(world.poke("wk1", "t1").await, 200);
    assert!(world.bots.sent("wk1").is_empty());
    world.register("wk1").await;
    world.takes("wk1", "t1", Duration::from_secs(5)).await;
    world.settles("wk1").await;
}

#[tokio::test]
async fn for_a_bot_that_refuses_until_it_takes() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    world.bots.one("wk1", Manner::Refuse);
    let began = Instant::now();
    assert_eq!(world.poke("wk1", "t1").await, 200);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(world.deliveries("live", "wk1").await.len(), 1);
    world.bots.one("wk1", Manner::Take);
    world.takes("wk1", "t1", Duration::from_secs(8)).await;
    world.settles("wk1").await;
}

#[tokio::test]
async fn for_a_slow_bot_which_is_not_sent_it_twice() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    world.bots.one("wk1", Manner::TakeAfter(Duration::from_secs(2)));
    let began = Instant::now();
    assert_eq!(world.poke("wk1", "t1").await, 200);
    assert!((800..1_900).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(world.deliveries("live", "wk1").await[0]["lastError"], "the bot has not answered yet");
    world.settles("wk1").await;
    assert_eq!(world.bots.sent("wk1").len(), 1);
}

#[tokio::test]
async fn for_a_hanging_bot_which_gets_it_when_it_is_well_again() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    world.bots.one("wk1", Manner::Hang);
    assert_eq!(world.poke("wk1", "t1").await, 200);
    world.bots.one("wk1", Manner::Take);
    world.takes("wk1", "t1", Duration::from_secs(10)).await;
    world.settles("wk1").await;
}

#[tokio::test]
async fn during_the_grace_after_a_registration() {
    let world = World::start(&[("REGISTRATION_GRACE", "2s")]).await;
    let began = Instant::now();
    world.register("wk1").await;
    assert_eq!(world.poke("wk1", "t1").await, 200);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(world.deliveries("live", "wk1").await[0]["lastError"], "the bot registered just now");
    world.takes("wk1", "t1", Duration::from_secs(6)).await;
    assert!(world.bots.sent("wk1")[0].at >= began + Duration::from_secs(2), "not before the grace is over");
}

/// An unmodified bot registers before it is ready, and an early poke kills it.
#[tokio::test]
async fn an_unmodified_bot_survives_its_start_and_a_customer_who_wrote_before() {
    let (mut gateway, wecom) = gateway_and_wecom().await;
    gateway.set("REGISTRATION_GRACE", "2s");
    gateway.terminate().await;
    gateway.start_again().await;
    let mut options = bot_options(&gateway, &wecom);
    options.ready_after = Duration::from_millis(1_500);
    let bot = Bot::start(options).await.unwrap();
    assert!(bot.registered(SOON).await);
    assert!(wecom.customer_writes(CORP, ACCOUNT, "customer-1", "early").await.is_accepted());
    assert!(wecom.wait_for_answer("customer-1", "early", SOON).await.is_some(), "died: {:?}", bot.died());
    assert_eq!(bot.died(), None);
}

/// A bot that SIGTERM stopped says nothing, and its port opens before it is ready.
#[tokio::test]
async fn an_unmodified_bot_survives_a_restart_without_a_new_registration() {
    let (gateway, wecom) = gateway_and_wecom().await;
    let bot = Bot::start(bot_options(&gateway, &wecom)).await.unwrap();
    assert!(bot.ready(SOON).await);
    bot.behave(Behaviour::Closed).await.unwrap();
    assert!(wecom.customer_writes(CORP, ACCOUNT, "customer-1", "anybody?").await.is_accepted());
    bot.behave(Behaviour::Normal).await.unwrap();
    let reopened = Instant::now();
    assert!(bot.wait_for_pokes(1, SOON).await, "{}", gateway.log());
    let took = reopened.elapsed();
    assert!(took >= Duration::from_secs(10), "poked before it may be ready: {took:?}");
    assert!(took < Duration::from_secs(18), "{took:?}");
    assert_eq!(bot.died(), None);
    assert!(wecom.wait_for_answer("customer-1", "anybody?", SOON).await.is_some());
}

#[tokio::test]
async fn an_away_bot_is_probed_never_poked_and_a_registration_ends_it() {
    let mut world = World::start(&[]).await;
    world.register("wk1").await;
    world.bots.close().await;
    assert_eq!(world.poke("wk1", "t1").await, 200);
    assert_eq!(world.poke("wk1", "t2").await, 200);
    world.bots.open().await;
    assert!(eventually(Duration::from_secs(6), async || world.bots.probes() > 0).await, "{}", world.gateway.log());
    assert!(world.bots.sent("wk1").is_empty(), "it may not be ready");
    world.register("wk1").await;
    world.takes("wk1", "t2", Duration::from_secs(5)).await;
    world.settles("wk1").await;
    assert_eq!(world.bots.sent("wk1").len(), 1);
}

/// The registration wakes what is held; what is being stored at that very moment must not be missed.
/// Unsigned events for unknown accounts take longest, because they are counted one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_meets_the_registration_of_its_bot_is_not_left_waiting() {
    let world = World::start(&[("RUST_LOG", "error,wxkf_gateway::cli=info")]).await;
    let accounts: Vec<String> = (0..300).map(|number| format!("wk{number}")).collect();
    let meetings = accounts.iter().map(async |kf| {
        let event = json!({ "token": "t", "openKfId": kf });
        // Whose look-up takes too long on a busy machine is told to come again, and does, as WeCom would.
        let posted = eventually(Duration::from_secs(8), async || world.post_decrypted(&event).await.0 == 200);
        tokio::join!(posted, world.register(kf)).0
    });
    assert!(join_all(meetings).await.into_iter().all(|acknowledged| acknowledged));
    let missing = || accounts.iter().filter(|kf| world.bots.taken(kf).is_empty()).count();
    let arrived = eventually(Duration::from_secs(8), async || missing() == 0).await;
    assert!(arrived, "{} of {} wait: {:?}", missing(), accounts.len(), world.gateway.deliveries("live").await.first());
}

/// An attempt on the old address comes to nothing after the bot has registered at its new one.
#[tokio::test]
async fn a_dead_address_found_out_late_does_not_hold_up_the_new_one() {
    let world = World::start(&[]).await;
    let full = Full::listener().await;
    world.register_at("wk1", &full.endpoint, TOKEN).await;
    let callback = sealed(&Event { kf: "wk1", token: "t1", created: now() });
    let (answer, ()) = tokio::join!(world.post(&callback), async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        world.register("wk1").await;
    });
    assert_eq!(answer.0, 200);
    world.takes("wk1", "t1", Duration::from_secs(8)).await;
    world.settles("wk1").await;
}

/// To a full listener no connection comes about, not even a refused one.
#[tokio::test]
async fn a_connection_that_does_not_come_about_in_time_means_away() {
    let world = World::start(&[]).await;
    let full = Full::listener().await;
    world.register_at("wk1", &full.endpoint, TOKEN).await;
    assert_eq!(world.poke("wk1", "t1").await, 200);
    let away = eventually(Duration::from_secs(6), async || {
        world.deliveries("live", "wk1").await[0]["lastError"] == "the bot is away"
    });
    assert!(away.await, "{:?}; {}", world.deliveries("live", "wk1").await, world.gateway.log());
}

/// A listener whose queue is full, so that the kernel drops further connections.
struct Full {
    endpoint: String,
    _listener: tokio::net::TcpListener,
    _queued: Vec<tokio::net::TcpStream>,
}

impl Full {
    async fn listener() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        let connect = || tokio::net::TcpStream::connect(address);
        while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), connect()).await {
            queued.push(stream);
        }
        Self { endpoint: format!("http://{address}"), _listener: listener, _queued: queued }
    }
}

//! The crash proof: `kill -9` under load, again and again, and no acknowledged event is lost.
//!
//! A poke makes its bot fetch everything, so an acknowledged event has arrived when it, or a later
//! one of its account, was taken by the bot. Each round has accounts of its own, so that a loss is
//! not made good by what comes after the crash. `CRASH_ROUNDS` sets the number of crashes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use parking_lot::Mutex;
use wxkf_gateway::lifecycle::Tasks;

use crate::delivery::{Event, Manner, World, eventually, now, sealed};
use crate::harness::{CORP, TOKEN, by_hand};

/// In a round.
const ACCOUNTS: usize = 200;
const CALLERS: usize = 24;
/// One in ten accounts has no bot at first.
const WITHOUT_BOT: usize = 10;

#[derive(Debug, Default)]
struct Load {
    round: AtomicUsize,
    /// The number of the latest event.
    number: AtomicU64,
    stop: AtomicBool,
    /// The last number of each account that was answered 200.
    acknowledged: Mutex<BTreeMap<usize, u64>>,
    acknowledgements: AtomicU64,
    refusals: AtomicU64,
    slowest_ms: AtomicU64,
}

impl Load {
    fn acknowledge(&self, account: usize, number: u64, took: Duration) {
        self.acknowledged.lock().insert(account, number);
        self.acknowledgements.fetch_add(1, Ordering::Relaxed);
        self.slowest_ms.fetch_max(u64::try_from(took.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

fn account(number: usize) -> String {
    format!("acct-{number}")
}

fn accounts_of(round: usize) -> Range<usize> {
    round * ACCOUNTS..(round + 1) * ACCOUNTS
}

/// Calls until it is told to stop; each account's events come from one caller alone, in order.
async fn call(http: reqwest::Client, url: String, caller: usize, load: Arc<Load>) {
    while !load.stop.load(Ordering::Relaxed) {
        let mine: Vec<usize> = accounts_of(load.round.load(Ordering::Relaxed)).skip(caller).step_by(CALLERS).collect();
        let account_number = mine[rand::random_range(0..mine.len())];
        let number = 1 + load.number.fetch_add(1, Ordering::Relaxed);
        let callback = sealed(&Event { kf: &account(account_number), token: &number.to_string(), created: now() });
        let began = Instant::now();
        let request = http.post(format!("{url}?{}", callback.query)).body(callback.body);
        match request.timeout(Duration::from_secs(5)).send().await {
            Ok(answer) if answer.status() == 200 => load.acknowledge(account_number, number, began.elapsed()),
            Ok(_) => drop(load.refusals.fetch_add(1, Ordering::Relaxed)),
            // It is dead, or starting.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// What the bots of a round do: a quarter takes, a quarter refuses, a quarter hangs, and a quarter is
/// on a port where nobody listens.
async fn register_some(world: &World, elsewhere: &str, round: usize) {
    let registrations = accounts_of(round).filter(|number| number % WITHOUT_BOT != 0).map(async |number| {
        let kf = account(number);
        let endpoint = match number % 4 {
            0 => format!("{elsewhere}/{kf}"),
            _ => world.bots.endpoint(&kf),
        };
        let manner = match number % 4 {
            1 => Manner::Refuse,
            2 => Manner::Hang,
            _ => Manner::Take,
        };
        world.bots.one(&kf, manner);
        world.register_at(&kf, &endpoint, TOKEN).await;
    });
    join_all(registrations).await;
}

fn rounds() -> usize {
    by_hand("CRASH_ROUNDS", 6)
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn crash_under_load(world: &mut World, load: &Arc<Load>, elsewhere: &str) {
    wxkf_gateway::egress::install_tls_provider();
    #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = world.gateway.callback_url(CORP);
    register_some(world, elsewhere, 0).await;
    let calling = |caller| Tasks::new().spawn(call(http.clone(), url.clone(), caller, load.clone()));
    let callers: Vec<_> = (0..CALLERS).map(calling).collect();
    for round in 0..rounds() {
        tokio::time::sleep(Duration::from_millis(rand::random_range(300..2_500))).await;
        world.gateway.kill().await;
        load.round.store(round + 1, Ordering::Relaxed);
        world.gateway.start_again().await;
        register_some(world, elsewhere, round + 1).await;
    }
    load.stop.store(true, Ordering::Relaxed);
    join_all(callers).await;
    world.gateway.kill().await;
    world.gateway.start_again().await;
}

/// The newest number that each account's bot took.
fn delivered(world: &World) -> BTreeMap<usize, u64> {
    let mut delivered = BTreeMap::new();
    for dispatch in world.bots.all_sent().iter().filter(|dispatch| dispatch.taken) {
        let account: usize = dispatch.account.trim_start_matches("acct-").parse().unwrap();
        let number: u64 = dispatch.token.as_deref().unwrap_or_default().parse().unwrap_or_default();
        let newest: &mut u64 = delivered.entry(account).or_default();
        *newest = number.max(*newest);
    }
    delivered
}

/// Account, acknowledged, delivered.
fn lost(world: &World, load: &Load) -> Vec<(usize, u64, u64)> {
    let delivered = delivered(world);
    let acknowledged = load.acknowledged.lock();
    let newest = |account: &usize| delivered.get(account).copied().unwrap_or_default();
    let missing = acknowledged.iter().filter(|(account, number)| newest(account) < **number);
    missing.map(|(account, number)| (*account, *number, newest(account))).collect()
}

fn report(world: &World, load: &Load, took: Duration) {
    let sent = world.bots.all_sent();
    let acknowledged = load.acknowledgements.load(Ordering::Relaxed);
    let accounts = load.acknowledged.lock().len();
    println!(
        "{} crashes in {took:?}: {acknowledged} events acknowledged on {accounts} accounts, {} refused; {} pokes taken of {} \
         sent ({:.2} an event); slowest acknowledgement {} ms; {} lost",
        rounds() + 1,
        load.refusals.load(Ordering::Relaxed),
        sent.iter().filter(|dispatch| dispatch.taken).count(),
        sent.len(),
        sent.len() as f64 / acknowledged as f64,
        load.slowest_ms.load(Ordering::Relaxed),
        lost(world, load).len(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_event_is_lost_by_kill_9() {
    let began = Instant::now();
    let settings =
        [("REGISTRATION_GRACE", "100ms"), ("RUST_LOG", "warn,wxkf_gateway::dispatcher=error,wxkf_gateway::cli=info")];
    let mut world = World::start(&settings).await;
    let load = Arc::new(Load::default());
    let elsewhere = nobody().await;
    crash_under_load(&mut world, &load, &elsewhere).await;

    world.bots.all(Manner::Take);
    for round in 0..=rounds() {
        join_all(accounts_of(round).map(async |number| world.register(&account(number)).await)).await;
    }
    let arrived = eventually(Duration::from_secs(30), async || lost(&world, &load).is_empty()).await;
    report(&world, &load, began.elapsed());
    assert!(load.acknowledgements.load(Ordering::Relaxed) > 500, "too little load to prove anything");
    assert!(arrived, "lost: {:?}; {}", lost(&world, &load), world.gateway.log());
    assert!(load.slowest_ms.load(Ordering::Relaxed) < 4_500);
}

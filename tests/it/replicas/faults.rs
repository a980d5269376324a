//! Three replicas under load while one thing after another fails: what was acknowledged arrives.
//! `FAULT_ROUNDS` sets the number of faults; a run of more than forty would outlive the events.
//! `FAULT_RATE` sets the callbacks a second, and `FAULT_FERRETDB=1` takes the other store.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::Services;
use crate::harness::servers::MongoKind;
use crate::harness::{Gateway, SOON, by_hand};

const REPLICAS: usize = 3;
/// A fault lasts so long, and so long all is well after it.
const LASTS: Duration = Duration::from_secs(4);
const FROZEN_FOR: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Copy)]
enum Fault {
    KillReplica,
    KillRedis,
    KillStore,
    FreezeRedis,
    FreezeStore,
    CutConnections,
    Everything,
}

const FAULTS: [Fault; 7] = [
    Fault::KillReplica,
    Fault::KillRedis,
    Fault::KillStore,
    Fault::FreezeRedis,
    Fault::FreezeStore,
    Fault::CutConnections,
    Fault::Everything,
];

fn rounds() -> usize {
    by_hand("FAULT_ROUNDS", 6)
}

struct Ring {
    services: Services,
    replicas: Vec<Gateway>,
}

impl Ring {
    async fn suffer(&mut self, fault: Fault) {
        let victim = rand::random_range(0..REPLICAS);
        let services = &mut self.services;
        match fault {
            Fault::KillReplica => {
                self.replicas[victim].kill().await;
                tokio::time::sleep(LASTS).await;
                self.replicas[victim].start_again().await;
            }
            Fault::KillRedis => {
                services.cache.kill().await;
                tokio::time::sleep(LASTS).await;
                services.cache.start_again().await;
            }
            Fault::KillStore => {
                services.store.kill().await;
                tokio::time::sleep(LASTS).await;
                services.store.start_again().await;
            }
            Fault::FreezeRedis => {
                services.cache.freeze();
                tokio::time::sleep(FROZEN_FOR).await;
                services.cache.thaw();
            }
            Fault::FreezeStore => {
                services.store.freeze();
                tokio::time::sleep(FROZEN_FOR).await;
                services.store.thaw();
            }
            Fault::CutConnections => {
                services.to_store.cut();
                services.to_cache.cut();
                tokio::time::sleep(LASTS).await;
                services.to_store.mend();
                services.to_cache.mend();
            }
            Fault::Everything => {
                services.store.kill().await;
                services.cache.freeze();
                self.replicas[victim].kill().await;
                tokio::time::sleep(LASTS).await;
                services.cache.thaw();
                services.store.start_again().await;
                self.replicas[victim].start_again().await;
            }
        }
    }
}

/// Callbacks in turns to all replicas, with bots in every condition: as many as the test server can make
/// durable on a machine that runs everything at once, `FAULT_RATE` by hand.
fn generator(replicas: &[Gateway], duration: Duration) -> Child {
    let urls: Vec<&str> = replicas.iter().map(Gateway::url).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.env_clear().args(["simulate", "load", "--json", "--gateway", &urls.join(",")]);
    let rate = by_hand("FAULT_RATE", 60);
    command.args(["--accounts", "200", "--rate", &rate.to_string()]);
    command.args(["--duration", &format!("{}s", duration.as_secs())]);
    command.args(["--bots", "up=60,slow=10,refusing=10,absent=10,restarting=10", "--settle", "120s"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongo-java-server and Redis: tests/servers/install"]
async fn mongo_java_nothing_acknowledged_is_lost_whatever_fails() {
    let kind = if by_hand("FAULT_FERRETDB", 0) == 1 { MongoKind::FerretDb } else { MongoKind::MongoJava };
    let services = Services::start_on(kind).await;
    let settings = [("REGISTRATION", "open"), ("RUST_LOG", "warn,wxkf_gateway::cli=info")];
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(services.replica(&settings).await);
    }
    let mut generator = generator(&replicas, (FROZEN_FOR + PAUSE) * u32::try_from(rounds()).unwrap());
    let mut said = BufReader::new(generator.stderr.take().unwrap()).lines();
    let mut last = String::new();
    while !last.contains("calling") {
        last = said.next_line().await.unwrap().unwrap_or_else(|| panic!("it ended early: {last}"));
    }
    let mut ring = Ring { services, replicas };
    let first = rand::random_range(0..FAULTS.len());
    for round in 0..rounds() {
        let fault = FAULTS[(first + round) % FAULTS.len()];
        println!("round {round}: {fault:?}");
        ring.suffer(fault).await;
        tokio::time::sleep(PAUSE).await;
    }
    // It need not call for as long as it was told.
    let pid = generator.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let output = tokio::time::timeout(8 * SOON, generator.wait_with_output()).await.unwrap().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{told:#}");
    if told["proof"]["holds"] != true {
        ring.replicas.iter().for_each(|replica| println!("{}\n{}", replica.url(), replica.log()));
    }
    assert!(output.status.success() && told["proof"]["holds"] == true, "{told:#}");
    let number = |pointer: &str| told.pointer(pointer).and_then(Value::as_f64).unwrap();
    // 4.5 s on a machine that has nothing else to do; WeCom hangs up after 5.
    assert!(number("/latencyMs/slowestAnswer") <= 5_000.0, "{told:#}");
    assert!(number("/callbacks/acknowledged") > 200.0, "too little to prove anything: {told:#}");
    for strange in ["unreadable", "misrouted"] {
        assert_eq!(told["pokes"][strange], 0, "{strange}: {told:#}");
    }
}

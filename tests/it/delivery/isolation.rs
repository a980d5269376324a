//! A slow bot delays no other, nor WeCom's verification.

use std::time::{Duration, Instant};

use futures::future::join_all;
use wxkf_gateway::simulator::wecom::{Stamp, verification_query};

use super::{Manner, World};
use crate::harness::{CORP, credential};

const HANGING: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_hanging_bots_delay_nobody() {
    let world = World::start(&[("RUST_LOG", "error,wxkf_gateway::cli=info")]).await;
    world.bots.all(Manner::Hang);
    join_all((0..HANGING).map(async |number| world.register(&format!("hang-{number}")).await)).await;
    world.register("good").await;
    world.bots.one("good", Manner::Take);
    let hanging = (0..HANGING).map(async |number| world.poke(&format!("hang-{number}"), "t").await);
    let good = async {
        let mut slowest = Duration::ZERO;
        for number in 0..20 {
            let began = Instant::now();
            assert_eq!(world.poke("good", &format!("t{number}")).await, 200);
            slowest = slowest.max(began.elapsed());
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        slowest
    };
    let verification = async {
        let query = verification_query(&credential(), "an answer", &Stamp::now());
        let began = Instant::now();
        let answer = world.gateway.get(&format!("/callback/{CORP}?{query}")).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "an answer");
        began.elapsed()
    };
    let (answers, slowest, verified) = tokio::join!(join_all(hanging), good, verification);
    assert!(answers.into_iter().all(|status| status == 200), "stored while the attempt goes on");
    assert!(slowest < Duration::from_millis(1_500), "{slowest:?}");
    assert!(verified < Duration::from_secs(1), "{verified:?}");
    assert_eq!(world.bots.taken("good").len(), 20);
}

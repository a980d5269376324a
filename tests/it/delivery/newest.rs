//! Only the newest event of an account counts, and a repeat is no event.

use std::time::Duration;

use futures::future::join_all;

use super::{Event, Manner, World, eventually, now, sealed};

#[tokio::test]
async fn of_a_burst_while_the_bot_hangs_only_the_first_and_the_newest_are_sent() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    world.bots.one("wk1", Manner::TakeAfter(Duration::from_secs(2)));
    let (first, ()) = tokio::join!(world.poke("wk1", "t0"), async {
        assert!(eventually(Duration::from_secs(5), async || !world.bots.sent("wk1").is_empty()).await);
        let created = now();
        for some in (1..50).collect::<Vec<i64>>().chunks(10) {
            let posts = some.iter().map(async |number| {
                let token = format!("t{number}");
                world.post(&sealed(&Event { kf: "wk1", token: &token, created: created - 60 + number })).await.0
            });
            assert!(join_all(posts).await.into_iter().all(|status| status == 200));
        }
        assert_eq!(world.poke("wk1", "newest").await, 200);
    });
    assert_eq!(first, 200);
    world.takes("wk1", "newest", Duration::from_secs(10)).await;
    world.settles("wk1").await;
    let tokens: Vec<_> = world.bots.sent("wk1").into_iter().filter_map(|sent| sent.token).collect();
    assert_eq!(tokens, ["t0", "newest"]);
}

#[tokio::test]
async fn an_older_event_never_replaces_a_newer_one() {
    let world = World::start(&[]).await;
    for (token, age) in [("middle", 20), ("newest", 10), ("oldest", 30)] {
        let event = Event { kf: "wk1", token, created: now() - age };
        assert_eq!(world.post(&sealed(&event)).await.0, 200);
    }
    world.register("wk1").await;
    world.takes("wk1", "newest", Duration::from_secs(5)).await;
    world.settles("wk1").await;
    assert_eq!(world.bots.sent("wk1").len(), 1);
}

#[tokio::test]
async fn a_repeat_joins_what_is_in_flight_and_what_is_held_and_goes_again_after_the_delivery() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    let event = Event { kf: "wk1", token: "t1", created: now() };
    world.bots.one("wk1", Manner::TakeAfter(Duration::from_millis(600)));
    // Sealed afresh each time: only the plaintext is the same.
    let answers = join_all((0..5).map(async |_| world.post(&sealed(&event)).await.0)).await;
    assert_eq!(answers, [200; 5]);
    assert_eq!(world.bots.sent("wk1").len(), 1, "in flight");
    world.bots.one("wk1", Manner::Take);
    assert_eq!(world.post(&sealed(&event)).await.0, 200);
    assert_eq!(world.bots.sent("wk1").len(), 2, "after the delivery it goes again");
    world.deregister("wk1").await;
    for _ in 0..3 {
        assert_eq!(world.post(&sealed(&event)).await.0, 200);
    }
    assert_eq!(world.deliveries("live", "wk1").await.len(), 1, "held");
    world.register("wk1").await;
    world.settles("wk1").await;
    assert_eq!(world.bots.sent("wk1").len(), 3);
}

#[tokio::test]
async fn an_event_arrives_whose_caller_hung_up() {
    let world = World::start(&[]).await;
    world.register("wk1").await;
    world.bots.one("wk1", Manner::TakeAfter(Duration::from_millis(700)));
    let callback = sealed(&Event { kf: "wk1", token: "t1", created: now() });
    let hung_up = tokio::time::timeout(Duration::from_millis(200), world.post(&callback)).await;
    assert!(hung_up.is_err());
    world.takes("wk1", "t1", Duration::from_secs(5)).await;
    world.bots.one("wk1", Manner::Hang);
    let callback = sealed(&Event { kf: "wk1", token: "t2", created: now() });
    assert!(tokio::time::timeout(Duration::from_millis(200), world.post(&callback)).await.is_err());
    let stored = eventually(Duration::from_secs(4), async || world.deliveries("live", "wk1").await.len() == 1).await;
    assert!(stored, "{}", world.gateway.log());
}

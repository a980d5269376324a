//! Wrong passwords: refused, slowed when repeated, and never at the cost of those who have the right one.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;

use crate::harness::{ADMIN_TOKEN, Gateway};

async fn wrong(gateway: &Gateway) -> StatusCode {
    gateway.get("/api/admin/corps").bearer_auth("a-wrong-token").send().await.unwrap().status()
}

#[tokio::test]
async fn repeated_wrong_ones_are_slowed_and_the_right_one_is_not() {
    let gateway = Gateway::start(&[("PUPPET_PASSWORD", "the-password-of-the-bots")]).await;
    for _ in 0..7 {
        assert_eq!(wrong(&gateway).await, 401);
    }
    // From here on each waits for 400 ms at least, and soon for seconds.
    let began = Instant::now();
    let many = join_all((0..20).map(|_| wrong(&gateway)));
    let right = async {
        for _ in 0..5 {
            let answer = gateway.get("/api/admin/corps").bearer_auth(ADMIN_TOKEN).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
        let bot =
            gateway.get("/puppetWxkfManager/puppetWxkfInfo/wk1").basic_auth("bot", Some("the-password-of-the-bots"));
        assert_eq!(bot.send().await.unwrap().status(), 404, "let in");
        // No key is no attempt.
        assert_eq!(gateway.get("/api/admin/corps").send().await.unwrap().status(), 401);
    };
    let mut many = std::pin::pin!(many);
    tokio::select! {
        biased;
        _ = &mut many => panic!("they were not slowed"),
        () = right => {}
    }
    assert!(many.await.iter().all(|status| *status == 401));
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn more_than_can_be_held_back_are_turned_away() {
    let gateway = Gateway::start(&[]).await;
    let offered = (0..400).map(|_| gateway.get("/api/admin/corps").bearer_auth("a-wrong-token").send());
    let mut turned_away = 0;
    for answer in join_all(offered).await {
        let answer = answer.unwrap();
        if answer.status() == 401 {
            continue;
        }
        assert_eq!(answer.status(), 429);
        assert_eq!(
            (&answer.headers()["retry-after"], &answer.headers()["connection"]),
            (&"3".parse().unwrap(), &"close".parse().unwrap())
        );
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "urn:wxkf-gateway:problem:too-many-attempts");
        turned_away += 1;
    }
    assert!(turned_away > 0);
    let right = gateway.get("/api/admin/corps").bearer_auth(ADMIN_TOKEN).send().await.unwrap();
    assert_eq!(right.status(), 200);
    let metrics = gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
    let counted = format!("wxkf_wrong_passwords_total{{setting=\"ADMIN_TOKEN\",answer=\"turned_away\"}} {turned_away}");
    assert!(metrics.contains(&counted), "{metrics}");
}

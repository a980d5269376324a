//! The service as a whole, against an upstream that does as it is told.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use serde_json::json;

use super::testkit::{Bench, assemble, hasty};
use super::*;
use crate::wecom::fake::{Asked, Reply, app, client, grant, refusal};
use crate::wecom::{Class, Errcode, WecomSettings};

const LIFE: u64 = 7200;

fn new_tokens(asked: &Asked) -> Reply {
    Reply::Slow(grant(&format!("T{}", asked.number), LIFE))
}

fn same_token(_: &Asked) -> Reply {
    Reply::Slow(grant("T", LIFE))
}

fn refused(errcode: i64) -> impl FnMut(&Asked) -> Reply + Send + 'static {
    move |_| Reply::Json(refusal(errcode))
}

fn down(_: &Asked) -> Reply {
    Reply::Status(StatusCode::BAD_GATEWAY)
}

async fn errcode(tokens: &AccessTokens, app: &App) -> i64 {
    tokens.lease(app).await.unwrap_err().errcode().0
}

#[tokio::test]
async fn three_hundred_readers_cost_one_call() {
    for script in [new_tokens, same_token] {
        let bench = Bench::new(script).await;
        let app = app("ww1", "s");
        let leases = join_all((0..300).map(|_| bench.tokens.lease(&app))).await;
        let first = leases[0].clone().unwrap();
        assert!(leases.iter().all(|lease| lease.as_ref().unwrap().access_token == first.access_token));
        bench.advance(100);
        assert!((LIFE - 110..=LIFE - 100).contains(&bench.tokens.lease(&app).await.unwrap().expires_in));
        assert_eq!(bench.wecom.calls(), 1);
    }
}

#[tokio::test]
async fn apps_of_one_corp_have_tokens_of_their_own() {
    let bench = Bench::new(new_tokens).await;
    let one = bench.tokens.lease(&app("ww1", "a")).await.unwrap();
    let other = bench.tokens.lease(&app("ww1", "b")).await.unwrap();
    assert_ne!(one.access_token, other.access_token);
}

#[tokio::test]
async fn a_wrong_secret_asked_a_hundred_times_costs_one_call() {
    let bench = Bench::new(refused(40001)).await;
    let wrong = app("ww1", "wrong");
    for _ in 0..100 {
        assert_eq!(errcode(&bench.tokens, &wrong).await, 40001);
    }
    assert_eq!(bench.wecom.calls(), 1);
    for (after, calls) in [(61, 2), (61, 2), (60, 3)] {
        bench.advance(after);
        assert_eq!(errcode(&bench.tokens, &wrong).await, 40001);
        assert_eq!(bench.wecom.calls(), calls, "remembered for 60 s, then for 120 s");
    }
}

#[tokio::test]
async fn a_refused_secret_never_gets_the_token_of_a_good_one() {
    let script = |asked: &Asked| match asked.query["corpsecret"].as_str() {
        "good" => Reply::Json(grant("T", LIFE)),
        _ => Reply::Json(refusal(40001)),
    };
    let bench = Bench::new(script).await;
    bench.tokens.lease(&app("ww1", "good")).await.unwrap();
    assert_eq!(errcode(&bench.tokens, &app("ww1", "bad")).await, 40001);
}

#[tokio::test]
async fn an_expired_token_is_fetched_anew_and_the_same_one_believed() {
    let bench = Bench::new(same_token).await;
    let app = app("ww1", "s");
    bench.tokens.lease(&app).await.unwrap();
    bench.advance(LIFE);
    assert!(bench.tokens.lease(&app).await.unwrap().expires_in > LIFE - 10);
    assert_eq!(bench.wecom.calls(), 2);
}

#[tokio::test]
async fn the_same_token_in_its_last_moment_is_not_taken_for_a_new_one() {
    let bench = Bench::new(same_token).await;
    let app = app("ww1", "s");
    bench.tokens.lease(&app).await.unwrap();
    let expires_at = bench.tokens.list().await[0].expires_at.unwrap();
    bench.clock.advance(Duration::from_secs(LIFE) - Duration::from_millis(500));
    let lease = bench.tokens.lease(&app).await.unwrap();
    assert!(bench.clock.now() > expires_at, "asked for once more when the old one is over");
    assert_eq!((bench.wecom.calls(), lease.expires_in), (3, LIFE - 1));
}

#[tokio::test]
async fn a_token_in_use_is_renewed_ahead_and_an_unused_one_is_not() {
    let bench = Bench::new(new_tokens).await;
    let app = app("ww1", "s");
    bench.tokens.lease(&app).await.unwrap();
    bench.tokens.renew_due().await;
    assert_eq!(bench.wecom.calls(), 1, "not due yet");
    bench.advance(LIFE - 60);
    bench.tokens.renew_due().await;
    assert_eq!(bench.wecom.calls(), 2);
    bench.advance(LIFE - 60);
    bench.tokens.renew_due().await;
    assert_eq!(bench.wecom.calls(), 2, "nobody took the second token");
    assert_eq!(bench.tokens.lease(&app).await.unwrap().access_token, Secret::new("T2"));
}

#[tokio::test]
async fn the_same_token_again_is_not_renewed_ahead_twice() {
    let bench = Bench::new(same_token).await;
    let app = app("ww1", "s");
    bench.tokens.lease(&app).await.unwrap();
    for _ in 0..3 {
        bench.advance(LIFE / 4);
        bench.tokens.lease(&app).await.unwrap();
    }
    bench.advance(LIFE / 4 - 60);
    for _ in 0..3 {
        bench.tokens.renew_due().await;
        assert!(bench.tokens.lease(&app).await.unwrap().expires_in <= 60);
    }
    assert_eq!(bench.wecom.calls(), 2);
    assert_eq!(bench.tokens.list().await[0].renewals, 1);
}

#[tokio::test]
async fn a_renewal_is_a_compare_and_swap() {
    let bench = Bench::new(new_tokens).await;
    let app = app("ww1", "s");
    let first = bench.tokens.lease(&app).await.unwrap().access_token;
    let renewed = join_all((0..50).map(|_| bench.tokens.renew(&app, &first))).await;
    assert!(renewed.iter().all(|lease| lease.as_ref().unwrap().access_token == Secret::new("T2")));
    bench.advance(3600);
    let late = bench.tokens.renew(&app, &first).await.unwrap();
    assert_eq!((late.access_token, bench.wecom.calls()), (Secret::new("T2"), 2), "it was not the cached one any more");
}

#[tokio::test]
async fn forced_renewals_ask_once_a_minute() {
    let bench = Bench::new(new_tokens).await;
    let app = app("ww1", "s");
    let mut token = bench.tokens.lease(&app).await.unwrap().access_token;
    for (pause, calls) in [(0, 2), (1, 2), (30, 2), (30, 3)] {
        bench.advance(pause);
        token = bench.tokens.renew(&app, &token).await.unwrap().access_token;
        assert_eq!(bench.wecom.calls(), calls);
    }
}

#[tokio::test]
async fn only_a_token_service_hears_of_the_failed_token() {
    let bench = Bench::new(new_tokens).await;
    let service = bench.wecom.base.join("/service").unwrap();
    let wecom = client(WecomSettings::new(bench.wecom.base.clone(), Some(service)));
    let tokens = assemble(TokenSettings::default(), wecom, &bench.store, &bench.clock);
    let first = tokens.lease(&app("ww1", "s")).await.unwrap().access_token;
    tokens.renew(&app("ww1", "s"), &first).await.unwrap();
    assert_eq!(bench.wecom.last().query["invalid_token"], "T1");
}

#[tokio::test]
async fn an_outage_leaves_the_cached_token_even_over_a_restart() {
    let bench = Bench::new(new_tokens).await;
    let app = app("ww1", "s");
    bench.tokens.lease(&app).await.unwrap();
    bench.store.saved(&app.key(), "T1").await;
    bench.wecom.script(down);
    bench.advance(LIFE - 100);
    bench.tokens.renew_due().await;
    assert_eq!(bench.wecom.calls(), 2);
    let rejected = bench.tokens.renew(&app, &Secret::new("T1")).await.unwrap();
    assert_eq!(rejected.access_token, Secret::new("T1"), "better than an error");
    let restarted = bench.restarted();
    assert!(restarted.is_cached(&app).await);
    let lease = restarted.lease(&app).await.unwrap();
    assert_eq!(lease.access_token, Secret::new("T1"));
    assert!((90..=100).contains(&lease.expires_in), "{}", lease.expires_in);
}

#[tokio::test]
async fn an_outage_is_not_stampeded() {
    let bench = Bench::new(down).await;
    let app = app("ww1", "s");
    for _ in 0..100 {
        assert_eq!(errcode(&bench.tokens, &app).await, 504);
    }
    assert!(bench.wecom.calls() <= 3, "{}", bench.wecom.calls());
    bench.wecom.script(new_tokens);
    bench.advance(16);
    bench.tokens.lease(&app).await.unwrap();
}

#[tokio::test]
async fn a_rate_limit_is_heeded_and_leaves_the_cached_token() {
    let bench = Bench::new(new_tokens).await;
    let app = app("ww1", "s");
    let first = bench.tokens.lease(&app).await.unwrap();
    bench.wecom.script(refused(45009));
    assert_eq!(bench.tokens.renew(&app, &first.access_token).await.unwrap().access_token, first.access_token);
    bench.advance(LIFE);
    assert_eq!(errcode(&bench.tokens, &app).await, 45009);
    for _ in 0..10 {
        bench.advance(5);
        assert_eq!(errcode(&bench.tokens, &app).await, 45009);
    }
    assert_eq!(bench.wecom.calls(), 3);
}

#[tokio::test]
async fn a_store_that_is_away_holds_no_token_back() {
    let bench = Bench::new(new_tokens).await;
    bench.store.go_away();
    let app = app("ww1", "s");
    bench.tokens.lease(&app).await.unwrap();
    bench.tokens.lease(&app).await.unwrap();
    assert_eq!(bench.wecom.calls(), 1);
    bench.store.come_back();
    bench.store.saved(&app.key(), "T1").await;
}

#[tokio::test]
async fn secrets_of_unknown_corps_have_a_budget_that_known_ones_do_not_share() {
    let bench = Bench::new(refused(40001)).await;
    for number in 0..200 {
        let code = errcode(&bench.tokens, &app(&format!("made-up-{number}"), "s")).await;
        assert_eq!(code, if number < 100 { 40001 } else { 45009 });
    }
    bench.store.declare("declared");
    bench.store.register("registered", "s");
    for corp in ["declared", "registered"] {
        for number in 0..30 {
            let code = errcode(&bench.tokens, &app(corp, &format!("s{number}"))).await;
            assert_eq!(code, if number < 20 { 40001 } else { 45009 });
        }
    }
    assert_eq!(bench.wecom.calls(), 140);
}

#[tokio::test]
async fn crowding_does_not_overdraw_the_budget() {
    let bench = Bench::new(refused(40001)).await;
    let apps: Vec<_> = (0..100).map(|number| app("ww1", &format!("s{number}"))).collect();
    let outcomes = join_all(apps.iter().map(|app| bench.tokens.lease(app))).await;
    let spent = outcomes.iter().filter(|outcome| **outcome == Err(TokenError::BudgetSpent)).count();
    assert_eq!((spent, bench.wecom.calls()), (80, 20));
}

#[tokio::test]
async fn a_pair_that_was_good_once_is_always_asked() {
    let bench = Bench::new(new_tokens).await;
    let good = app("ww1", "good");
    bench.tokens.lease(&good).await.unwrap();
    bench.store.saved(&good.key(), "T1").await;
    let restarted = bench.restarted();
    bench.wecom.script(refused(40001));
    for number in 0..21 {
        let _ = restarted.lease(&app("ww1", &format!("s{number}"))).await;
    }
    assert_eq!(errcode(&restarted, &app("ww1", "another")).await, 45009);
    bench.advance(LIFE);
    bench.wecom.script(new_tokens);
    restarted.lease(&good).await.unwrap();
}

#[tokio::test]
async fn callers_who_hang_up_do_not_cancel_the_call() {
    let bench = Bench::new(new_tokens).await;
    let app = app("ww1", "s");
    for _ in 0..10 {
        let _ = tokio::time::timeout(Duration::from_millis(5), bench.tokens.lease(&app)).await;
    }
    assert_eq!(bench.tokens.lease(&app).await.unwrap().access_token, Secret::new("T1"));
    assert_eq!(bench.wecom.calls(), 1);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_limit() {
    let settings = TokenSettings { wait: Duration::from_millis(50), ..TokenSettings::default() };
    let bench = Bench::with(settings.clone(), |_| Reply::Hang).await;
    assert_eq!(errcode(&bench.tokens, &app("ww1", "s")).await, 504);
    let patient = assemble(TokenSettings::default(), hasty(&bench.wecom), &bench.store, &bench.clock);
    let error = patient.lease(&app("ww1", "s")).await.unwrap_err();
    assert!(error.to_string().contains("timed out"), "{error}");
}

#[tokio::test]
async fn a_lease_has_a_longest_time() {
    let max_lease = Some(Duration::from_secs(600));
    let bench = Bench::with(TokenSettings { max_lease, ..TokenSettings::default() }, new_tokens).await;
    let app = app("ww1", "s");
    assert_eq!(bench.tokens.lease(&app).await.unwrap().expires_in, 600);
    bench.advance(LIFE - 100);
    assert!(bench.tokens.lease(&app).await.unwrap().expires_in <= 100);
}

#[tokio::test]
async fn an_operator_sees_and_renews_tokens_but_never_reads_them() {
    let bench = Bench::new(new_tokens).await;
    let app = app("ww1", "s");
    bench.tokens.lease(&app).await.unwrap();
    bench.wecom.script(refused(40001));
    let error = bench.tokens.renew_by_operator(&app.key()).await.unwrap_err();
    assert_eq!(error.class(), Some(Class::BadCredentials));
    assert!(bench.tokens.list().await[0].last_error.as_ref().unwrap().contains("40001"));
    bench.wecom.script(new_tokens);
    bench.tokens.renew_by_operator(&app.key()).await.unwrap();
    let listed = bench.tokens.list().await;
    assert_eq!((listed.len(), listed[0].upstream_calls, listed[0].renewals), (1, 3, 1));
    assert_eq!(listed[0].last_error, None);
    assert!(!format!("{listed:?}").contains("T3"));
    bench.tokens.renew_by_operator(&app.key()).await.unwrap();
    assert_eq!(bench.wecom.calls(), 3, "it was renewed a moment ago");
}

#[tokio::test]
async fn a_refused_app_is_listed_and_asked_anew_when_an_operator_wishes() {
    let bench = Bench::new(refused(40001)).await;
    let app = app("ww1", "mended");
    assert_eq!(errcode(&bench.tokens, &app).await, 40001);
    let listed = bench.tokens.list().await;
    assert_eq!((listed.len(), &listed[0].app, listed[0].expires_at), (1, &app.key(), None));
    bench.wecom.script(new_tokens);
    bench.tokens.renew_by_operator(&listed[0].app).await.unwrap();
    assert_eq!(bench.tokens.lease(&app).await.unwrap().access_token, Secret::new("T2"));
    assert_eq!(bench.wecom.calls(), 2);
}

#[tokio::test]
async fn after_a_restart_an_operators_renewal_finds_the_secret_beside_the_token_or_at_the_registration() {
    let bench = Bench::new(new_tokens).await;
    let (bot, other) = (app("ww1", "s"), app("ww1", "other"));
    bench.store.register("ww1", "s");
    for (app, token) in [(&bot, "T1"), (&other, "T2")] {
        bench.tokens.lease(app).await.unwrap();
        bench.store.saved(&app.key(), token).await;
    }
    bench.restarted().renew_by_operator(&other.key()).await.unwrap();
    // As earlier releases stored them.
    bench.store.saved(&other.key(), "T3").await;
    bench.store.rows.lock().values_mut().for_each(|token| token.corp_secret = None);
    let restarted = bench.restarted();
    restarted.renew_by_operator(&bot.key()).await.unwrap();
    assert_eq!(restarted.renew_by_operator(&other.key()).await, Err(TokenError::SecretUnknown));
}

#[tokio::test]
async fn superseded_tokens_are_known_for_two_hours() {
    let bench = Bench::new(new_tokens).await;
    let app = app("ww1", "s");
    let first = bench.tokens.lease(&app).await.unwrap().access_token;
    let standing = async || bench.tokens.recognise(&first).await.map(|known| known.state);
    assert_eq!(standing().await, Some(TokenState::Current));
    bench.tokens.renew(&app, &first).await.unwrap();
    assert_eq!(standing().await, Some(TokenState::Superseded));
    bench.advance(LIFE - 60);
    assert_eq!(standing().await, Some(TokenState::Superseded));
    bench.advance(60);
    assert_eq!(standing().await, None);
    assert_eq!(bench.tokens.recognise(&Secret::new("foreign")).await, None);
}

#[tokio::test]
async fn the_loop_knows_yesterdays_tokens_and_ends_when_told() {
    let bench = Bench::new(new_tokens).await;
    let app = app("ww1", "s");
    let token = bench.tokens.lease(&app).await.unwrap().access_token;
    bench.store.saved(&app.key(), "T1").await;
    let restarted = bench.restarted();
    let tasks = restarted.inner.tasks.clone();
    tasks.spawn(restarted.clone().run_renewals());
    while restarted.recognise(&token).await.is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(restarted.list().await.len(), 1);
    tasks.stop();
    assert!(tasks.drained(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn nothing_that_can_be_printed_holds_a_secret() {
    let echo = |asked: &Asked| Reply::Json(json!({ "errcode": 40001, "errmsg": asked.query["corpsecret"] }));
    let bench = Bench::new(echo).await;
    let app = app("ww1", "S3CR3T+/x");
    let error = bench.tokens.lease(&app).await.unwrap_err();
    let refused = format!("{error} {error:?} {} {app:?} {:?}", error.errmsg(), bench.tokens);
    bench.wecom.script(|_| Reply::Json(grant("T0K3N", LIFE)));
    bench.tokens.renew_by_operator(&app.key()).await.unwrap();
    let lease = bench.tokens.lease(&app).await.unwrap();
    let shown = format!("{refused} {lease:?} {:?} {:?}", bench.tokens, bench.tokens.list().await);
    assert!(!shown.contains("S3CR3T") && !shown.contains("T0K3N"), "{shown}");
    assert_eq!(error.errcode(), Errcode(40001));
}

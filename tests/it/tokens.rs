//! Access tokens as bots and other programs of a corp read them.

use std::sync::{Arc, OnceLock};

use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};
use wxkf_gateway::lifecycle::Tasks;
use wxkf_gateway::simulator::wecom::{Api, Fault, RepeatedToken, Wecom, WecomOptions};

use crate::admin::until;
use crate::harness::{ACCOUNT, CORP, Gateway, SECRET, gateway_and_wecom};
use crate::registry::{fields, register};

const ROUTES: [&str; 2] = ["/api/corp/accessToken", "/puppetWxkfManager/getToken"];

async fn ask(gateway: &Gateway, route: &str, query: &[(&str, &str)]) -> Value {
    let answer = gateway.get(route).query(query).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    answer.json().await.unwrap()
}

async fn token(gateway: &Gateway) -> Value {
    ask(gateway, ROUTES[0], &[("corpid", CORP), ("corpsecret", SECRET)]).await
}

/// The answer to a caller who saw this token fail.
async fn instead_of(gateway: &Gateway, failed: &Value) -> Value {
    let failed = failed["access_token"].as_str().unwrap();
    ask(gateway, ROUTES[0], &[("corpid", CORP), ("corpsecret", SECRET), ("invalid_token", failed)]).await
}

fn is_granted(answer: &Value) -> bool {
    answer["errcode"] == 0 && answer["access_token"].is_string()
}

async fn gateway_and(repeated_token: RepeatedToken) -> (Gateway, Wecom) {
    let wecom = Wecom::start(WecomOptions { repeated_token, ..WecomOptions::default() }).await.unwrap();
    drop(wecom.corp(CORP).secret(SECRET).account(ACCOUNT));
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", &wecom.base_url())]).await;
    (gateway, wecom)
}

/// A service on a port of its own.
pub(crate) async fn serve(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(Tasks::new().spawn(async move { axum::serve(listener, routes).await }));
    url
}

#[tokio::test]
async fn three_hundred_readers_cost_one_call_whatever_wecom_repeats() {
    for repeated in [RepeatedToken::New, RepeatedToken::SameRemaining, RepeatedToken::SameFull] {
        let (gateway, wecom) = gateway_and(repeated).await;
        // Late enough for all of them to wait for it.
        wecom.fail_next(Api::GetToken, Fault::HangMs(300), 1);
        let query = [("corpid", CORP), ("corpsecret", SECRET)];
        let readers = (0..300).map(|number: usize| ask(&gateway, ROUTES[number % 2], &query));
        let answers = futures::future::join_all(readers).await;
        for answer in &answers {
            assert_eq!((&answer["errcode"], &answer["errmsg"]), (&json!(0), &json!("ok")));
            assert_eq!(answer["access_token"], answers[0]["access_token"]);
            assert!((7190..=7200).contains(&answer["expires_in"].as_u64().unwrap()), "{answer}");
        }
        assert_eq!(wecom.gettoken_calls(CORP, SECRET), 1, "{repeated:?}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_asked_about_once() {
    let (gateway, wecom) = gateway_and_wecom().await;
    let wrong = [("corpid", CORP), ("corpsecret", "a-secret-that-wecom-never-gave-out")];
    let at_once = futures::future::join_all((0..50).map(|_| ask(&gateway, ROUTES[0], &wrong))).await;
    for answer in at_once {
        assert_eq!(answer, json!({ "errcode": 40001, "errmsg": "invalid credential" }));
    }
    for _ in 0..50 {
        assert_eq!(ask(&gateway, ROUTES[1], &wrong).await["errcode"], 40001);
    }
    assert_eq!(wecom.calls(Api::GetToken), 1);
    assert!(is_granted(&token(&gateway).await), "another secret of the corp is another app");
}

#[tokio::test]
async fn a_cached_token_outlives_outages_and_restarts() {
    let (mut gateway, wecom) = gateway_and_wecom().await;
    let first = token(&gateway).await;
    assert!(is_granted(&first));
    // A token is saved behind its answer; once this is kept, that is too.
    assert_eq!(register(&gateway, &fields(ACCOUNT, CORP, &[])).await["code"], 0);
    wecom.go_away().await;
    let is_the_same = async |gateway: &Gateway| {
        let later = token(gateway).await;
        assert_eq!(later["access_token"], first["access_token"]);
        assert!(later["expires_in"].as_u64() <= first["expires_in"].as_u64());
        // Nobody can renew it, so it stays.
        assert_eq!(instead_of(gateway, &first).await["access_token"], first["access_token"]);
    };
    is_the_same(&gateway).await;
    gateway.kill().await;
    gateway.start_again().await;
    is_the_same(&gateway).await;
    assert_eq!(gateway.terminate().await, Some(0));
    gateway.start_again().await;
    is_the_same(&gateway).await;

    let other = [("corpid", CORP), ("corpsecret", "another-secret")];
    let refused = ask(&gateway, ROUTES[0], &other).await;
    assert_eq!(refused["errcode"], 504);
    assert!(refused["errmsg"].as_str().unwrap().contains("cannot be reached"), "{refused}");
    wecom.go_on().await.unwrap();
    drop(wecom.corp(CORP).secret("another-secret"));
    until(|| async { is_granted(&ask(&gateway, ROUTES[0], &other).await) }).await;
}

#[tokio::test]
async fn wecoms_own_errors_pass_through_and_what_is_not_wecoms_is_504() {
    let (gateway, wecom) = gateway_and_wecom().await;
    for (number, (fault, errcode)) in [
        (Fault::Errcode(-1), -1),
        (Fault::Errcode(60020), 60020),
        (Fault::Errcode(45009), 45009),
        (Fault::Status(500), 504),
        (Fault::Status(302), 504),
        (Fault::NotJson, 504),
        (Fault::Drop, 504),
    ]
    .into_iter()
    .enumerate()
    {
        // Each app of its own: failures are remembered by app.
        let secret = format!("secret-{number}");
        drop(wecom.corp(CORP).secret(&secret));
        wecom.fail_next(Api::GetToken, fault.clone(), 1);
        let answer = ask(&gateway, ROUTES[number % 2], &[("corpid", CORP), ("corpsecret", &secret)]).await;
        assert_eq!(answer["errcode"], errcode, "{fault:?}: {answer}");
        assert!(answer.get("access_token").is_none() && answer["errmsg"].is_string(), "{answer}");
    }
    for route in ROUTES {
        for (query, errcode) in [
            (&[][..], 41002),
            (&[("corpsecret", SECRET)], 41002),
            (&[("corpid", ""), ("corpsecret", SECRET)], 41002),
            (&[("corpid", CORP)], 41004),
            (&[("corpid", CORP), ("corpsecret", "")], 41004),
            (&[("corpid", CORP), ("corpid", CORP), ("corpsecret", SECRET)], 40058),
            (&[("corpid", "w w"), ("corpsecret", SECRET)], 40013),
        ] {
            assert_eq!(ask(&gateway, route, query).await["errcode"], errcode, "{query:?}");
        }
    }
}

#[tokio::test]
async fn a_failed_token_is_renewed_once_for_all_who_saw_it_fail() {
    let (gateway, wecom) = gateway_and(RepeatedToken::New).await;
    let first = token(&gateway).await;
    let renewed = futures::future::join_all((0..50).map(|_| instead_of(&gateway, &first))).await;
    let second = &renewed[0];
    assert!(is_granted(second) && second["access_token"] != first["access_token"]);
    assert!(renewed.iter().all(|answer| answer["access_token"] == second["access_token"]));
    assert_eq!(wecom.gettoken_calls(CORP, SECRET), 2);
    // Whoever is late gets the current one; the current one is renewed once a minute at most.
    for failed in [&first, second] {
        assert_eq!(instead_of(&gateway, failed).await["access_token"], second["access_token"]);
    }
    assert_eq!(token(&gateway).await["access_token"], second["access_token"]);
    assert_eq!(wecom.gettoken_calls(CORP, SECRET), 2);
}

#[tokio::test]
async fn the_same_token_again_does_not_live_longer() {
    let (gateway, wecom) = gateway_and(RepeatedToken::SameFull).await;
    let first = token(&gateway).await;
    wecom.clock().advance(std::time::Duration::from_secs(60));
    let again = instead_of(&gateway, &first).await;
    assert_eq!(again["access_token"], first["access_token"]);
    assert!(again["expires_in"].as_u64() <= first["expires_in"].as_u64(), "{again}");
    assert_eq!(wecom.gettoken_calls(CORP, SECRET), 2);
}

#[tokio::test]
async fn the_longest_lease_is_the_operators() {
    let wecom = crate::harness::wecom().await;
    let settings = [("TOKEN_MAX_LEASE", "10m"), ("WECOM_API_BASE_URL", &*wecom.base_url())];
    let gateway = Gateway::start(&settings).await;
    assert_eq!(token(&gateway).await["expires_in"], 600);
}

#[tokio::test]
async fn a_token_service_is_asked_in_gettokens_way_and_told_what_failed() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    let service = get(async move |RawQuery(query): RawQuery| {
        heard.lock().push(query.unwrap_or_default());
        let token = format!("token-{}", heard.lock().len());
        // Seen in the field: seconds as text, no errcode.
        Json(json!({ "access_token": token, "expires_in": "7200" }))
    });
    let url = format!("{}/tokens?tenant=1", serve(Router::new().route("/tokens", service)).await);
    let gateway = Gateway::start(&[("ACCESS_TOKEN_URL", &url)]).await;
    let first = token(&gateway).await;
    assert_eq!(first["access_token"], "token-1");
    assert_eq!(instead_of(&gateway, &first).await["access_token"], "token-2");
    let plain = format!("tenant=1&corpid={CORP}&corpsecret={SECRET}");
    assert_eq!(*asked.lock(), [plain.clone(), format!("{plain}&invalid_token=token-1")]);
}

#[tokio::test]
async fn one_gateway_may_be_the_token_service_of_another() {
    let (inner, wecom) = gateway_and(RepeatedToken::New).await;
    let url = format!("{}/api/corp/accessToken", inner.url());
    let outer = Gateway::start(&[("ACCESS_TOKEN_URL", &url)]).await;
    let first = token(&outer).await;
    assert_eq!(token(&inner).await["access_token"], first["access_token"]);
    let second = instead_of(&outer, &first).await;
    assert_ne!(second["access_token"], first["access_token"]);
    assert_eq!(token(&inner).await["access_token"], second["access_token"]);
    assert_eq!(wecom.gettoken_calls(CORP, SECRET), 2);
}

#[tokio::test]
async fn a_token_url_that_leads_back_is_refused_at_once() {
    // As behind a load balancer: nobody sees from the address that it is the gateway's own.
    let gateway_url = Arc::new(OnceLock::<String>::new());
    let (target, http) = (Arc::clone(&gateway_url), relaying_client());
    let relay = get(async move |headers: HeaderMap, RawQuery(query): RawQuery| {
        let url = format!("{}/api/corp/accessToken?{}", target.get().unwrap(), query.unwrap_or_default());
        Json(http.get(url).headers(headers).send().await.unwrap().json::<Value>().await.unwrap())
    });
    let url = format!("{}/tokens", serve(Router::new().route("/tokens", relay)).await);
    let gateway = Gateway::start(&[("ACCESS_TOKEN_URL", &url)]).await;
    gateway_url.set(gateway.url().to_owned()).unwrap();
    let answer = token(&gateway).await;
    assert_eq!(answer["errcode"], 504);
    assert!(answer["errmsg"].as_str().unwrap().contains("leads back"), "{answer}");
}

fn relaying_client() -> reqwest::Client {
    wxkf_gateway::egress::install_tls_provider();
    #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
    reqwest::Client::builder().no_proxy().build().unwrap()
}

//! Who is let in, and which calls are taken for the operator's.

use reqwest::header::SET_COOKIE;
use reqwest::{Method, StatusCode};

use super::{Browser, session};
use crate::harness::{ADMIN_TOKEN, CORP, Gateway};

async fn audit(gateway: &Gateway) -> String {
    gateway.admin(Method::GET, "/audit").send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn the_token_opens_a_session_that_no_script_and_no_other_site_has() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::new(&gateway);
    let cookie = async |name: &'static str, value: &str| {
        let request = browser.request(Method::POST, browser.url("/sign-in")).header(name, value);
        let answer = request.form(&[("token", ADMIN_TOKEN)]).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        answer.headers()[SET_COOKIE].to_str().unwrap().to_owned()
    };
    let plain = cookie("origin", &browser.origin()).await;
    assert!(plain.ends_with("; Max-Age=43200; HttpOnly; SameSite=Strict"), "{plain}");
    assert!(!plain.contains(ADMIN_TOKEN));
    for (name, value) in [("x-forwarded-proto", "https"), ("x-forwarded-proto", "HTTPS, http")] {
        let secure = cookie(name, value).await;
        assert!(secure.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{secure}");
    }
    let browser = Browser::signed_in(&gateway).await;
    browser.get("").await.assert_shows("Connect your corp");
    // Programs do not sign in, and a browser's session is none of theirs.
    assert_eq!(gateway.get("/console").bearer_auth(ADMIN_TOKEN).send().await.unwrap().url().path(), "/console/sign-in");
    let api = browser.request(Method::GET, format!("{}/api/admin/corps", gateway.url()).parse().unwrap());
    assert_eq!(api.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_led_to_the_form_and_back() {
    let gateway = Gateway::start(&[]).await;
    let mut browser = Browser::new(&gateway);
    let asked = browser.get("/corps").await;
    assert_eq!((asked.status, asked.url.path()), (StatusCode::OK, "/console/sign-in"));
    let fields = [("token", ADMIN_TOKEN), ("next", &*asked.hidden("next"))];
    let answer = browser.send("/sign-in", &fields).await;
    browser.session = session(answer.headers());
    assert_eq!(browser.follow(answer).await.url.path(), "/console/corps");
    for elsewhere in ["//evil.example/", "https://evil.example/", "../../evil", ""] {
        let led = browser.post("/sign-in", &[("token", ADMIN_TOKEN), ("next", elsewhere)]).await;
        assert_eq!(led.url.path(), "/console", "{elsewhere}");
    }
    assert_eq!(browser.get("/sign-in").await.url.path(), "/console", "there is no need to sign in again");
}

#[tokio::test]
async fn a_wrong_token_is_told_noted_and_slowed() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::new(&gateway);
    for (token, status) in [("wrong-token", StatusCode::UNAUTHORIZED), ("", StatusCode::BAD_REQUEST)] {
        let page = browser.post("/sign-in", &[("token", token)]).await;
        assert_eq!((page.status, session(&page.headers)), (status, None));
        page.assert_shows("role=\"alert\"");
        assert!(!page.shows("wrong-token"));
    }
    let wrong = (0..7).map(|_| browser.post("/sign-in", &[("token", "wrong-token")]));
    futures::future::join_all(wrong).await;
    let metrics = gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("wxkf_wrong_passwords_total{setting=\"ADMIN_TOKEN\",answer=\"refused\"} 8"), "{metrics}");
    let audit = audit(&gateway).await;
    assert!(audit.contains("admin.refused") && audit.contains("/console/sign-in"), "{audit}");
}

#[tokio::test]
async fn every_replica_with_the_token_takes_the_session_and_a_withdrawn_token_ends_it() {
    let (one, two) = tokio::join!(
        Gateway::start(&[("ADMIN_TOKEN", "old-admin-token,new-admin-token")]),
        Gateway::start(&[("ADMIN_TOKEN", "new-admin-token")]),
    );
    let at = |gateway: &Gateway, session: &Option<String>| {
        let browser = Browser { session: session.clone(), ..Browser::new(gateway) };
        async move { browser.get("").await.url.path().to_owned() }
    };
    let sign_in = async |token: &str| {
        let answer = Browser::new(&one).send("/sign-in", &[("token", token)]).await;
        session(answer.headers())
    };
    let (old, new) = (sign_in("old-admin-token").await, sign_in("new-admin-token").await);
    for session in [&old, &new] {
        assert_eq!(at(&one, session).await, "/console");
    }
    assert_eq!(at(&two, &new).await, "/console", "a replica that never saw it");
    assert_eq!(at(&two, &old).await, "/console/sign-in", "its token was withdrawn");
    let forged = new.map(|session| session.replacen('.', "0.", 1));
    assert_eq!(at(&one, &forged).await, "/console/sign-in", "somebody prolonged it");
}

#[tokio::test]
async fn signing_out_makes_the_browser_forget() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::signed_in(&gateway).await;
    let answer = browser.send("/sign-out", &[]).await;
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("wxkf_console=; Max-Age=0;"), "{cookie}");
}

#[tokio::test]
async fn only_our_own_pages_change_anything() {
    let gateway = Gateway::start(&[]).await;
    let browser = Browser::signed_in(&gateway).await;
    let add = || browser.request(Method::POST, browser.url("/corps")).form(&[("corpId", CORP)]);
    let other_port = "http://127.0.0.1:1";
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", other_port),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("referer", "https://evil.example/"),
    ] {
        let refused = add().header(name, value).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let foreign = browser.request(Method::POST, browser.url("/sign-in")).header("origin", "https://evil.example");
    assert_eq!(foreign.form(&[("token", ADMIN_TOKEN)]).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    // A form is wrong for what it says, no longer for where it comes from.
    let host = add().header("origin", "https://console.example.com").header("x-forwarded-host", "console.example.com");
    for ours in [add().header("origin", browser.origin()), add().header("sec-fetch-site", "same-origin"), host] {
        assert_eq!(ours.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    }
    let stranger = Browser::new(&gateway);
    assert_eq!(stranger.post("/corps", &[("corpId", CORP)]).await.url.path(), "/console/sign-in");
    let corps = gateway.admin(Method::GET, "/corps").send().await.unwrap().text().await.unwrap();
    assert_eq!(corps, r#"{"items":[]}"#);
}

#[tokio::test]
async fn without_a_token_there_is_no_console() {
    // A shared store that is away: of many replicas none makes a token of its own.
    let gateway = Gateway::start_unready(&[("ADMIN_TOKEN", ""), ("MONGO_URI", "mongodb://127.0.0.1:1")]).await;
    for path in ["/console", "/console/", "/console/sign-in", "/console/corps/", "/console/files/style.css"] {
        let answer = gateway.get(path).send().await.unwrap();
        assert_eq!((answer.status(), answer.text().await.unwrap()), (StatusCode::NOT_FOUND, String::new()), "{path}");
    }
    let answer = gateway.get("/api/admin/corps").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert!(answer.text().await.unwrap().contains("ADMIN_TOKEN is unset"));
}

#[tokio::test]
async fn it_is_served_to_operators_alone() {
    let gateway = Gateway::start(&[("OPS_PORT", "0"), ("PUBLIC_PORT", "0")]).await;
    let status = async |setting: &str, path: &str| {
        let listener = gateway.listener(setting).unwrap();
        gateway.request_at(&listener, Method::GET, path).send().await.unwrap().status().as_u16()
    };
    for path in ["/console", "/console/", "/console/sign-in", "/console/files/style.css"] {
        assert_eq!(status("OPS_PORT", path).await, 200, "{path}");
        assert_eq!(status("PORT", path).await, 404, "{path}");
        assert_eq!(status("PUBLIC_PORT", path).await, 404, "{path}");
    }
}

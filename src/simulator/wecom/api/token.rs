//! `gettoken`, and the check of the token in every other call.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Api, Call, HOUR};
use crate::simulator::wecom::errcode::{self, Refusal};
use crate::simulator::wecom::world::{Issued, World, age, later};
use crate::simulator::wecom::{RepeatedToken, WecomOptions};

/// Document 91039: a token belongs to corp and secret, that is to an app.
pub(super) fn get(world: &mut World, options: &WecomOptions, call: &Call) -> Result<Value, Refusal> {
    let corp_id = call.query("corpid").ok_or_else(|| Refusal::new(errcode::NO_CORP_ID, "no corpid in the query"))?;
    let secret =
        call.query("corpsecret").ok_or_else(|| Refusal::new(errcode::NO_SECRET, "no corpsecret in the query"))?;
    let failures = world.wrong_secrets.entry(call.caller).or_default();
    // "secret 错误多次，会导致同一个 IP 被禁用一小时" (document 90313, 45009): for every corp of the address.
    if failures.count(call.now, HOUR) >= options.limits.wrong_secrets_per_hour {
        return Err(Refusal::new(errcode::TOO_OFTEN, "the address is banned for wrong secrets"));
    }
    let Some(corp) = world.corps.get_mut(corp_id) else {
        failures.add(call.now);
        return Err(Refusal::new(errcode::BAD_CORP_ID, format!("no corp {corp_id}")));
    };
    let Some(app) = corp.apps.get(secret) else {
        failures.add(call.now);
        return Err(Refusal::new(errcode::BAD_SECRET, format!("no app of {corp_id} has this secret")));
    };
    let current = app.current.clone();
    let (corp_id, secret) = (corp_id.to_owned(), secret.to_owned());
    if options.repeated_token != RepeatedToken::New
        && let Some(token) = current
        && let Some(left) = world.tokens.get(&token).and_then(|issued| remaining(issued, call))
    {
        let full = options.repeated_token == RepeatedToken::SameFull;
        return Ok(granted(&token, if full { options.token_lifetime } else { left }));
    }
    let token = world.identifier(64);
    let expires_at = later(call.now, options.token_lifetime);
    let issued = Issued { corp: corp_id.clone(), secret: secret.clone(), expires_at, revoked: false };
    world.tokens.insert(token.clone(), issued);
    if let Some(app) = world.corps.get_mut(&corp_id).and_then(|corp| corp.apps.get_mut(&secret)) {
        app.current = Some(token.clone());
    }
    Ok(granted(&token, options.token_lifetime))
}

fn granted(token: &str, left: Duration) -> Value {
    json!({ "access_token": token, "expires_in": left.as_secs() })
}

/// The life that is left, a second at least; nothing of a dead token.
fn remaining(issued: &Issued, call: &Call) -> Option<Duration> {
    let left = age(call.now, issued.expires_at);
    (!issued.revoked && left >= Duration::from_secs(1)).then_some(left)
}

/// Which corp the call is for: the token in the query (never in the body: 41001), the app's grant
/// (48002) and its trusted addresses (60020, checked on business APIs, not by `gettoken`).
pub(super) fn authorise(world: &World, options: &WecomOptions, call: &Call) -> Result<String, Refusal> {
    let token =
        call.query("access_token").ok_or_else(|| Refusal::new(errcode::NO_TOKEN, "no access_token in the query"))?;
    let Some(issued) = world.tokens.get(token) else {
        return Err(Refusal::new(errcode::BAD_TOKEN, "this token was never issued"));
    };
    if issued.revoked {
        return Err(Refusal::new(errcode::BAD_TOKEN, "this token was revoked ahead of its time"));
    }
    if issued.expires_at <= call.now {
        return Err(Refusal::new(options.expired_errcode, "this token has expired"));
    }
    let app = world.corps.get(&issued.corp).and_then(|corp| corp.apps.get(&issued.secret));
    let app = app.ok_or_else(|| Refusal::new(errcode::BAD_TOKEN, "the token's app is gone"))?;
    if !app.trusted.is_empty() && !app.trusted.contains(&call.caller) {
        return Err(Refusal::new(errcode::ADDRESS_NOT_TRUSTED, format!("{} is no trusted address", call.caller)));
    }
    if call.api.is_kf() && !app.kf_granted {
        return Err(Refusal::new(errcode::KF_NOT_GRANTED, "the app was not granted customer service"));
    }
    Ok(issued.corp.clone())
}

/// Counts the call for its app, whatever comes of it. WeCom shows nothing of the sort; tests ask.
pub(super) fn count(world: &mut World, call: &Call) {
    if call.api != Api::GetToken {
        return;
    }
    let (Some(corp), Some(secret)) = (call.query("corpid"), call.query("corpsecret")) else { return };
    if let Some(app) = world.corps.get_mut(corp).and_then(|corp| corp.apps.get_mut(secret)) {
        app.calls += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::wecom::testkit::wecom;
    use crate::simulator::wecom::{Api, Fault, Limits};

    const GET: &str = "gettoken?corpid=ww1&corpsecret=s1";

    #[tokio::test]
    async fn returns_the_same_token_until_it_expires() {
        let wecom = wecom(WecomOptions::default()).await;
        let first = wecom.get(GET).await;
        assert_eq!((first["errcode"].as_i64(), first["expires_in"].as_u64()), (Some(0), Some(7200)));
        wecom.clock().advance(Duration::from_secs(3600));
        let again = wecom.get(GET).await;
        assert_eq!(again["access_token"], first["access_token"]);
        assert!((3590..=3600).contains(&again["expires_in"].as_u64().unwrap()));
        wecom.clock().advance(Duration::from_secs(3601));
        let later = wecom.get(GET).await;
        assert_ne!(later["access_token"], first["access_token"]);
        let old = format!("getcallbackip?access_token={}", first["access_token"].as_str().unwrap());
        assert_eq!(wecom.get(&old).await["errcode"], 42001);
        assert_eq!(wecom.gettoken_calls("ww1", "s1"), 3);
    }

    #[tokio::test]
    async fn may_return_a_new_token_each_time() {
        let options = WecomOptions { repeated_token: RepeatedToken::New, ..WecomOptions::default() };
        let wecom = wecom(options).await;
        let (first, second) = (wecom.access_token().await, wecom.access_token().await);
        assert_ne!(first, second);
        for token in [first, second] {
            assert_eq!(wecom.get(&format!("getcallbackip?access_token={token}")).await["errcode"], 0);
        }
    }

    #[tokio::test]
    async fn refuses_by_code_with_status_200() {
        let wecom = wecom(WecomOptions::default()).await;
        for (path, code) in [
            ("gettoken", 41002),
            ("gettoken?corpid=ww1", 41004),
            ("gettoken?corpid=ww2&corpsecret=s1", 40013),
            ("gettoken?corpid=ww1&corpsecret=wrong", 40001),
            ("kf/account/list", 41001),
            ("kf/account/list?access_token=invented", 40014),
        ] {
            assert_eq!(wecom.get(path).await["errcode"], code, "{path}");
        }
    }

    #[tokio::test]
    async fn revokes_ahead_of_time() {
        let wecom = wecom(WecomOptions::default()).await;
        let token = wecom.access_token().await;
        wecom.revoke_tokens("ww1");
        assert_eq!(wecom.get(&format!("kf/account/list?access_token={token}")).await["errcode"], 40014);
        assert_ne!(wecom.access_token().await, token);
    }

    #[tokio::test]
    async fn bans_an_address_for_wrong_secrets() {
        let limits = Limits { wrong_secrets_per_hour: 2, ..Limits::default() };
        let wecom = wecom(WecomOptions { limits, ..WecomOptions::default() }).await;
        for code in [40001, 40001, 45009] {
            assert_eq!(wecom.get("gettoken?corpid=ww1&corpsecret=wrong").await["errcode"], code);
        }
        assert_eq!(wecom.get(GET).await["errcode"], 45009);
        wecom.clock().advance(HOUR);
        assert_eq!(wecom.get(GET).await["errcode"], 0);
    }

    #[tokio::test]
    async fn checks_the_address_on_business_calls_only() {
        let wecom = wecom(WecomOptions::default()).await;
        wecom.corp("ww1").trusted("s1", &["10.9.8.7".parse().unwrap()]);
        assert_eq!(wecom.post("kf/account/list", json!({})).await["errcode"], 60020);
        wecom.corp("ww1").trusted("s1", &["127.0.0.1".parse().unwrap()]);
        assert_eq!(wecom.post("kf/account/list", json!({})).await["errcode"], 0);
        wecom.corp("ww1").without_kf("s1");
        assert_eq!(wecom.post("kf/account/list", json!({})).await["errcode"], 48002);
    }

    #[tokio::test]
    async fn limits_calls_a_minute_and_an_hour() {
        let limits = Limits { calls_per_minute: 2, ..Limits::default() };
        let wecom = wecom(WecomOptions { limits, ..WecomOptions::default() }).await;
        for code in [0, 0, 45009] {
            assert_eq!(wecom.get(GET).await["errcode"], code);
        }
        // 30 an hour: two at once, then two a minute for fourteen minutes.
        for _ in 0..14 {
            wecom.clock().advance(Duration::from_secs(60));
            for code in [0, 0, 45009] {
                assert_eq!(wecom.get(GET).await["errcode"], code);
            }
        }
        wecom.clock().advance(Duration::from_secs(60));
        assert_eq!(wecom.get(GET).await["errcode"], 45009, "the hour's calls are used up");
        wecom.clock().advance(Duration::from_secs(3600));
        assert_eq!(wecom.get(GET).await["errcode"], 0);
    }

    #[tokio::test]
    async fn fails_on_request_only() {
        let wecom = wecom(WecomOptions::default()).await;
        wecom.fail_next(Api::GetToken, Fault::Errcode(-1), 2);
        for code in [-1, -1, 0] {
            assert_eq!(wecom.get(GET).await["errcode"], code);
        }
        wecom.fail_next(Api::GetToken, Fault::Drop, 1);
        let url = format!("{}/cgi-bin/{GET}", wecom.base_url());
        let http = crate::simulator::wecom::testkit::http();
        assert!(http.get(&url).send().await.is_err());
        wecom.fail_next(Api::GetToken, Fault::Status(500), 1);
        assert_eq!(http.get(&url).send().await.unwrap().status(), 500);
        wecom.fail_next(Api::GetToken, Fault::hang(Duration::from_millis(100)), 1);
        let began = std::time::Instant::now();
        assert_eq!(wecom.get(GET).await["errcode"], 0);
        assert!(began.elapsed() >= Duration::from_millis(100));
        assert_eq!(wecom.gettoken_calls("ww1", "s1"), 6);
    }

    #[tokio::test]
    async fn a_reset_secret_takes_its_tokens_along() {
        let wecom = wecom(WecomOptions::default()).await;
        let token = wecom.access_token().await;
        wecom.reset_secret("ww1", "s1", "s2");
        assert_eq!(wecom.get(GET).await["errcode"], 40001);
        assert_eq!(wecom.get(&format!("getcallbackip?access_token={token}")).await["errcode"], 40014);
        assert_eq!(wecom.get("gettoken?corpid=ww1&corpsecret=s2").await["errcode"], 0);
    }

    #[tokio::test]
    async fn remembers_over_an_outage() {
        let wecom = wecom(WecomOptions::default()).await;
        let token = wecom.access_token().await;
        wecom.go_away().await;
        let http = crate::simulator::wecom::testkit::http();
        assert!(http.get(wecom.base_url()).send().await.is_err());
        wecom.go_on().await.unwrap();
        assert_eq!(wecom.access_token().await, token);
    }
}

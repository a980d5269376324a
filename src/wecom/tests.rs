use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::fake::{FakeWecom, Reply, app, client, grant, refusal};
use super::*;
use crate::domain::OpenKfId;
use crate::egress;

const SECRET: &str = "s3cr+t/&=值";

fn corp() -> CorpId {
    CorpId::parse("ww1").unwrap()
}

#[tokio::test]
async fn a_secret_arrives_as_it_is_written() {
    let wecom = FakeWecom::start(|_| Reply::Json(grant("T1", 7200))).await;
    let granted = wecom.client().gettoken(&app("ww1", SECRET), Some(&Secret::new("old"))).await.unwrap();
    assert_eq!(granted, Granted { access_token: Secret::new("T1"), expires_in: Duration::from_secs(7200) });
    let asked = wecom.last();
    assert_eq!(asked.path, "/cgi-bin/gettoken");
    assert_eq!(asked.query["corpsecret"], SECRET);
    assert!(!asked.query.contains_key("invalid_token"), "WeCom has no such parameter");
}

#[tokio::test]
async fn a_token_service_keeps_its_query_and_is_told_the_failed_token() {
    let wecom = FakeWecom::start(|_| Reply::Json(json!({ "access_token": "T1", "expires_in": "60" }))).await;
    let token_url = wecom.base.join("/tokens?key=1").unwrap();
    let client = client(WecomSettings::new(wecom.base.clone(), Some(token_url)));
    let granted = client.gettoken(&app("ww1", SECRET), Some(&Secret::new("old"))).await.unwrap();
    assert_eq!(granted.expires_in, Duration::from_secs(60));
    let asked = wecom.last();
    assert_eq!((asked.path.as_str(), asked.query["key"].as_str()), ("/tokens", "1"));
    assert_eq!(asked.query["invalid_token"], "old");
}

#[tokio::test]
async fn an_absent_errcode_is_success_and_any_other_a_refusal() {
    let wecom = FakeWecom::start(|_| Reply::Json(json!({ "access_token": "T", "expires_in": 1 }))).await;
    assert!(wecom.client().gettoken(&app("ww1", SECRET), None).await.is_ok());
    wecom.script(|_| Reply::Json(refusal(40001)));
    let error = wecom.client().gettoken(&app("ww1", SECRET), None).await.unwrap_err();
    assert!(matches!(error, WecomError::Refused(refusal) if refusal.class() == Class::BadCredentials));
}

#[tokio::test]
async fn what_is_no_answer_of_wecom_is_told_without_the_secret() {
    let echo = |asked: &fake::Asked| Reply::Json(json!({ "errcode": 1, "errmsg": asked.query["corpsecret"] }));
    let wecom = FakeWecom::start(echo).await;
    let mut settings = WecomSettings::new(wecom.base.clone(), None);
    settings.limit = Duration::from_millis(100);
    let client = client(settings.clone());
    let app = app("ww1", SECRET);
    let mut texts = vec![client.gettoken(&app, None).await.unwrap_err()];
    let replies = [
        (Reply::Status(StatusCode::BAD_GATEWAY), "status 502"),
        (Reply::Status(StatusCode::FOUND), "status 302"),
        (Reply::Text("<html>login</html>"), "JSON"),
        (Reply::Text("[]"), "JSON"),
        (Reply::Json(json!({ "errcode": 0 })), "without access_token"),
        (Reply::Json(grant("T", 0)), "without access_token or expires_in"),
        (Reply::Json(json!({ "access_token": "x".repeat(70_000), "expires_in": 1 })), "more than"),
        (Reply::Hang, "timed out"),
    ];
    for (reply, words) in replies {
        wecom.script(move |_| reply.clone());
        let error = client.gettoken(&app, None).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        texts.push(error);
    }
    settings.api_base = FakeWecom::nobody().await;
    let error = fake::client(settings).gettoken(&app, None).await.unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
    texts.push(error);
    for error in texts {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(SECRET) && !shown.contains("s3cr"), "{shown}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_from_a_wecom_that_does() {
    for (status, words) in
        [("407 Proxy Authentication Required", "another user or password"), ("403 No", "does not lead there")]
    {
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://user:s3cr-password@{}", proxy.local_addr().unwrap())).unwrap();
        let http = egress::wecom_client(Some(&url), None).unwrap();
        let client = WecomClient::new(WecomSettings::new(Url::parse("https://wecom.invalid").unwrap(), None), http);
        let refusing = async {
            let (mut stream, _) = proxy.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
            stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.unwrap();
        };
        let app = app("ww1", SECRET);
        let (error, ()) = tokio::join!(client.gettoken(&app, None), refusing);
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("wecom.invalid cannot be reached: the outbound proxy") && error.contains(words),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_account_is_looked_for_on_all_pages() {
    let wecom = FakeWecom::start(|asked| {
        let offset = asked.body["offset"].as_u64().unwrap();
        let accounts: Vec<_> = (offset..(offset + 100).min(250))
            .map(|n| json!({ "open_kfid": format!("wk{n}"), "manage_privilege": n % 2 == 0 }))
            .collect();
        Reply::Json(json!({ "errcode": 0, "account_list": accounts }))
    })
    .await;
    let (client, token) = (wecom.client(), Secret::new("T"));
    for (kf, access) in
        [("wk0", AccountAccess::Managed), ("wk249", AccountAccess::Listed), ("wk250", AccountAccess::NotListed)]
    {
        assert_eq!(
            client.account_access(&corp(), &token, &OpenKfId::parse(kf).unwrap()).await.unwrap(),
            access,
            "{kf}"
        );
    }
    assert_eq!(wecom.calls(), 1 + 3 + 3);
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let page: Vec<_> = (0..100).map(|n| json!({ "open_kfid": format!("wk{n}") })).collect();
    let wecom = FakeWecom::start(move |_| Reply::Json(json!({ "account_list": page }))).await;
    let error = wecom.client().account_access(&corp(), &Secret::new("T"), &OpenKfId::parse("other").unwrap()).await;
    assert!(matches!(error, Err(WecomError::BadAnswer { .. })));
    assert_eq!(wecom.calls(), 100);
}

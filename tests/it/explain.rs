//! Why callbacks fail, as administrators are told: by the command, in the log, in the admin API.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};
use wxkf_gateway::simulator::wecom::{Credential, SignedCallback, Stamp, signed_callback, verification_query};

use crate::admin::{declare, until};
use crate::harness::{AES_KEY, CORP, Gateway, TOKEN, credential, gateway_and_wecom};

const OTHER_CORP: &str = "ww-another";
const OTHER_TOKEN: &str = "tokenOfAnotherApp";
const OTHER_KEY: &str = "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt";

/// Runs `explain` where no terminal is; returns its exit code and what it printed.
fn explain(environment: &[(&str, &str)], arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxkf-gateway"));
    command.env_clear().envs(environment.iter().copied()).arg("explain").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who needs no body may have ended before it is written.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Checks a callback with these secrets; returns the exit code and the last line.
fn last_line(token: &str, key: &str, arguments: &[&str], stdin: &str) -> (i32, String) {
    let (code, stdout, stderr) = explain(&[("CALLBACK_TOKEN", token), ("CALLBACK_AES_KEY", key)], arguments, stdin);
    assert_eq!(stderr, "", "{arguments:?}");
    for secret in [token.trim(), key] {
        assert!(secret.is_empty() || !stdout.contains(secret), "{stdout}");
    }
    let last = stdout.lines().last().unwrap_or_default().to_owned();
    let expected = if last == "ok" { &["fine  ", "ok"][..] } else { &["what  ", "do    ", "wrong: "] };
    let lines: Vec<&str> = stdout.lines().filter(|line| !line.starts_with(' ')).collect();
    assert!(lines.len() == expected.len() && lines.iter().zip(expected).all(|(line, start)| line.starts_with(start)));
    assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
    (code, last)
}

fn verification_url() -> String {
    let query = verification_query(&credential(), "1616140317555161061", &Stamp::now());
    format!("https://wecom.example.com/callback/{CORP}?{query}")
}

#[test]
fn the_command_names_the_one_input_that_is_wrong() {
    let url = verification_url();
    let message = signed_callback(&credential(), "<xml><MsgType>event</MsgType></xml>");
    let posted = format!("/callback/{CORP}?{}", message.query);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("body.xml");
    std::fs::write(&file, &message.body).unwrap();
    let file = file.to_str().unwrap();
    let get = |url: &str| ["--corp-id", CORP, "--url", url].map(str::to_owned);
    let post = |body: &str| ["--corp-id", CORP, "--url", &posted, "--body", body].map(str::to_owned);

    let cut = message.body[..120].to_owned();
    let cases: [(&str, &str, Vec<String>, &str, &str); 10] = [
        (TOKEN, AES_KEY, get(&url).into(), "", "ok"),
        (TOKEN, AES_KEY, post(file).into(), "", "ok"),
        (TOKEN, AES_KEY, post("-").into(), &message.body, "ok"),
        (OTHER_TOKEN, AES_KEY, get(&url).into(), "", "wrong: token"),
        ("QDG6eK\n", AES_KEY, post(file).into(), "", "wrong: token"),
        (TOKEN, OTHER_KEY, get(&url).into(), "", "wrong: aes-key"),
        (TOKEN, &AES_KEY[..40], post(file).into(), "", "wrong: aes-key"),
        (TOKEN, AES_KEY, get(url.split("&nonce").next().unwrap()).into(), "", "wrong: url"),
        (TOKEN, AES_KEY, post("-").into(), &cut, "wrong: body"),
        (TOKEN, AES_KEY, ["--corp-id", OTHER_CORP, "--url", &url].map(str::to_owned).into(), "", "wrong: corp-id"),
    ];
    for (token, key, arguments, stdin, expected) in cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let code = i32::from(expected != "ok");
        assert_eq!(last_line(token, key, &arguments, stdin), (code, expected.to_owned()), "{arguments:?}");
    }
}

#[test]
fn mistakes_on_its_command_line_end_with_2() {
    let url = verification_url();
    let (code, stdout, stderr) = explain(&[("CALLBACK_TOKEN", TOKEN)], &["--corp-id", CORP, "--url", &url], "");
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(
        stderr.contains("CALLBACK_AES_KEY is not set") && stderr.contains("hint: set CALLBACK_AES_KEY"),
        "{stderr}"
    );
    let both = [("CALLBACK_TOKEN", TOKEN), ("CALLBACK_AES_KEY", AES_KEY)];
    for arguments in [
        &["--corp-id", CORP][..],
        &["--url", &url],
        &["--corp-id", "not a corp id", "--url", &url],
        &["--corp-id", CORP, "--url", &url, "--body", "/no/such/file"],
    ] {
        let (code, stdout, stderr) = explain(&both, arguments, "");
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
}

/// A gateway that knows two corps.
async fn gateway() -> Gateway {
    let gateway = Gateway::start(&[("WECOM_API_BASE_URL", "http://127.0.0.1:9")]).await;
    declare(&gateway, CORP, json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    declare(&gateway, OTHER_CORP, json!([{ "token": OTHER_TOKEN, "encodingAESKey": OTHER_KEY }])).await;
    gateway
}

async fn refused(gateway: &Gateway, corp: &str, query: &str, body: Option<&str>) -> (u16, String) {
    let path = format!("/callback/{corp}?{query}");
    let request = body.map_or_else(|| gateway.get(&path), |body| gateway.post(&path).body(body.to_owned()));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn last_failure(gateway: &Gateway, corp: &str) -> Value {
    let answer = gateway.admin(Method::GET, &format!("/corps/{corp}")).send().await.unwrap();
    answer.json::<Value>().await.unwrap()["lastFailure"].clone()
}

/// The lines of refused callbacks that were logged, those with this input at fault.
fn logged(gateway: &Gateway, wrong: &str) -> Vec<Value> {
    let lines = gateway.log().lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect::<Vec<_>>();
    lines.into_iter().filter(|line| line["message"] == "refused a callback" && line["wrong"] == wrong).collect()
}

#[tokio::test]
async fn the_last_failure_is_shown_to_operators_and_logged_in_the_same_words() {
    let gateway = gateway().await;
    assert_eq!(last_failure(&gateway, CORP).await, Value::Null);
    let stranger = Credential::new(CORP, "forged", AES_KEY).unwrap();
    let sealed = Credential::new(CORP, TOKEN, OTHER_KEY).unwrap();
    let another = Credential::new(OTHER_CORP, OTHER_TOKEN, OTHER_KEY).unwrap();
    let query = |credential: &Credential| verification_query(credential, "12345", &Stamp::now());
    let SignedCallback { query: post, body } = signed_callback(&credential(), "<xml/>");
    let cut = &body[..body.len() - 9];
    let cases = [
        (query(&stranger), None, (403, "wrong signature"), "token"),
        (query(&sealed), None, (400, "not base64 or not decryptable"), "aes-key"),
        (query(&another), None, (403, "wrong signature"), "corp-id"),
        (post, Some(cut), (400, "body is not WeCom's XML with an Encrypt element"), "body"),
        ("a=b".to_owned(), None, (400, "query incomplete or repeated: forward WeCom's query string"), "url"),
    ];
    for (query, body, answer, wrong) in cases {
        // Again, because only a few a second are explained.
        until(async || {
            assert_eq!(refused(&gateway, CORP, &query, body).await, (answer.0, answer.1.to_owned()));
            last_failure(&gateway, CORP).await["wrong"] == wrong
        })
        .await;
        let shown = last_failure(&gateway, CORP).await;
        let line = logged(&gateway, wrong).pop().unwrap();
        for words in ["what", "do", "from"] {
            assert!(shown[words].is_string() && shown[words] == line[words], "{words}: {shown} {line}");
        }
        assert_eq!(shown["from"], "127.0.0.1");
    }
    assert_eq!(last_failure(&gateway, OTHER_CORP).await, Value::Null);
    let listed = gateway.get(&format!("/api/admin/corps/{CORP}")).send().await.unwrap();
    assert_eq!(listed.status(), 401, "operators alone see it");
}

#[tokio::test]
async fn a_mistyped_corp_id_in_the_url_is_told_by_whose_token_signed() {
    let gateway = gateway().await;
    let query = verification_query(&credential(), "12345", &Stamp::now());
    assert_eq!(refused(&gateway, "ww123456789", &query, None).await, (404, "unknown corp".to_owned()));
    until(async || !logged(&gateway, "corp-id").is_empty()).await;
    let line = logged(&gateway, "corp-id").pop().unwrap();
    assert!(line["what"].as_str().unwrap().contains(CORP), "{line}");
    assert!(line["do"].as_str().unwrap().contains(&format!("/callback/{CORP}")), "{line}");
}

#[tokio::test]
async fn a_flood_of_bad_signatures_is_explained_a_few_times_a_second() {
    const FLOOD: usize = 300;
    let gateway = gateway().await;
    let stranger = Credential::new(CORP, "forged", AES_KEY).unwrap();
    let began = Instant::now();
    for _ in 0..FLOOD {
        let SignedCallback { query, body } = signed_callback(&stranger, "<xml/>");
        assert_eq!(refused(&gateway, CORP, &query, Some(&body)).await.0, 403);
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    until(async || gateway.log().matches("refused a callback").count() >= FLOOD).await;
    let explained = logged(&gateway, "token").len();
    assert!((1..=2 * seconds).contains(&explained), "{explained} within {seconds} s");
}

#[tokio::test]
async fn errcodes_are_explained_where_operators_meet_them() {
    let (gateway, _wecom) = gateway_and_wecom().await;
    let path = format!("/api/corp/accessToken?corpid={CORP}&corpsecret=wrong-secret-of-the-test");
    let answer: Value = gateway.get(&path).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer, json!({ "errcode": 40001, "errmsg": "invalid credential" }), "callers get WeCom's own words");
    let listed: Value = gateway.admin(Method::GET, "/tokens").send().await.unwrap().json().await.unwrap();
    let told = listed["items"][0]["lastError"].as_str().unwrap().to_owned();
    assert!(told.contains("errcode 40001") && told.contains("copy corp id and secret"), "{told}");
    assert!(gateway.log().contains("copy corp id and secret"));
}

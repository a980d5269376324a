//! No secret leaves: every route and many faults at `RUST_LOG=trace`, then a search through all that
//! the gateway said and kept.

mod document;

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::RawQuery;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use wxkf_gateway::simulator::bot::{Behaviour, Bot};
use wxkf_gateway::simulator::wecom::{Api, Credential, Fault, Stamp, Wecom, signed_callback, verification_query};

use crate::harness::tls::client_through;
use crate::harness::{ACCOUNT, CORP, Gateway, SOON, bot_options};
use crate::registry::fields;
use crate::tokens::serve;

/// As hard to spell as can be, so that every encoding of it differs.
const SECRET: &str = r#"s3cr3t+of/the=app&"quoted"\and%20more"#;
const TOKEN: &str = "seeded+callback/token=<&>";
const AES_KEY: &str = "seededAesKeyOfTheSecretsTestABCDEFGHIJKLMNO";
const PASSWORD: &str = "seeded.puppet~password";
const ADMIN: &str = "seeded+admin/token=of-the-secrets-test";
const PROXY_PASSWORD: &str = "seededProxyPassword";
/// As services' secrets are, and what must not slip out of it.
const SERVICE_SECRET: &str = "whsec_c2VlZGVkLXNlY3JldC1vZi1hLXNlcnZpY2UtMDAwMQ==";
const BEHIND_A_PROXY: &str = "ww-behind-a-proxy";
const MASTER_KEY: &str = "c2VlZGVkLW1hc3Rlci1rZXktb2YtMzItYnl0ZXMtLi4=";

/// A secret in the spellings in which it could slip out.
struct Needle {
    name: &'static str,
    spellings: Vec<String>,
}

impl Needle {
    fn new(name: &'static str, secret: &str) -> Self {
        let upper = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
        let json = json!(secret).to_string();
        let mut spellings = vec![
            secret.to_owned(),
            form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            upper.to_ascii_lowercase(),
            upper,
            json[1..json.len() - 1].to_owned(),
            json!(json).to_string()[3..].trim_end_matches(['"', '\\']).to_owned(),
            secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ];
        // Wherever in a longer text it stands, `user:password` for one.
        for before in 0..3 {
            let text = [&[0; 3][..before], secret.as_bytes()].concat();
            let (first, last) = ([0, 2, 3][before], usize::from(text.len() % 3 != 0));
            for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                spellings.push(encoded[first..encoded.len() - last].to_owned());
            }
        }
        Self { name, spellings }
    }

    fn is_in(&self, text: &str) -> Option<&str> {
        self.spellings.iter().find(|spelling| text.contains(spelling.as_str())).map(String::as_str)
    }
}

fn needles() -> Vec<Needle> {
    let seeded = [
        ("corpSecret", SECRET),
        ("callback token", TOKEN),
        ("AES key", AES_KEY),
        ("PUPPET_PASSWORD", PASSWORD),
        ("ADMIN_TOKEN", ADMIN),
        ("proxy password", PROXY_PASSWORD),
        ("service secret", &SERVICE_SECRET["whsec_".len()..]),
        ("MASTER_KEY", MASTER_KEY),
    ];
    seeded.map(|(name, secret)| Needle::new(name, secret)).into()
}

/// Every answer, with what was asked.
#[derive(Default)]
struct Answers(Mutex<Vec<(String, String)>>);

impl Answers {
    /// Sends, keeps the answer and returns its body.
    async fn to(&self, request: RequestBuilder) -> Value {
        let answer = request.send().await.unwrap();
        let asked = format!("{} {}", answer.status(), answer.url().path());
        let headers = format!("{:?}", answer.headers());
        let body = answer.bytes().await.unwrap();
        self.0.lock().push((asked, headers + &String::from_utf8_lossy(&body)));
        serde_json::from_slice(&body).unwrap_or_default()
    }
}

fn admin(gateway: &Gateway, method: Method, path: &str) -> RequestBuilder {
    gateway.request(method, &format!("/api/admin{path}")).bearer_auth(ADMIN)
}

fn registration(changed: &[(&str, &str)]) -> Value {
    let own = [("corpSecret", SECRET), ("token", TOKEN), ("encodingAESKey", AES_KEY)];
    fields(ACCOUNT, CORP, &[&own, changed].concat())
}

fn credential() -> Credential {
    Credential::new(CORP, TOKEN, AES_KEY).unwrap()
}

async fn operators_call(gateway: &Gateway, answers: &Answers) {
    let corp = format!("/corps/{CORP}");
    let put = |body: Value| admin(gateway, Method::PUT, &corp).json(&body);
    let pair = json!({ "token": TOKEN, "encodingAESKey": AES_KEY });
    let proxy = format!("http://user:{PROXY_PASSWORD}@127.0.0.1:9");
    let declared = answers.to(put(json!({ "credentials": [pair] }))).await;
    let behind_a_proxy = admin(gateway, Method::PUT, &format!("/corps/{BEHIND_A_PROXY}"));
    answers.to(behind_a_proxy.json(&json!({ "credentials": [], "wecomProxy": proxy }))).await;
    let kept = json!({ "id": declared["credentials"][0]["id"], "token": TOKEN });
    for wrong in [
        json!({ "credentials": [kept, { "token": AES_KEY, "encodingAESKey": TOKEN }, SECRET] }),
        json!({ "credentials": [{ TOKEN: AES_KEY, SECRET: 1, "token": [TOKEN] }], "wecomProxy": SECRET }),
        json!([SECRET, TOKEN]),
    ] {
        answers.to(put(wrong)).await;
    }
    answers.to(admin(gateway, Method::PUT, &corp).body(format!("{{\"token\": {SECRET}"))).await;
    let crm = format!("{corp}/services/crm");
    let declare = |body: Value| admin(gateway, Method::PUT, &crm).json(&body);
    let service =
        json!({ "url": "http://127.0.0.1:9/hook", "events": ["*"], "format": "json", "secret": SERVICE_SECRET });
    answers.to(declare(service.clone())).await;
    for (field, wrong) in [
        ("url", json!(format!("http://user:{SECRET}@h/"))),
        ("events", json!([SECRET, SERVICE_SECRET, "click"])),
        ("format", json!(SECRET)),
        ("secret", json!(SECRET)),
        ("ttl", json!(SECRET)),
        (SECRET, json!(SERVICE_SECRET)),
    ] {
        let mut body = service.clone();
        body[field] = wrong;
        answers.to(declare(body)).await;
    }
    for (method, path) in [
        (Method::GET, format!("{corp}/services")),
        (Method::GET, crm.clone()),
        (Method::POST, format!("{crm}/test")),
        (Method::GET, "/deliveries?service=crm".to_owned()),
    ] {
        answers.to(admin(gateway, method, &path)).await;
    }
    for (method, path) in [
        (Method::GET, "/corps"),
        (Method::GET, &corp),
        (Method::GET, "/puppets"),
        (Method::GET, "/deliveries"),
        (Method::GET, "/deliveries?state=s3cr3t"),
        (Method::POST, "/deliveries/none/redeliver"),
        (Method::DELETE, "/deliveries/none"),
        (Method::GET, "/tokens"),
        (Method::POST, "/tokens/none/renew"),
        (Method::DELETE, "/puppets/none"),
        (Method::DELETE, "/corps/none"),
    ] {
        answers.to(admin(gateway, method, path)).await;
    }
    let tokens = answers.to(admin(gateway, Method::GET, "/tokens")).await;
    for token in tokens["items"].as_array().unwrap() {
        answers.to(admin(gateway, Method::POST, &format!("/tokens/{}/renew", token["id"].as_str().unwrap()))).await;
    }
    // Secrets at the wrong door, and almost right ones.
    let almost = format!("{ADMIN}x");
    let wrong = [PASSWORD, SECRET, &ADMIN[1..], &almost].into_iter().flat_map(|offered| {
        [
            gateway.get("/api/admin/corps").bearer_auth(offered),
            gateway.get("/api/admin/corps").basic_auth("admin", Some(offered)),
            gateway.get("/api/corp/accessToken").basic_auth(offered, Some(ADMIN)),
        ]
    });
    // At once, because wrong ones are slowed.
    futures::future::join_all(wrong.map(|request| answers.to(request))).await;
}

async fn bots_call(gateway: &Gateway, answers: &Answers) {
    let post = |route: &str| gateway.post(&format!("/puppetWxkfManager/{route}")).basic_auth("bot", Some(PASSWORD));
    answers.to(post("register").json(&registration(&[]))).await;
    answers.to(post("register").form(&registration(&[]))).await;
    for changed in [
        ("corpSecret", "wrong+secret/of=the-app"),
        ("encodingAESKey", SECRET),
        ("endpoint", &*format!("http://user:{PASSWORD}@127.0.0.1")),
        ("endpoint", &format!("http://127.0.0.1/?secret={SECRET}")),
        ("corpId", SECRET),
        ("kfId", &format!(" {SECRET}")),
    ] {
        answers.to(post("register").json(&registration(&[changed]))).await;
    }
    for body in [format!("{{\"corpSecret\": {}", json!(SECRET)), json!([SECRET]).to_string(), SECRET.to_owned()] {
        answers.to(post("register").body(body.clone())).await;
        answers.to(post("deregister").body(body)).await;
    }
    answers.to(post("deregister").json(&json!({ "kfId": ACCOUNT, "corpId": SECRET }))).await;
    answers.to(gateway.get(&format!("/puppetWxkfManager/puppetWxkfInfo/{ACCOUNT}")).bearer_auth(PASSWORD)).await;
    answers.to(post("register")).await;
}

async fn token_of(gateway: &Gateway, corp: &str, secret: &str, invalid: Option<&str>) -> Value {
    let query = [("corpid", Some(corp)), ("corpsecret", Some(secret)), ("invalid_token", invalid)];
    let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let answer = gateway.get("/api/corp/accessToken").bearer_auth(PASSWORD).query(&query).send().await.unwrap();
    answer.json().await.unwrap()
}

/// The faults of token requests; what is granted goes to the caller who asked, and is returned.
async fn programs_call(gateway: &Gateway, wecom: &Wecom, answers: &Answers) -> String {
    let granted = token_of(gateway, CORP, SECRET, None).await["access_token"].as_str().unwrap().to_owned();
    let get = |query: &str| gateway.get(&format!("/puppetWxkfManager/getToken?{query}")).bearer_auth(PASSWORD);
    let encoded: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    for query in [
        format!("corpsecret={encoded}"),
        format!("corpid={encoded}&corpsecret={encoded}"),
        format!("corpid={CORP}&corpsecret={encoded}&corpsecret={encoded}"),
        format!("corpid={CORP}&corpsecret={encoded}%"),
        format!("corpid=ww-unknown&corpsecret={encoded}"),
        format!("corpid={CORP}&corpsecret={encoded}x"),
    ] {
        answers.to(get(&query)).await;
    }
    for fault in [Fault::Errcode(40001), Fault::Status(500), Fault::NotJson, Fault::Drop, Fault::Errcode(-1)] {
        wecom.fail_next(Api::GetToken, fault, 1);
        answers.to(get(&format!("corpid={CORP}&corpsecret=another{encoded}"))).await;
        token_of(gateway, CORP, SECRET, Some(&granted)).await;
    }
    wecom.heal();
    let nobody = token_of(gateway, BEHIND_A_PROXY, SECRET, None).await;
    assert_eq!(nobody["errcode"], 504, "its proxy is none: {nobody}");
    granted
}

async fn travellers_call(gateway: &Gateway, wecom: &Wecom, answers: &Answers) {
    let egress = gateway.listener("EGRESS_PORT").unwrap();
    for password in [PASSWORD, PROXY_PASSWORD] {
        let client = client_through(&egress.replace("http://", &format!("http://bot:{password}@")));
        for url in [&format!("{}/cgi-bin/kf/account/list", wecom.base_url()), "http://elsewhere.invalid/"] {
            answers.to(client.get(url).query(&[("corpid", CORP), ("corpsecret", SECRET)])).await;
        }
        assert!(client.get("https://elsewhere.invalid/").send().await.is_err());
    }
}

async fn wecom_calls(gateway: &Gateway, wecom: &Wecom, answers: &Answers) {
    let callback = format!("/callback/{CORP}");
    let verification = verification_query(&credential(), "1616140317555161061", &Stamp::now());
    answers.to(gateway.get(&format!("{callback}?{verification}"))).await;
    answers.to(gateway.get(&callback).query(&[("msg_signature", TOKEN), ("nonce", AES_KEY)])).await;
    for inner in ["<xml/>", "no xml", "<xml><Event>kf_msg_or_event</Event></xml>"] {
        let sealed = signed_callback(&credential(), inner);
        answers.to(gateway.post(&format!("{callback}?{}", sealed.query)).body(sealed.body)).await;
        let foreign = signed_callback(&Credential::new("ww-other", TOKEN, AES_KEY).unwrap(), inner);
        answers.to(gateway.post(&format!("{callback}?{}", foreign.query)).body(foreign.body)).await;
        answers.to(gateway.post(&format!("{callback}?{}", foreign.query)).body(TOKEN)).await;
    }
    let decrypted = gateway.post(&format!("/callback/decrypted/{CORP}")).bearer_auth(PASSWORD);
    answers.to(decrypted.json(&json!({ "openKfId": [SECRET], "token": SECRET }))).await;
    for _ in 0..2 {
        wecom.send_event(CORP, "kf_msg_or_event", ACCOUNT, "").await;
    }
}

async fn probes_call(gateway: &Gateway, answers: &Answers) {
    for path in ["/livez", "/readyz", "/metrics", "/openapi.json", "/none", "/puppetWxkfManager/register"] {
        answers.to(gateway.get(path)).await;
    }
}

#[tokio::test]
async fn no_secret_is_logged_answered_measured_or_kept_readable() {
    let wecom = Wecom::start(wxkf_gateway::simulator::wecom::WecomOptions::default()).await.unwrap();
    drop(wecom.corp(CORP).secret(SECRET).sealed_by(credential()).account(ACCOUNT));
    let mut gateway = Gateway::start(&[
        ("RUST_LOG", "trace"),
        ("PUPPET_PASSWORD", PASSWORD),
        ("ADMIN_TOKEN", ADMIN),
        ("MASTER_KEY", MASTER_KEY),
        ("WECOM_API_BASE_URL", &wecom.base_url()),
        ("EGRESS_PORT", "0"),
    ])
    .await;
    wecom.set_callback_url(CORP, &gateway.callback_url(CORP));
    let answers = Answers::default();
    operators_call(&gateway, &answers).await;
    bots_call(&gateway, &answers).await;
    document::every_operation(&gateway, &answers).await;
    let access_token = programs_call(&gateway, &wecom, &answers).await;
    travellers_call(&gateway, &wecom, &answers).await;

    let mut options = bot_options(&gateway, &wecom);
    (options.secret, options.credential) = (SECRET.to_owned(), credential());
    options.manager = gateway.url().replace("http://", &format!("http://bot:{PASSWORD}@"));
    let bot = Bot::start(options).await.unwrap();
    assert!(bot.registered(SOON).await && bot.ready(SOON).await);
    for behaviour in [Behaviour::Normal, Behaviour::Refuse(500), Behaviour::Hang(Duration::from_secs(60))] {
        bot.behave(behaviour).await.unwrap();
        wecom_calls(&gateway, &wecom, &answers).await;
    }
    bot.behave(Behaviour::Closed).await.unwrap();
    wecom.go_away().await;
    operators_call(&gateway, &answers).await;
    bots_call(&gateway, &answers).await;
    document::every_operation(&gateway, &answers).await;
    probes_call(&gateway, &answers).await;
    assert!(gateway.log().contains("\"DEBUG\""), "RUST_LOG counts");

    let mut needles = needles();
    needles.push(Needle::new("access token", &access_token));
    search_all(&gateway, &answers, &needles);
    assert_eq!(gateway.terminate().await, Some(0));
    gateway.start_again().await;
    gateway.kill().await;
    search_all(&gateway, &answers, &needles);
}

/// A token service, or a proxy before it, may echo what it was sent.
#[tokio::test]
async fn what_upstream_echoes_goes_no_further() {
    let echo = get(async |RawQuery(query): RawQuery| {
        let query = query.unwrap_or_default();
        let decoded: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Json(json!({ "errcode": 40001, "errmsg": format!("refused {query}: {decoded:?} {}", decoded[1].1) }))
    });
    let url = format!("{}/tokens", serve(Router::new().route("/tokens", echo)).await);
    let settings = [("ACCESS_TOKEN_URL", &*url), ("RUST_LOG", "trace"), ("ADMIN_TOKEN", ADMIN)];
    let gateway = Gateway::start(&settings).await;
    let answers = Answers::default();
    let refused = answers.to(gateway.get("/api/corp/accessToken").query(&[("corpid", CORP), ("corpsecret", SECRET)]));
    assert_eq!(refused.await["errcode"], 40001);
    answers.to(gateway.post("/puppetWxkfManager/register").json(&registration(&[]))).await;
    let listed = answers.to(admin(&gateway, Method::GET, "/tokens")).await;
    let id = listed["items"][0]["id"].as_str().unwrap();
    answers.to(admin(&gateway, Method::POST, &format!("/tokens/{id}/renew"))).await;
    search_all(&gateway, &answers, &needles());
}

fn search_all(gateway: &Gateway, answers: &Answers, needles: &[Needle]) {
    let mut places = vec![("the log".to_owned(), gateway.log())];
    places.extend(answers.0.lock().iter().cloned());
    places.extend(files(&gateway.data_dir()));
    for (place, text) in &places {
        for needle in needles {
            if let Some(spelling) = needle.is_in(text) {
                let line = text.lines().find(|line| line.contains(spelling)).unwrap_or_default();
                panic!("{} as {spelling} in {place}: {}", needle.name, line.chars().take(600).collect::<String>());
            }
        }
    }
}

fn files(dir: &Path) -> Vec<(String, String)> {
    let read = |path: PathBuf| {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        (path.display().to_string(), text)
    };
    std::fs::read_dir(dir).unwrap().map(|entry| read(entry.unwrap().path())).collect()
}

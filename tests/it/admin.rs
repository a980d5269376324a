//! The operators' API, and which listener serves what.

use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use wxkf_gateway::simulator::wecom::{Api, Fault};

use crate::harness::{ACCOUNT, AES_KEY, CORP, Gateway, SECRET, SOON, TOKEN, bot, bot_options, gateway_and_wecom};
use crate::registry::{fields, register};

const OTHER_KEY: &str = "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt";

/// Declares the credentials of a corp and returns what the API shows of it.
pub(crate) async fn declare(gateway: &Gateway, corp: &str, credentials: Value) -> Value {
    ok(gateway, Method::PUT, &format!("/corps/{corp}"), &json!({ "credentials": credentials })).await
}

/// Asks again until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(mut is_so: impl FnMut() -> F) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < SOON, "it never became so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A call that succeeds; no answer holds a secret that the tests put in.
async fn ok(gateway: &Gateway, method: Method, path: &str, body: &Value) -> Value {
    let answer = gateway.admin(method, path).json(body).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 200, "{path}: {text}");
    for secret in [SECRET, AES_KEY, OTHER_KEY, "p4ssw0rd"] {
        assert!(!text.contains(secret), "{text}");
    }
    serde_json::from_str(&text).unwrap()
}

async fn shown(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.admin(Method::GET, path).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Whether the call is refused with this problem; returns its detail.
async fn problem(request: RequestBuilder, status: u16, kind: &str) -> String {
    let answer = request.send().await.unwrap();
    let url = answer.url().clone();
    assert_eq!(answer.status(), status, "{url}");
    assert_eq!(answer.headers()["content-type"], "application/problem+json", "{url}");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["type"], format!("urn:wxkf-gateway:problem:{kind}"));
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string());
    problem["detail"].as_str().unwrap().to_owned()
}

fn routes() -> Vec<(Method, String)> {
    let corp = format!("/api/admin/corps/{CORP}");
    let services = format!("{corp}/services");
    let (service, test) = (format!("{services}/crm"), format!("{services}/crm/test"));
    let routes = [
        (Method::GET, "/api/admin/corps"),
        (Method::GET, &corp),
        (Method::PUT, &corp),
        (Method::DELETE, &corp),
        (Method::GET, &services),
        (Method::GET, &service),
        (Method::PUT, &service),
        (Method::DELETE, &service),
        (Method::POST, &test),
        (Method::GET, "/api/admin/puppets"),
        (Method::DELETE, "/api/admin/puppets/wk1"),
        (Method::GET, "/api/admin/deliveries"),
        (Method::DELETE, "/api/admin/deliveries/1"),
        (Method::POST, "/api/admin/deliveries/1/redeliver"),
        (Method::GET, "/api/admin/tokens"),
        (Method::POST, "/api/admin/tokens/1/renew"),
        (Method::GET, "/api/admin/audit"),
    ];
    routes.map(|(method, path)| (method, path.to_owned())).into()
}

#[tokio::test]
async fn every_route_asks_for_the_token() {
    let gateway = Gateway::start(&[("ADMIN_TOKEN", "old-admin-token,new-admin-token")]).await;
    // All at once, because wrong ones are slowed.
    let wrong = routes().into_iter().flat_map(|(method, path)| {
        let request = || gateway.request(method.clone(), &path);
        [
            request(),
            request().bearer_auth("old-admin-tokeN"),
            request().bearer_auth("old-admin-token,new-admin-token"),
            request().bearer_auth(""),
            request().basic_auth("admin", Some("old-admin-token")),
        ]
    });
    futures::future::join_all(wrong.map(|wrong| problem(wrong, 401, "unauthorized"))).await;
    for (method, path) in routes() {
        let request = || gateway.request(method.clone(), &path);
        let challenge = request().send().await.unwrap();
        assert_eq!(challenge.headers()["www-authenticate"], "Bearer");
        for token in ["old-admin-token", "new-admin-token"] {
            let answer = request().bearer_auth(token).json(&json!({ "credentials": [] })).send().await.unwrap();
            assert_ne!(answer.status(), 401, "{path}");
        }
    }
}

#[tokio::test]
async fn without_a_token_of_the_operators_one_is_generated_and_kept() {
    let mut gateway = Gateway::start(&[("ADMIN_TOKEN", "")]).await;
    let read = |gateway: &Gateway| std::fs::read_to_string(gateway.data_dir().join("admin.token")).unwrap();
    let token = read(&gateway);
    assert_eq!(token.trim().len(), 64);
    gateway.terminate().await;
    gateway.start_again().await;
    assert_eq!(read(&gateway), token);
    let answer = gateway.get("/api/admin/corps").bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!gateway.log().contains(token.trim()));
}

#[tokio::test]
async fn a_corp_is_declared_shown_and_withdrawn() {
    let gateway = Gateway::start(&[("PUBLIC_URL", "https://wxkf.example.com/base/"), ("REGISTRATION", "open")]).await;
    assert_eq!(shown(&gateway, "/corps").await, json!({ "items": [] }));
    let path = format!("/corps/{CORP}");
    problem(gateway.admin(Method::GET, &path), 404, "not-found").await;
    problem(gateway.admin(Method::DELETE, &path), 404, "not-found").await;

    let body = json!({
        "credentials": [
            { "token": TOKEN, "encodingAESKey": AES_KEY, "label": "old" },
            { "token": TOKEN, "encodingAESKey": OTHER_KEY, "receiveIds": [CORP, "ww-provider"] },
        ],
        "wecomProxy": "http://user:p4ssw0rd@proxy.example.com:3128",
    });
    let declared = ok(&gateway, Method::PUT, &path, &body).await;
    assert_eq!(declared["corpId"], CORP);
    assert_eq!(declared["source"], "admin");
    assert_eq!(declared["callbackUrl"], format!("https://wxkf.example.com/base/callback/{CORP}"));
    assert_eq!(declared["hasWecomProxy"], true);
    let [old, new] = [&declared["credentials"][0], &declared["credentials"][1]];
    assert_eq!((&old["label"], &old["receiveIds"]), (&json!("old"), &json!([])));
    assert_eq!(new["receiveIds"], json!([CORP, "ww-provider"]));
    assert_ne!(old["id"], new["id"]);
    assert_eq!(shown(&gateway, &path).await, declared);
    assert_eq!(shown(&gateway, "/corps").await["items"], json!([declared]));

    // `{id}` keeps a pair with all that belongs to it; what stands beside it is changed.
    let kept = json!({ "credentials": [{ "id": new["id"] }, { "id": old["id"], "label": "older" }] });
    let again = ok(&gateway, Method::PUT, &path, &kept).await;
    assert_eq!(again["credentials"][0], *new);
    assert_eq!(again["credentials"][1], json!({ "id": old["id"], "label": "older", "receiveIds": [] }));
    assert_eq!(again["hasWecomProxy"], false, "PUT replaces the declaration as a whole");

    // Known by its bots alone.
    assert_eq!(register(&gateway, &fields("wk1", "ww-bots", &[])).await["code"], 0);
    let bots = shown(&gateway, "/corps/ww-bots").await;
    assert_eq!((&bots["source"], &bots["credentials"]), (&json!("registrations"), &json!([])));
    let listed = shown(&gateway, "/corps").await;
    let ids: Vec<&str> = listed["items"].as_array().unwrap().iter().map(|c| c["corpId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["ww-bots", CORP]);

    let withdrawn = gateway.admin(Method::DELETE, &path).send().await.unwrap();
    assert_eq!((withdrawn.status(), withdrawn.text().await.unwrap()), (StatusCode::NO_CONTENT, String::new()));
    problem(gateway.admin(Method::GET, &path), 404, "not-found").await;
    problem(gateway.admin(Method::DELETE, "/corps/ww-bots"), 404, "not-found").await;
}

#[tokio::test]
async fn bad_input_names_every_field() {
    let gateway = Gateway::start(&[]).await;
    let put = |body: &Value| gateway.admin(Method::PUT, &format!("/corps/{CORP}")).json(body);
    let body = json!({
        "credentials": [
            { "token": "", "encodingAESKey": "s3cret" },
            { "encodingAESKey": 1, "receiveIds": "s3cret", "lable": "s3cret" },
            { "id": "unknown" },
            { "id": "unknown", "token": "s3cret" },
            "s3cret",
            { "token": null, "encodingAESKey": AES_KEY },
        ],
        "wecomProxy": "s3cret",
        "credential": [],
    });
    let detail = problem(put(&body), 400, "invalid").await;
    for field in [
        "credentials[0].token",
        "credentials[0].encodingAESKey",
        "credentials[1].token",
        "credentials[1].encodingAESKey",
        "credentials[1].receiveIds",
        "credentials[1].lable",
        "credentials[2].id",
        "credentials[3].token",
        "credentials[4]",
        "credentials[5].token: is missing",
        "wecomProxy",
        "credential:",
    ] {
        assert!(detail.contains(field), "{field}: {detail}");
    }
    assert!(!detail.contains("s3cret"), "{detail}");
    for body in [json!([]), json!("x"), json!({ "credentials": {} })] {
        problem(put(&body), 400, "invalid").await;
    }
    let text = gateway.admin(Method::PUT, &format!("/corps/{CORP}")).body("no json");
    problem(text, 400, "invalid").await;
    let detail = problem(gateway.admin(Method::PUT, "/corps/w%20w").json(&json!({})), 400, "invalid").await;
    assert!(detail.contains("corpId"), "{detail}");
    problem(gateway.admin(Method::GET, "/corps/w%20w"), 404, "not-found").await;
    problem(gateway.admin(Method::GET, &format!("/corps/{CORP}")), 404, "not-found").await;

    for query in ["limit=0", "limit=1001", "limit=x", "state=nonsense", "corpId=w%20w", "openKfId=%20"] {
        let detail = problem(gateway.admin(Method::GET, &format!("/deliveries?{query}")), 400, "invalid").await;
        assert!(!detail.contains("nonsense"), "{detail}");
    }
    for query in ["limit=0", "limit=x", "cursor=a%20b"] {
        problem(gateway.admin(Method::GET, &format!("/audit?{query}")), 400, "invalid").await;
    }
    for query in ["limit=0", "limit=x", "cursor=a%20b"] {
        problem(gateway.admin(Method::GET, &format!("/puppets?{query}")), 400, "invalid").await;
    }
}

#[tokio::test]
async fn the_routers_own_refusals_have_the_shape_of_all_errors() {
    let gateway = Gateway::start(&[]).await;
    for (method, path) in [(Method::POST, "/corps"), (Method::GET, "/tokens/1/renew"), (Method::PATCH, "/puppets/1")] {
        problem(gateway.admin(method.clone(), path), 405, "method-not-allowed").await;
        assert!(gateway.admin(method, path).send().await.unwrap().headers().contains_key("allow"));
    }
    problem(gateway.admin(Method::GET, "/corps/%FF"), 400, "invalid").await;
    for path in ["", "/", "/none", "/corps/a/b", "/corps/ww1/none"] {
        problem(gateway.admin(Method::GET, path), 404, "not-found").await;
        problem(gateway.request(Method::GET, &format!("/api/admin{path}")), 401, "unauthorized").await;
    }
}

#[tokio::test]
async fn corps_of_the_file_are_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("corps.json");
    let corps = json!({ "corps": { CORP: { "credentials": [{ "token": TOKEN, "encodingAESKey": AES_KEY }] } } });
    std::fs::write(&file, corps.to_string()).unwrap();
    let gateway = Gateway::start(&[("CORPS_FILE", file.to_str().unwrap())]).await;
    let path = format!("/corps/{CORP}");
    let detail = problem(gateway.admin(Method::PUT, &path).json(&json!({ "credentials": [] })), 409, "read-only").await;
    assert!(detail.contains("CORPS_FILE"), "{detail}");
    problem(gateway.admin(Method::DELETE, &path), 409, "read-only").await;
    let corp = shown(&gateway, &path).await;
    assert_eq!((&corp["source"], &corp["callbackUrl"]), (&json!("file"), &json!(format!("/callback/{CORP}"))));
    declare(&gateway, "ww-other", json!([{ "token": TOKEN, "encodingAESKey": AES_KEY }])).await;
    assert_eq!(shown(&gateway, "/corps").await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn bots_are_listed_with_their_last_attempt_and_forgotten() {
    let (gateway, wecom) = gateway_and_wecom().await;
    let bot = bot(&gateway, &wecom).await;
    assert!(bot.ready(SOON).await);
    assert!(wecom.send_event(CORP, "kf_msg_or_event", ACCOUNT, "").await.is_accepted());
    bot.behave(wxkf_gateway::simulator::bot::Behaviour::Refuse(500)).await.unwrap();
    let listed = shown(&gateway, "/puppets").await;
    let only = &listed["items"][0];
    assert_eq!((&only["kfOpenId"], &only["corpId"], &only["online"]), (&json!(ACCOUNT), &json!(CORP), &json!(true)));
    assert_eq!(only["botEndpoint"], bot.endpoint());
    assert!(only["lastAttempt"]["at"].is_string() && only["lastAttempt"].get("error").is_none(), "{only}");
    assert!(only["awaySince"].is_null());
    assert!(wecom.send_event(CORP, "kf_msg_or_event", ACCOUNT, "").await.is_accepted());
    let failed = shown(&gateway, "/puppets").await["items"][0]["lastAttempt"]["error"].clone();
    assert!(failed.as_str().unwrap().contains("500"), "{failed}");

    let path = format!("/puppets/{ACCOUNT}");
    assert_eq!(gateway.admin(Method::DELETE, &path).send().await.unwrap().status(), 204);
    problem(gateway.admin(Method::DELETE, &path), 404, "not-found").await;
    assert_eq!(shown(&gateway, "/puppets").await, json!({ "items": [] }));
}

/// All items of a list, page by page.
async fn pages(gateway: &Gateway, list: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shown(gateway, &format!("{list}limit={limit}{cursor}")).await;
        let found = page["items"].as_array().unwrap();
        assert!(found.len() <= limit);
        items.extend(found.iter().cloned());
        let Some(next) = page.get("next") else { return items };
        assert_eq!(found.len(), limit);
        cursor = format!("&cursor={}", next.as_str().unwrap());
    }
}

#[tokio::test]
async fn lists_are_paged_by_cursor() {
    let gateway = Gateway::start(&[("REGISTRATION", "open")]).await;
    declare(&gateway, CORP, json!([])).await;
    declare(&gateway, "ww-other", json!([])).await;
    for number in 0..6 {
        assert_eq!(register(&gateway, &fields(&format!("wk-bot-{number}"), CORP, &[])).await["code"], 0);
    }
    let bots = pages(&gateway, "/puppets?", 2).await;
    assert_eq!(bots, pages(&gateway, "/puppets?", 1000).await);
    assert_eq!(bots.len(), 6);

    for (corp, number) in [(CORP, 1), (CORP, 2), ("ww-other", 3), (CORP, 4), ("ww-other", 5)] {
        let event = json!({ "token": "t", "openKfId": format!("wk-{number}") });
        let answer = gateway.post(&format!("/callback/decrypted/{corp}")).json(&event).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let all = pages(&gateway, "/deliveries?", 2).await;
    let accounts: Vec<&str> = all.iter().map(|item| item["openKfId"].as_str().unwrap()).collect();
    assert_eq!(accounts, ["wk-1", "wk-2", "wk-3", "wk-4", "wk-5"], "the oldest first");
    assert!(all.iter().all(|item| item["id"].is_string() && item["state"] == "live" && item["signed"] == false));
    assert_eq!(pages(&gateway, "/deliveries?corpId=ww-other&", 1).await.len(), 2);
    assert_eq!(pages(&gateway, "/deliveries?openKfId=wk-2&", 1).await, [all[1].clone()]);
    assert_eq!(pages(&gateway, "/deliveries?state=live&corpId=ww-other&openKfId=wk-5&", 1).await, [all[4].clone()]);
    assert!(pages(&gateway, "/deliveries?state=expired&", 1).await.is_empty());
    assert!(pages(&gateway, "/deliveries?corpId=ww-none&", 1).await.is_empty());
    assert_eq!(
        pages(&gateway, "/deliveries?state=&corpId=&openKfId=&service=&", 1000).await,
        all,
        "as a form sends it"
    );

    let path = format!("/deliveries/{}", all[0]["id"].as_str().unwrap());
    assert_eq!(gateway.admin(Method::DELETE, &path).send().await.unwrap().status(), 204);
    problem(gateway.admin(Method::DELETE, &path), 404, "not-found").await;
    problem(gateway.admin(Method::POST, &format!("{path}/redeliver")), 404, "not-found").await;
    assert_eq!(pages(&gateway, "/deliveries?", 3).await, all[1..]);
}

#[tokio::test]
async fn a_damaged_row_ends_no_list() {
    let gateway = Gateway::start(&[]).await;
    declare(&gateway, CORP, json!([])).await;
    for number in 1..=5 {
        let event = json!({ "token": "t", "openKfId": format!("wk-{number}") });
        let answer = gateway.post(&format!("/callback/decrypted/{CORP}")).json(&event).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let store = rusqlite::Connection::open(gateway.data_dir().join("gateway.db")).unwrap();
    let damaged = store.execute("UPDATE held_event SET extra = '{' WHERE kf_id IN ('wk-2', 'wk-3')", ()).unwrap();
    assert_eq!(damaged, 2);
    for limit in 1..=3 {
        let found = pages(&gateway, "/deliveries?", limit).await;
        let accounts: Vec<&str> = found.iter().map(|item| item["openKfId"].as_str().unwrap()).collect();
        assert_eq!(accounts, ["wk-1", "wk-4", "wk-5"], "{limit} a page");
    }
}

#[tokio::test]
async fn an_expired_event_is_kept_for_the_operator_who_sends_it_without_its_token() {
    let wecom = crate::harness::wecom().await;
    let gateway = Gateway::start(&[("EVENT_TTL", "500ms"), ("WECOM_API_BASE_URL", &wecom.base_url())]).await;
    declare(&gateway, CORP, json!([])).await;
    // Of the two accounts, one has a bot, which is away.
    assert_eq!(register(&gateway, &fields(ACCOUNT, CORP, &[])).await["code"], 0);
    for account in ["wk-nobodys", ACCOUNT] {
        let event = json!({ "token": "dead-by-then", "openKfId": account });
        let answer = gateway.post(&format!("/callback/decrypted/{CORP}")).json(&event).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "roger");
    }
    until(|| async { gateway.deliveries("live").await.is_empty() }).await;
    until(|| async { gateway.deliveries("expired").await.len() == 1 }).await;
    let expired = gateway.deliveries("expired").await.remove(0);
    assert!(expired.get("nextAttemptAt").is_none() && expired["lastError"].is_string(), "{expired}");

    let mut options = bot_options(&gateway, &wecom);
    options.mode = wxkf_gateway::simulator::bot::Mode::Robust;
    let bot = wxkf_gateway::simulator::bot::Bot::start(options).await.unwrap();
    assert!(bot.registered(SOON).await && bot.ready(SOON).await);
    let path = format!("/deliveries/{}/redeliver", expired["id"].as_str().unwrap());
    let redelivered = gateway.admin(Method::POST, &path).send().await.unwrap();
    assert_eq!(redelivered.status(), 202);
    assert!(bot.wait_for_pokes(1, SOON).await, "{}", gateway.log());
    let pokes = bot.pokes();
    assert_eq!((pokes.len(), pokes[0].token.as_deref()), (1, None), "not sent at registration, sent without its token");
    until(|| async { gateway.deliveries("expired").await.is_empty() }).await;
}

#[tokio::test]
async fn tokens_are_listed_without_themselves_and_renewed() {
    let (gateway, wecom) = gateway_and_wecom().await;
    assert_eq!(shown(&gateway, "/tokens").await, json!({ "items": [] }));
    let ask = async |secret: &str| {
        let query = [("corpid", CORP), ("corpsecret", secret)];
        gateway.get("/api/corp/accessToken").query(&query).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let token = ask(SECRET).await;
    let only = async || shown(&gateway, "/tokens").await["items"][0].clone();
    let listed = only().await;
    assert_eq!(
        (&listed["corpId"], &listed["upstreamCalls"], &listed["renewals"]),
        (&json!(CORP), &json!(1), &json!(0))
    );
    assert!(listed["fetchedAt"].is_string() && listed["expiresAt"].is_string());
    let text = listed.to_string();
    assert!(!text.contains(SECRET) && !text.contains(token["access_token"].as_str().unwrap()));

    let renew = |id: &Value| gateway.admin(Method::POST, &format!("/tokens/{}/renew", id.as_str().unwrap()));
    wecom.fail_next(Api::GetToken, Fault::Errcode(40001), 1);
    let detail = problem(renew(&listed["id"]), 502, "upstream").await;
    assert!(detail.contains("40001"), "{detail}");
    wecom.revoke_tokens(CORP);
    assert_eq!(renew(&listed["id"]).send().await.unwrap().status(), 204, "a renewal that failed may be tried again");
    let renewed = only().await;
    assert_eq!((&renewed["upstreamCalls"], &renewed["renewals"]), (&json!(3), &json!(1)));
    assert_ne!(ask(SECRET).await["access_token"], token["access_token"]);
    assert_eq!(renew(&listed["id"]).send().await.unwrap().status(), 204);
    assert_eq!(wecom.gettoken_calls(CORP, SECRET), 3, "within a minute nobody is asked");
    problem(renew(&json!("unknown")), 404, "not-found").await;

    // A refused secret is listed, and a renewal forgets the refusal.
    assert_eq!(ask("reset-secret").await["errcode"], 40001);
    let refused = shown(&gateway, "/tokens").await;
    let refused = refused["items"].as_array().unwrap().iter().find(|item| item.get("expiresAt").is_none()).unwrap();
    assert!(refused["lastError"].as_str().unwrap().contains("40001"));
    drop(wecom.corp(CORP).secret("reset-secret"));
    assert_eq!(ask("reset-secret").await["errcode"], 40001, "remembered");
    assert_eq!(renew(&refused["id"]).send().await.unwrap().status(), 204);
    assert_eq!(ask("reset-secret").await["errcode"], 0);
}

#[tokio::test]
async fn each_listener_serves_its_audience_and_nothing_else() {
    const WECOM: &[(Method, &str)] = &[(Method::GET, "/callback/ww1"), (Method::POST, "/callback/ww1/")];
    const BOTS: &[(Method, &str)] = &[
        (Method::POST, "/callback/decrypted/ww1"),
        (Method::POST, "/puppetWxkfManager/register"),
        (Method::POST, "/puppetWxkfManager/deregister"),
        (Method::GET, "/puppetWxkfManager/getToken"),
        (Method::GET, "/puppetWxkfManager/puppetWxkfInfo/wk1"),
        (Method::GET, "/api/corp/accessToken"),
    ];
    const DOCUMENTS: &[(Method, &str)] = &[(Method::GET, "/openapi.json"), (Method::GET, "/docs")];
    const PROBES: &[(Method, &str)] = &[(Method::GET, "/livez"), (Method::GET, "/readyz"), (Method::GET, "/metrics")];
    let admin: Vec<_> = routes();
    let admin: Vec<(Method, &str)> = admin.iter().map(|(method, path)| (method.clone(), &**path)).collect();
    let operators = [PROBES, DOCUMENTS, &admin].concat();
    let all = [WECOM, BOTS, &operators].concat();

    let gateway = Gateway::start(&[("PUBLIC_PORT", "0")]).await;
    assert_served(&gateway, "PORT", &all, &all).await;
    assert_served(&gateway, "PUBLIC_PORT", WECOM, &all).await;
    drop(gateway);
    let gateway = Gateway::start(&[("OPS_PORT", "0"), ("PUBLIC_PORT", "0")]).await;
    assert_served(&gateway, "PORT", &[WECOM, BOTS, DOCUMENTS].concat(), &all).await;
    assert_served(&gateway, "OPS_PORT", &operators, &all).await;
    assert_served(&gateway, "PUBLIC_PORT", WECOM, &all).await;
}

async fn assert_served(gateway: &Gateway, setting: &str, served: &[(Method, &str)], all: &[(Method, &str)]) {
    let base = gateway.listener(setting).unwrap();
    for (method, path) in all {
        let answer = gateway.request_at(&base, method.clone(), path).send().await.unwrap();
        let is_served = served.contains(&(method.clone(), path));
        assert_eq!(!is_the_routers_404(&answer), is_served, "{method} {base}{path}: {}", answer.status());
    }
}

/// Handlers say in a body what they did not find.
pub(crate) fn is_the_routers_404(answer: &Response) -> bool {
    answer.status() == StatusCode::NOT_FOUND && answer.headers().get("content-type").is_none()
}

//! Everything that is secret is replaced while callbacks come in: none is refused, none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use wxkf_gateway::lifecycle::Tasks;
use wxkf_gateway::simulator::wecom::{Credential, EventFields, inner_xml, signed_callback};

use super::Services;
use crate::delivery::{Recorder, eventually, now};
use crate::harness::servers::MongoKind;
use crate::harness::{AES_KEY, CORP, Gateway, SOON, TOKEN};

const NEW_TOKEN: &str = "theNewToken";
const NEW_AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const MASTER_KEYS: [&str; 2] =
    ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "HxABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4="];
const ACCOUNTS: u64 = 20;
/// Until a change counts on every replica.
const EVERYWHERE: Duration = Duration::from_secs(6);

/// What callers do, and what they saw.
#[derive(Default)]
struct Calls {
    urls: Vec<String>,
    new_credential: AtomicBool,
    stop: AtomicBool,
    sent: AtomicU64,
    turn: AtomicUsize,
    refused: Mutex<Vec<String>>,
    /// The last acknowledged number of each account.
    acknowledged: Mutex<Vec<u64>>,
}

impl Calls {
    fn credential(&self) -> Credential {
        match self.new_credential.load(Ordering::Relaxed) {
            false => Credential::new(CORP, TOKEN, AES_KEY).unwrap(),
            true => Credential::new(CORP, NEW_TOKEN, NEW_AES_KEY).unwrap(),
        }
    }

    /// To one replica, or when it takes no connection to the other, as a load balancer does.
    async fn call(&self, http: &reqwest::Client) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let account = usize::try_from(number % ACCOUNTS).unwrap();
        let (kf, token) = (format!("wk{account}"), number.to_string());
        let fields =
            EventFields { corp: CORP, open_kf_id: &kf, token: &token, create_time: now(), ..EventFields::default() };
        let callback = signed_callback(&self.credential(), &inner_xml("kf_msg_or_event", &fields));
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for try_number in 0..4 {
            let url = &self.urls[(first + try_number) % self.urls.len()];
            let url = format!("{url}/callback/{CORP}?{}", callback.query);
            match http.post(url).body(callback.body.clone()).send().await {
                Ok(answer) if answer.status() == 200 => {
                    let acknowledged = &mut self.acknowledged.lock()[account];
                    *acknowledged = number.max(*acknowledged);
                    return;
                }
                Ok(answer) => {
                    let told = format!("{}: {}", answer.status(), answer.text().await.unwrap_or_default());
                    return self.refused.lock().push(told);
                }
                Err(_) => {}
            }
        }
        self.refused.lock().push("nobody answered".to_owned());
    }

    /// A hundred a second.
    async fn run(self: Arc<Self>) {
        wxkf_gateway::egress::install_tls_provider();
        #[expect(clippy::disallowed_methods, reason = "the tests' own client")]
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let (mut tick, calling) = (tokio::time::interval(Duration::from_millis(10)), Tasks::new());
        while !self.stop.load(Ordering::Relaxed) {
            tick.tick().await;
            let (calls, http) = (self.clone(), http.clone());
            calling.spawn(async move { calls.call(&http).await });
        }
        calling.drained(SOON).await;
    }
}

async fn admin(gateway: &Gateway, token: &str, method: Method, body: Option<&Value>) -> (u16, Value) {
    let mut request = gateway.request(method, &format!("/api/admin/corps/{CORP}")).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

async fn register(gateway: &Gateway, password: &str, bots: &Recorder) -> Vec<Value> {
    let mut codes = Vec::new();
    for account in 0..ACCOUNTS {
        let kf = format!("wk{account}");
        let body = json!({
            "kfId": kf, "kfName": kf, "endpoint": bots.endpoint(&kf), "corpId": CORP, "corpSecret": "secret",
            "token": TOKEN, "encodingAESKey": AES_KEY,
        });
        let answer = gateway.post("/puppetWxkfManager/register").basic_auth("bot", Some(password)).json(&body).send();
        codes.push(answer.await.unwrap().json::<Value>().await.unwrap()["code"].clone());
    }
    codes
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongo-java-server and Redis: tests/servers/install"]
async fn mongo_java_every_secret_is_replaced_and_no_callback_is_refused_or_lost() {
    let (services, bots) = (Services::start_on(MongoKind::MongoJava).await, Recorder::start().await);
    let first = [("REGISTRATION", "open"), ("ADMIN_TOKEN", "admin-1"), ("PUPPET_PASSWORD", "bots-1")];
    let mut replicas = vec![services.replica(&first).await, services.replica(&first).await];
    let old = json!({ "token": TOKEN, "encodingAESKey": AES_KEY });
    let declared = admin(&replicas[0], "admin-1", Method::PUT, Some(&json!({ "credentials": [old] }))).await;
    let old_id = declared.1["credentials"][0]["id"].clone();
    assert_eq!(register(&replicas[0], "bots-1", &bots).await, vec![json!(0); 20]);

    let urls = replicas.iter().map(|replica| replica.url().to_owned()).collect();
    let calls = Arc::new(Calls { urls, acknowledged: Mutex::new(vec![0; 20]), ..Calls::default() });
    let calling = Tasks::new().spawn(calls.clone().run());

    // The pair of a corp: both, then the caller changes, then the new one alone.
    let new = json!({ "token": NEW_TOKEN, "encodingAESKey": NEW_AES_KEY });
    let both = json!({ "credentials": [{ "id": old_id }, new] });
    let (status, declared) = admin(&replicas[0], "admin-1", Method::PUT, Some(&both)).await;
    assert_eq!(status, 200, "{declared}");
    tokio::time::sleep(EVERYWHERE).await;
    calls.new_credential.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let alone = json!({ "credentials": [{ "id": declared["credentials"][1]["id"] }] });
    assert_eq!(admin(&replicas[1], "admin-1", Method::PUT, Some(&alone)).await.0, 200);

    // The gateway's own, in rollouts: one replica after the other.
    let [key, next] = MASTER_KEYS;
    let rollouts = [
        ("admin-1,admin-2", "bots-1,bots-2", format!("{key},{next}")),
        ("admin-2,admin-1", "bots-2,bots-1", format!("{next},{key}")),
        ("admin-2", "bots-2", next.to_owned()),
    ];
    for (admins, passwords, keys) in &rollouts {
        for replica in &mut replicas {
            assert_eq!(replica.terminate().await, Some(0));
            replica.set("ADMIN_TOKEN", admins);
            replica.set("PUPPET_PASSWORD", passwords);
            replica.set("MASTER_KEY", keys);
            replica.start_again().await;
        }
        for replica in &replicas {
            assert_eq!(admin(replica, "admin-2", Method::GET, None).await.0, 200);
            assert_eq!(register(replica, "bots-2", &bots).await, vec![json!(0); 20]);
        }
    }
    assert_eq!(admin(&replicas[0], "admin-1", Method::GET, None).await.0, 401, "the old one is no more");

    calls.stop.store(true, Ordering::Relaxed);
    calling.await.unwrap();
    let sent = calls.sent.load(Ordering::Relaxed);
    println!("{sent} callbacks during the rotation, {} refused", calls.refused.lock().len());
    assert!(sent > 500 && calls.refused.lock().is_empty(), "{:?}", calls.refused.lock());
    let lost = || {
        let acknowledged = calls.acknowledged.lock().clone();
        let arrived = |account: usize| {
            let taken = bots.taken(&format!("wk{account}")).into_iter().flatten();
            taken.filter_map(|token| token.parse::<u64>().ok()).max().unwrap_or_default()
        };
        (0..20).filter(|&account| arrived(account) < acknowledged[account]).count()
    };
    assert!(eventually(SOON, async || lost() == 0).await, "{} accounts lost their newest event", lost());
}

//! One access token for all replicas: upstream is called once a token life, whoever asks where.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::Value;
use wxkf_gateway::simulator::wecom::{Wecom, WecomOptions};

use super::Services;
use crate::harness::{Gateway, SECRET};

const REPLICAS: usize = 3;
const CORPS: usize = 20;
const CALLERS: usize = 10;

/// No caller waits longer for a token that is there, or for one that must be fetched.
const PATIENCE: Duration = Duration::from_secs(2);

struct Tokens {
    services: Services,
    wecom: Wecom,
    replicas: Vec<Gateway>,
}

fn corp(number: usize) -> String {
    format!("ww{number:02}")
}

impl Tokens {
    async fn start(options: WecomOptions) -> Self {
        let wecom = Wecom::start(options).await.unwrap();
        for number in 0..CORPS {
            drop(wecom.corp(&corp(number)).secret(SECRET));
        }
        let services = Services::start().await;
        let upstream = wecom.base_url();
        let mut replicas = Vec::new();
        for _ in 0..REPLICAS {
            replicas.push(services.replica(&[("WECOM_API_BASE_URL", &upstream)]).await);
        }
        Self { services, wecom, replicas }
    }

    /// All callers of all corps at all replicas at once; the token that each corp's callers got.
    async fn read(&self, failed: Option<&[String]>) -> Vec<Vec<String>> {
        let corps = (0..CORPS).map(async |number| {
            let failed = failed.map(|tokens| tokens[number].as_str());
            let callers = (0..CALLERS * REPLICAS).map(|caller| ask(&self.replicas[caller % REPLICAS], number, failed));
            join_all(callers).await
        });
        join_all(corps).await
    }

    fn calls(&self) -> Vec<u64> {
        (0..CORPS).map(|number| self.wecom.gettoken_calls(&corp(number), SECRET)).collect()
    }
}

async fn ask(gateway: &Gateway, number: usize, failed: Option<&str>) -> String {
    let began = Instant::now();
    let corp = corp(number);
    let mut query = vec![("corpid", corp.as_str()), ("corpsecret", SECRET)];
    query.extend(failed.map(|token| ("invalid_token", token)));
    let answer = gateway.get("/api/corp/accessToken").query(&query).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["errcode"], 0, "{answer}");
    assert!(began.elapsed() < PATIENCE, "a caller waited {:?}", began.elapsed());
    answer["access_token"].as_str().unwrap().to_owned()
}

/// The one token of each corp.
fn agreed(tokens: Vec<Vec<String>>) -> Vec<String> {
    let one = |mut tokens: Vec<String>| {
        tokens.dedup();
        assert_eq!(tokens.len(), 1, "the replicas hand out different tokens");
        tokens.swap_remove(0)
    };
    tokens.into_iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_one_call_a_corp_for_the_first_token_and_for_one_that_failed() {
    let tokens = Tokens::start(WecomOptions::default()).await;
    let first = agreed(tokens.read(None).await);
    assert_eq!(tokens.calls(), [1; CORPS]);
    (0..CORPS).for_each(|number| tokens.wecom.revoke_tokens(&corp(number)));
    let second = tokens.read(Some(&first)).await;
    assert_eq!(tokens.calls(), [2; CORPS]);
    assert!(second.iter().zip(&first).all(|(second, first)| second.iter().all(|token| token != first)));
    agreed(second);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_one_call_a_corp_when_tokens_expire() {
    let life = Duration::from_secs(8);
    let tokens = Tokens::start(WecomOptions { token_lifetime: life, ..WecomOptions::default() }).await;
    let began = Instant::now();
    agreed(tokens.read(None).await);
    tokio::time::sleep(life.saturating_sub(began.elapsed()) + Duration::from_millis(200)).await;
    tokens.read(None).await;
    assert!(began.elapsed() < life * 2 - life / 5, "too slow to tell the second life from the third");
    assert_eq!(tokens.calls(), [2; CORPS]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs FerretDB and Redis: tests/servers/install"]
async fn ferretdb_at_most_one_call_a_replica_while_redis_is_dead() {
    let mut tokens = Tokens::start(WecomOptions::default()).await;
    let first = agreed(tokens.read(None).await);
    tokens.services.cache.kill().await;
    tokens.read(None).await;
    assert_eq!(tokens.calls(), [1; CORPS], "what is cached is handed out");
    (0..CORPS).for_each(|number| tokens.wecom.revoke_tokens(&corp(number)));
    let alone = tokens.read(Some(&first)).await;
    assert!(tokens.calls().iter().all(|&calls| calls <= 1 + REPLICAS as u64), "{:?}", tokens.calls());
    assert!(alone.iter().flatten().all(|token| !first.contains(token)));

    tokens.services.cache.start_again().await;
    let before = tokens.calls();
    // Each replica brings what it has; the later one wins everywhere within the near caches' 5 s.
    tokio::time::sleep(Duration::from_secs(8)).await;
    agreed(tokens.read(None).await);
    assert_eq!(tokens.calls(), before, "nobody asks again when it is back");
}

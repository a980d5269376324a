//! Several replicas of the service over one Redis and a simulated WeCom: how often WeCom is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tempfile::TempDir;
use wxkf_gateway::access_token::{
    AccessTokens, Lease, RedisCache, TokenCache, TokenError, TokenParts, TokenSettings, TokenState,
};
use wxkf_gateway::domain::{App, Clock, Secret};
use wxkf_gateway::egress;
use wxkf_gateway::lifecycle::Tasks;
use wxkf_gateway::simulator::wecom::{Api, Fault, RepeatedToken, Wecom, WecomOptions};
use wxkf_gateway::store::sealed::MasterKeys;
use wxkf_gateway::store::sqlite::{KeySource, SqliteStore};
use wxkf_gateway::wecom::{WecomClient, WecomSettings};

use super::super::samples::corp;
use crate::admin::until;
use crate::harness::servers::RedisServer;

const REPLICAS: usize = 3;
const CORPS: usize = 20;
const CALLERS: usize = 10;
const LIFE: Duration = Duration::from_secs(7200);

struct Replica {
    tokens: AccessTokens,
    cache: Arc<dyn TokenCache>,
    tasks: Tasks,
}

struct Cluster {
    redis: RedisServer,
    wecom: Wecom,
    replicas: Vec<Replica>,
    clock: Clock,
    _data: TempDir,
}

impl Cluster {
    async fn start() -> Self {
        egress::install_tls_provider();
        let options = WecomOptions { repeated_token: RepeatedToken::New, ..WecomOptions::default() };
        let (redis, wecom) = (RedisServer::start().await.unwrap(), Wecom::start(options).await.unwrap());
        let (data, clock) = (tempfile::tempdir().unwrap(), Clock::default());
        let store = Arc::new(SqliteStore::open(data.path(), KeySource::Kept, clock.now()).unwrap());
        let replica = |_| {
            let (tasks, clock, keys) = (Tasks::new(), clock.clone(), MasterKeys::none());
            let cache = RedisCache::new(&redis.url(), keys, tasks.clone(), clock.clone()).unwrap();
            let cache: Arc<dyn TokenCache> = Arc::new(cache);
            let settings = WecomSettings::new(wecom.base_url().parse().unwrap(), None);
            let client = WecomClient::new(settings, egress::wecom_client(None, None).unwrap());
            let (corps, puppets) = (store.clone(), store.clone());
            let parts = TokenParts { wecom: client, cache: cache.clone(), corps, puppets, tasks: tasks.clone(), clock };
            Replica { tokens: AccessTokens::new(TokenSettings::default(), parts), cache, tasks }
        };
        let replicas = (0..REPLICAS).map(replica).collect();
        for app in apps() {
            drop(wecom.corp(app.corp_id.as_str()).secret(app.secret.expose()));
        }
        Self { redis, wecom, replicas, clock, _data: data }
    }

    /// All callers of all apps on all replicas at once; the leases by app.
    async fn all_ask(&self, ask: impl AsyncFn(&AccessTokens, &App) -> Lease) -> Vec<Vec<Lease>> {
        let of_app = async |app: App| {
            let callers = (0..CALLERS).flat_map(|_| &self.replicas).map(|replica| ask(&replica.tokens, &app));
            join_all(callers).await
        };
        join_all(apps().into_iter().map(of_app)).await
    }

    /// How often WeCom was asked for each app's token.
    fn calls(&self) -> Vec<u64> {
        apps().iter().map(|app| self.wecom.gettoken_calls(app.corp_id.as_str(), app.secret.expose())).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.replicas.iter().for_each(|replica| replica.tasks.stop());
    }
}

fn apps() -> Vec<App> {
    let app =
        |number| App { corp_id: corp(&format!("ww{number}")), secret: Secret::new(format!("secret-of-{number}")) };
    (0..CORPS).map(app).collect()
}

async fn lease(tokens: &AccessTokens, app: &App) -> Lease {
    tokens.lease(app).await.unwrap()
}

/// One token each app, the same for everybody who asked.
fn agreed(leases: &[Vec<Lease>]) -> Vec<Secret> {
    let first = |leases: &Vec<Lease>| {
        assert!(leases.iter().all(|lease| lease.access_token == leases[0].access_token));
        leases[0].access_token.clone()
    };
    leases.iter().map(first).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn one_call_a_token_life() {
    let cluster = Cluster::start().await;
    let first = agreed(&cluster.all_ask(lease).await);
    assert_eq!(cluster.calls(), [1; CORPS]);

    cluster.clock.advance(LIFE);
    let second = agreed(&cluster.all_ask(lease).await);
    assert_eq!(cluster.calls(), [2; CORPS], "at expiry");
    assert!(first.iter().zip(&second).all(|(first, second)| first != second));

    // WeCom revokes them, and every caller sees its token fail.
    let failed = async |tokens: &AccessTokens, app: &App| {
        let rejected = &second[apps().iter().position(|other| other == app).unwrap()];
        tokens.renew(app, rejected).await.unwrap()
    };
    let third = agreed(&cluster.all_ask(failed).await);
    assert_eq!(cluster.calls(), [3; CORPS], "for tokens that failed");
    assert!(second.iter().zip(&third).all(|(second, third)| second != third));
    assert_eq!(agreed(&cluster.all_ask(failed).await), third, "whoever is late gets the current one");
    assert_eq!(cluster.calls(), [3; CORPS]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn without_redis_one_call_a_replica() {
    let mut cluster = Cluster::start().await;
    agreed(&cluster.all_ask(lease).await);
    cluster.redis.kill().await;
    let began = Instant::now();
    agreed(&cluster.all_ask(lease).await);
    assert_eq!(cluster.calls(), [1; CORPS], "what lives is served");
    cluster.clock.advance(LIFE);
    cluster.all_ask(lease).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(cluster.calls().iter().all(|&calls| calls <= 1 + REPLICAS as u64), "{:?}", cluster.calls());

    cluster.redis.start_again().await;
    let calls = cluster.calls();
    // The replicas come to one token again, the one fetched last.
    until(async || {
        cluster.clock.advance(Duration::from_secs(5));
        let leases = cluster.all_ask(lease).await;
        leases.iter().all(|leases| leases.iter().all(|lease| lease.access_token == leases[0].access_token))
    })
    .await;
    assert_eq!(cluster.calls(), calls);
    cluster.clock.advance(LIFE);
    agreed(&cluster.all_ask(lease).await);
    let once_more: Vec<_> = calls.iter().map(|calls| calls + 1).collect();
    assert_eq!(cluster.calls(), once_more);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn redis_frozen_while_everybody_asks() {
    let cluster = Cluster::start().await;
    cluster.wecom.fail_next(Api::GetToken, Fault::HangMs(300), CORPS as u64);
    let freeze = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.redis.freeze();
    };
    let began = Instant::now();
    tokio::join!(cluster.all_ask(lease), freeze);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(cluster.calls().iter().all(|&calls| calls <= REPLICAS as u64), "{:?}", cluster.calls());
    cluster.redis.thaw();
    until(async || {
        join_all(cluster.replicas.iter().map(|replica| replica.cache.check())).await == [Ok(()), Ok(()), Ok(())]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn tokens_in_use_are_renewed_ahead_once() {
    let cluster = Cluster::start().await;
    for replica in &cluster.replicas {
        drop(replica.tasks.spawn(replica.tokens.clone().run_renewals()));
    }
    let first = agreed(&cluster.all_ask(lease).await);
    cluster.clock.advance(LIFE - Duration::from_secs(60));
    until(async || cluster.calls() == [2; CORPS]).await;
    // Every replica has looked once more since.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(cluster.calls(), [2; CORPS]);
    let second = agreed(&cluster.all_ask(lease).await);
    assert!(first.iter().zip(&second).all(|(first, second)| first != second));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_turn_of_a_dead_replica_is_waited_for() {
    let cluster = Cluster::start().await;
    let app = &apps()[0];
    drop(cluster.replicas[0].cache.agreement().begin(&app.key()).await);
    let began = Instant::now();
    cluster.replicas[1].tokens.lease(app).await.unwrap();
    assert!((9..13).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn refusals_are_asked_for_once_and_share_one_budget() {
    let cluster = Cluster::start().await;
    let wrong = |number| App { corp_id: corp("ww0"), secret: Secret::new(format!("wrong-{number}")) };
    let ask = |number: usize| {
        let callers =
            cluster.replicas.iter().map(move |replica| async move { replica.tokens.lease(&wrong(number)).await });
        join_all(callers)
    };
    let outcomes = join_all((0..60).map(ask)).await;
    assert_eq!(cluster.wecom.calls(Api::GetToken), 20);
    let errcode = |outcome: &Result<Lease, TokenError>| outcome.as_ref().unwrap_err().errcode().0;
    let mut answers: Vec<Vec<i64>> = outcomes.iter().map(|of_app| of_app.iter().map(errcode).collect()).collect();
    answers.sort();
    let (refused, not_asked) = answers.split_at(20);
    assert!(refused.iter().all(|of_app| of_app.contains(&40001)), "{answers:?}");
    assert!(not_asked.iter().all(|of_app| *of_app == [45009; REPLICAS]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_superseded_token_is_recognised_by_every_replica() {
    let cluster = Cluster::start().await;
    let app = &apps()[0];
    let [one, other, third] = &cluster.replicas[..] else { unreachable!() };
    let first = lease(&one.tokens, app).await.access_token;
    let second = one.tokens.renew(app, &first).await.unwrap().access_token;
    for replica in [other, third] {
        let recognised = replica.tokens.recognise(&first).await.unwrap();
        assert_eq!((recognised.app, recognised.state), (app.key(), TokenState::Superseded));
        assert_eq!(replica.tokens.recognise(&second).await.unwrap().state, TokenState::Current);
        assert_eq!(replica.tokens.recognise(&Secret::new("foreign")).await, None);
        assert_eq!(replica.tokens.list().await.len(), 1, "operators see all replicas' tokens");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn idle_replicas_ask_nothing() {
    let cluster = Cluster::start().await;
    for replica in &cluster.replicas {
        drop(replica.tasks.spawn(replica.tokens.clone().run_renewals()));
    }
    cluster.all_ask(lease).await;
    let before = cluster.redis.commands().await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    // Those of the second look itself: a greeting and the question.
    assert!(cluster.redis.commands().await - before <= 5);
}

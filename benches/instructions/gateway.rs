//! Calls through the whole gateway in this process, from its router, one after the other.

use anyhow::ensure;
use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use wxkf_gateway::app::{self, App};
use wxkf_gateway::config::{Config, Source};
use wxkf_gateway::domain::{Clock, EncodingAesKey};
use wxkf_gateway::http::routes::Routes;
use wxkf_gateway::lifecycle::{Readiness, Tasks};
use wxkf_gateway::router::{self, Audience};
use wxkf_gateway::telemetry::Metrics;

use crate::events::{self, AES_KEY, CORP, SECRET, TOKEN};
use crate::{measured, world};

/// Accounts that events are spread over, each with a bot at the same address.
const ACCOUNTS: usize = 16;
/// Until connections are open and tables have grown.
const WARM_UP: usize = 200;

/// Callbacks, to a bot on a socket.
pub fn callbacks(times: usize, metrics: Metrics) -> anyhow::Result<()> {
    let (key, clock) = (EncodingAesKey::parse(AES_KEY)?, Clock::default());
    let callback = || {
        let events::Callback { query, body, .. } = events::next(events::News::accounts(ACCOUNTS), &key, &clock);
        Ok(Request::post(format!("/callback/{CORP}?{query}")).body(Body::from(body))?)
    };
    calls(metrics, times, callback)
}

/// Reads of a token that is there.
pub fn tokens(times: usize) -> anyhow::Result<()> {
    let read = format!("/api/corp/accessToken?corpid={CORP}&corpsecret={SECRET}");
    calls(Metrics::install()?, times, || Ok(Request::get(&read).body(Body::empty())?))
}

fn calls(metrics: Metrics, times: usize, call: impl Fn() -> anyhow::Result<Request<Body>>) -> anyhow::Result<()> {
    let made = |times| (0..times).map(|_| call()).collect::<anyhow::Result<Vec<_>>>();
    let directory = tempfile::tempdir()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let routes = runtime.block_on(gateway(&directory.path().to_string_lossy(), metrics))?;
    one_by_one(&runtime, &routes, made(WARM_UP)?)?;
    let calls = made(times)?;
    measured(|| one_by_one(&runtime, &routes, calls))
}

fn one_by_one(runtime: &Runtime, routes: &Routes, calls: Vec<Request<Body>>) -> anyhow::Result<()> {
    runtime.block_on(async {
        for call in calls {
            let answer = routes.serve(call).await?;
            ensure!(answer.status() == StatusCode::OK, "a call was answered {}", answer.status());
        }
        Ok(())
    })
}

async fn gateway(directory: &str, metrics: Metrics) -> anyhow::Result<Routes> {
    let bot = world::start("text/plain", "success".to_owned())?;
    let grant = json!({ "errcode": 0, "errmsg": "ok", "access_token": events::ACCESS_TOKEN, "expires_in": 7200 });
    let wecom = world::start("application/json", grant.to_string())?;
    let settings = [
        ("BIND_ADDRESS", "127.0.0.1"),
        ("DATA_DIR", directory),
        ("REGISTRATION", "open"),
        ("REGISTRATION_GRACE", "0s"),
        ("DISPATCH_TIMEOUT", "60s"),
        ("WECOM_API_BASE_URL", &wecom),
    ];
    let (config, _) = Config::load(&Source::of(settings))?;
    let runtime =
        app::Runtime { clock: Clock::default(), tasks: Tasks::new(), readiness: Readiness::default(), metrics };
    let app = App::build(&config, runtime).await?;
    let routes = router::routes(Audience::Everybody, &app);
    app.starting.finish().await?;
    for index in 0..ACCOUNTS {
        let bot = json!({
            "kfId": events::account(index), "kfName": "benchmark", "endpoint": bot, "corpId": CORP,
            "corpSecret": SECRET, "token": TOKEN, "encodingAESKey": AES_KEY,
        });
        let request = Request::post("/puppetWxkfManager/register").header("content-type", "application/json");
        let answer = routes.serve(request.body(Body::from(bot.to_string()))?).await?;
        ensure!(answer.status() == StatusCode::OK, "a registration was answered {}", answer.status());
    }
    Ok(routes)
}

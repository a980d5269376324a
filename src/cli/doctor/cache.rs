//! Redis, where replicas share access tokens.

use std::time::Duration;

use crate::access_token::{RedisCache, TokenCache as _};
use crate::domain::Clock;
use crate::lifecycle::Tasks;

use super::super::copy::keys;
use super::finding::{Check, Finding, Part, Tried};
use super::setup::Setup;

/// A Redis that is away is left alone for a second; the first connection may take longer than one exchange may.
const TRIES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(1_100), Duration::from_millis(1_100)];

pub(super) fn checks(setup: &Setup) -> Vec<Check<'_>> {
    let what =
        Tried::new(Part::Cache, "redis", "wrote to the Redis of REDIS_URL, within the 200 ms that the gateway waits");
    vec![Check::new(what.clone(), async move { vec![redis(setup, what).await] })]
}

async fn redis(setup: &Setup, tried: Tried) -> Finding {
    let Some(url) = &setup.config.redis_url else {
        let tried = Tried::new(Part::Cache, "", "looked for REDIS_URL");
        return tried.ok("unset: tokens are kept in the process and in the store");
    };
    let (tasks, clock) = (Tasks::new(), Clock::default());
    let cache = match keys(&setup.config).map(|keys| RedisCache::new(url, keys, tasks, clock)) {
        Ok(Ok(cache)) => cache,
        Ok(Err(rule)) => return tried.wrong(format!("REDIS_URL {rule}"), "set REDIS_URL right"),
        Err(error) => return tried.wrong(format!("{error:#}"), "set MASTER_KEY right"),
    };
    let mut fault = String::new();
    for pause in TRIES {
        tokio::time::sleep(pause).await;
        match cache.check().await {
            Ok(()) if fault.is_empty() => return tried.ok("it answers"),
            Ok(()) => {
                let advice = "tokens are fetched without it whenever it is slow: move it nearer";
                return tried.warning(format!("it answers now, but at first: {fault}"), advice);
            }
            Err(reason) => fault = reason,
        }
    }
    let advice = advice(&fault);
    tried.wrong(fault, advice)
}

fn advice(fault: &str) -> &'static str {
    if ["NOAUTH", "WRONGPASS", "NOPERM", "authentication"].iter().any(|word| fault.contains(word)) {
        return "set the user and password in REDIS_URL: redis://user:password@host";
    }
    if fault.contains("Sentinel") {
        return "set the master's name as the Sentinels have it: redis-sentinel://host,host/master-name";
    }
    if fault.contains("OOM") || fault.contains("READONLY") || fault.contains("MISCONF") {
        return "it reads and does not write: give it memory and disk, or the address of its master";
    }
    "see that it runs, and that REDIS_URL names it (rediss:// for TLS); meanwhile replicas fetch tokens of their own"
}

//! Redis: the suite, alone and behind Sentinels, and what only a cache of many replicas promises.

mod outages;
mod replicas;
mod sentinel;
mod shared;

use std::sync::Arc;

use wxkf_gateway::access_token::{RedisCache, TokenCache};
use wxkf_gateway::domain::{Clock, Secret};
use wxkf_gateway::lifecycle::Tasks;
use wxkf_gateway::store::sealed::MasterKeys;

use super::conformance::{Opened, conformance};
use super::samples::clock;
use crate::harness::servers::RedisServer;

fn cache(url: &Secret, clock: &Clock) -> Arc<dyn TokenCache> {
    sealed_cache(url, MasterKeys::none(), clock)
}

fn sealed_cache(url: &Secret, keys: MasterKeys, clock: &Clock) -> Arc<dyn TokenCache> {
    wxkf_gateway::egress::install_tls_provider();
    Arc::new(RedisCache::new(url, keys, Tasks::new(), clock.clone()).unwrap())
}

async fn open() -> Opened {
    let (server, clock) = (RedisServer::start().await.unwrap(), clock());
    let keys = MasterKeys::parse(&MasterKeys::generate()).unwrap();
    let [one, other] = [(); 2].map(|()| sealed_cache(&server.url(), keys.clone(), &clock));
    Opened { one, other, clock, keep: Box::new(server) }
}

mod alone {
    super::conformance!(super::super::open; #[ignore = "needs redis-server"]);
}

mod behind_sentinels {
    use super::super::conformance::Opened;
    use super::{cache, clock};
    use crate::harness::servers::RedisSentinel;

    async fn open() -> Opened {
        let (sentinel, clock) = (RedisSentinel::start().await.unwrap(), clock());
        let [one, other] = [(); 2].map(|()| cache(&sentinel.url(), &clock));
        Opened { one, other, clock, keep: Box::new(sentinel) }
    }

    super::conformance!(super::open; #[ignore = "needs redis-server"]);
}

//! Several replicas over one MongoDB and one Redis, real processes all of them, with a relay before
//! each service that can be cut. The store is FerretDB, which keeps what it acknowledged over a kill.

mod agree;
mod faults;
mod idle;
mod moving;
mod original;
mod outage;
mod rotation;
mod tokens;

use serde_json::json;

use crate::delivery::{Recorder, World};
use crate::harness::servers::{MongoKind, MongoServer, RedisServer, Relay};
use crate::harness::{AES_KEY, CORP, Gateway, TOKEN};

/// What seals the secrets of all replicas.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The services that replicas share.
pub(crate) struct Services {
    store: MongoServer,
    cache: RedisServer,
    to_store: Relay,
    to_cache: Relay,
}

impl Services {
    async fn start() -> Self {
        Self::start_on(MongoKind::FerretDb).await
    }

    pub(crate) async fn start_on(kind: MongoKind) -> Self {
        let store = MongoServer::start(kind).await.unwrap();
        let cache = RedisServer::start().await.unwrap();
        let to_store = Relay::start(store.address()).await;
        let to_cache = Relay::start(cache.address()).await;
        Self { store, cache, to_store, to_cache }
    }

    /// The settings of one replica.
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MONGO_URI", format!("mongodb://{}/wxkf", self.to_store.address())),
            ("REDIS_URL", format!("redis://{}", self.to_cache.address())),
            ("MASTER_KEY", MASTER_KEY.to_owned()),
        ]
    }

    /// One replica with settings of its own.
    pub(crate) async fn replica(&self, settings: &[(&str, &str)]) -> Gateway {
        let shared = self.settings();
        let mut all: Vec<(&str, &str)> = shared.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.extend(settings);
        Gateway::start(&all).await
    }
}

/// Replicas that take every registration, with a declared corp, and lean bots for all of them.
struct Replicas {
    services: Services,
    each: Vec<World>,
    bots: Recorder,
}

impl Replicas {
    async fn start(count: usize, settings: &[(&str, &str)]) -> Self {
        let services = Services::start().await;
        let bots = Recorder::start().await;
        let mut each = Vec::new();
        let settings = [&[("REGISTRATION", "open")], settings].concat();
        for _ in 0..count {
            each.push(World { gateway: services.replica(&settings).await, bots: bots.shared() });
        }
        declare(&each[0].gateway).await;
        Self { services, each, bots }
    }
}

pub(crate) async fn declare(gateway: &Gateway) {
    let corp = json!({ "credentials": [{ "token": TOKEN, "encodingAESKey": AES_KEY }] });
    let declared = gateway.admin(reqwest::Method::PUT, &format!("/corps/{CORP}")).json(&corp).send().await;
    assert_eq!(declared.unwrap().status(), 200);
}

//! MongoDB: the suite on two servers that speak its protocol and fail in different places, and what
//! only the shared store promises.

/// Each case as a test on each server.
macro_rules! on_each_server {
    ($($case:ident),+ $(,)?) => {
        mod ferretdb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs FerretDB: tests/servers/install"]
            async fn $case() {
                super::$case(super::Kind::FerretDb).await;
            })+
        }

        mod mongo_java {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs mongo-java-server: tests/servers/install"]
            async fn $case() {
                super::$case(super::Kind::MongoJava).await;
            })+
        }
    };
}

use on_each_server;

mod ferretdb;
mod mongo_java;
mod original;
mod outage;
mod sealing;
mod server;

use std::sync::Arc;

use wxkf_gateway::domain::Secret;
use wxkf_gateway::lifecycle::Tasks;
use wxkf_gateway::store::mongodb::MongoStore;
use wxkf_gateway::store::sealed::MasterKeys;
use wxkf_gateway::store::{Result, Store};

use self::server::{Kind, Server};
use super::conformance::{self, Opened};

async fn open(kind: Kind) -> Opened {
    let server = shared(kind).await;
    let keys = keys(&[&MasterKeys::generate()]);
    let store = open_with(&server.database(), keys).await.unwrap();
    Opened { store: Arc::new(store), keep: Box::new(server) }
}

async fn shared(kind: Kind) -> Arc<Server> {
    tokio::task::spawn_blocking(move || Server::shared(kind)).await.unwrap()
}

/// One replica.
async fn open_with(uri: &str, keys: MasterKeys) -> Result<MongoStore> {
    let store = MongoStore::new(&Secret::new(uri), keys, &Tasks::new()).unwrap();
    store.prepare().await?;
    Ok(store)
}

fn keys(list: &[&Secret]) -> MasterKeys {
    let list: Vec<_> = list.iter().map(|key| key.expose()).collect();
    MasterKeys::parse(&Secret::new(list.join(","))).unwrap()
}

/// The database without the store, as the original manager or an operator with a shell has it.
async fn raw(uri: &str) -> mongodb::Database {
    mongodb::Client::with_uri_str(uri).await.unwrap().default_database().unwrap()
}

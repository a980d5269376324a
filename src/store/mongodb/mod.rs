//! The store of many replicas: MongoDB, or any service that speaks its protocol.
//!
//! The one decision a reader would question: only what every such service has. No transactions, no
//! partial or TTL indexes, no updates by pipeline, no change streams: rows of an event are inserted
//! and deleted, never overwritten, so that none of these is missed.
//!
//! Collections: `wxkfpuppets`, the original manager's own, and `wxkf_gateway_*`.

mod audit;
mod batch;
mod condition;
mod connection;
mod corps;
mod documents;
mod error;
mod events;
mod insert;
mod keys;
mod list;
mod pairs;
mod puppets;
mod schema;
mod sealed_fields;
mod service_events;
mod services;
mod stock;
mod tokens;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};

use self::batch::{Batcher, Size};
use self::connection::{Connection, Limit, Promise, collection};
use self::documents::text;
use self::error::is_duplicate_key;
use self::events::Holder;
use self::puppets::{PUPPETS, read_puppet};
use self::service_events::Appender;
use super::sealed::MasterKeys;
use super::{Result, Stock, Store, StoreError};
use crate::domain::{Clock, Invalid, OpenKfId, Puppet, Secret};
use crate::lifecycle::Tasks;

/// Registrations that are read with one command.
const READ_TOGETHER: Size = Size { batch: 256, in_flight: 2 };

/// The shared store.
#[derive(Debug)]
pub struct MongoStore {
    connection: Arc<Connection>,
    keys: Arc<MasterKeys>,
    puppet_reads: Batcher<OpenKfId, Option<Puppet>>,
    holder: Holder,
    appender: Appender,
    /// Held while rows are claimed: servers whose updates are not atomic row by row must not give one
    /// row to two workers of this process.
    claiming: tokio::sync::Mutex<()>,
}

impl MongoStore {
    /// The store at this `MONGO_URI`, whose secrets are sealed with the first of the keys. Connects
    /// when it is first asked.
    pub fn new(uri: &Secret, keys: MasterKeys, tasks: &Tasks, clock: Clock) -> Result<Self, Invalid> {
        let (connection, keys) = (Arc::new(Connection::new(uri)?), Arc::new(keys));
        let puppet_reads = Batcher::new(tasks, READ_TOGETHER, {
            let (connection, keys) = (connection.clone(), keys.clone());
            move |kfs| read_puppets(connection.clone(), keys.clone(), kfs)
        });
        let holder = Holder::new(&connection, tasks, clock);
        let appender = Appender::new(&connection, tasks);
        Ok(Self { connection, keys, puppet_reads, holder, appender, claiming: tokio::sync::Mutex::default() })
    }

    /// Fails when a value needs a key that is not among the store's. Changes nothing.
    pub async fn check_keys(&self) -> Result<()> {
        keys::check_all(&self.connection, &self.keys).await
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn prepare(&self) -> Result<()> {
        schema::prepare(&self.connection).await?;
        keys::prepare(&self.connection, &self.keys).await
    }

    /// Reads what callbacks read. While promised writes fail, one more is tried: a server can be full,
    /// or without a majority, and read well.
    async fn check(&self) -> Result<()> {
        let find = async |db| collection(&db, PUPPETS, Promise::Durable).find_one(doc! {}).await.map(drop);
        self.connection.run(Limit::Callback, find).await?;
        if self.connection.refuses_writes() {
            schema::rewrite_version(&self.connection).await?;
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "mongodb"
    }

    async fn stock(&self) -> Result<Stock> {
        stock::count(self).await
    }
}

/// The registrations of these accounts, in their order.
async fn read_puppets(
    connection: Arc<Connection>,
    keys: Arc<MasterKeys>,
    kfs: Vec<OpenKfId>,
) -> Result<Vec<Result<Option<Puppet>>>> {
    let documents: Vec<Document> = match kfs.as_slice() {
        [one] => {
            let filter = doc! { "kfOpenId": one.as_str() };
            let find = async |db| collection(&db, PUPPETS, Promise::Durable).find_one(filter).await;
            connection.run(Limit::Callback, find).await?.into_iter().collect()
        }
        several => {
            let ids: Vec<&str> = several.iter().map(OpenKfId::as_str).collect();
            let filter = doc! { "kfOpenId": { "$in": ids } };
            let find = async |db| collection(&db, PUPPETS, Promise::Durable).find(filter).await?.try_collect().await;
            connection.run(Limit::Callback, find).await?
        }
    };
    let found: HashMap<&str, &Document> =
        documents.iter().filter_map(|document| Some((text(document, "kfOpenId").ok()?, document))).collect();
    let read = |kf: &OpenKfId| found.get(kf.as_str()).map(|document| read_puppet(&keys, document)).transpose();
    Ok(kfs.iter().map(read).collect())
}

/// Once more when another writer inserted the same document meanwhile: then it is there to be updated.
async fn retried<T, W>(write: impl Fn() -> W) -> mongodb::error::Result<T>
where
    W: IntoFuture<Output = mongodb::error::Result<T>>,
{
    match write().await {
        Err(error) if is_duplicate_key(&error) => write().await,
        other => other,
    }
}

/// What a newer release wrote, this one must not touch.
fn newer(found: i64, known: i64) -> StoreError {
    let reason = format!("it is {found}, and this release knows {known}: start the newer release");
    StoreError::Damaged { place: "version of the MongoDB database".to_owned(), reason }
}

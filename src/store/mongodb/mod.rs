//! The store of many replicas: any service that speaks MongoDB's protocol.
//!
//! The one decision a reader would question: it asks for no more than all of them have. No
//! transactions, no partial or expiring indexes, no updates by pipeline; what depends on one step is
//! one document, or one filter.
//!
//! The collection of bots is the original manager's (see `puppets.rs`); ours are named
//! `wxkf_gateway_…`. Secrets are bound to the same places as in the embedded store.

mod batch;
mod condition;
mod connection;
mod corps;
mod documents;
mod error;
mod events;
mod keys;
mod pairs;
mod puppets;
mod schema;
mod sealed_fields;
mod tokens;

use std::sync::Arc;

use async_trait::async_trait;

use self::batch::Batcher;
use self::connection::{Connection, Limit};
use self::events::Holder;
use super::sealed::MasterKeys;
use super::{Result, Store};
use crate::domain::{Invalid, OpenKfId, Puppet, Secret};
use crate::lifecycle::Tasks;

/// The shared store.
#[derive(Debug)]
pub struct MongoStore {
    connection: Arc<Connection>,
    keys: Arc<MasterKeys>,
    holder: Holder,
    puppet_reads: Batcher<OpenKfId, Option<Puppet>>,
    /// Claims of this process take turns.
    claiming: tokio::sync::Mutex<()>,
}

impl MongoStore {
    /// Connects at the first use, so that a store that is away can be waited for; the error is the
    /// rule that the URI breaks. Commands that concurrent callers share are tasks of the gateway.
    pub fn new(uri: &Secret, keys: MasterKeys, tasks: &Tasks) -> Result<Self, Invalid> {
        let (connection, keys) = (Arc::new(Connection::new(uri)?), Arc::new(keys));
        Ok(Self {
            holder: Holder::new(&connection, tasks),
            puppet_reads: puppets::reads(&connection, &keys, tasks),
            claiming: tokio::sync::Mutex::default(),
            connection,
            keys,
        })
    }
}

#[async_trait]
impl Store for MongoStore {
    async fn prepare(&self) -> Result<()> {
        schema::prepare(&self.connection).await?;
        keys::prepare(&self.connection, &self.keys).await?;
        self.check().await
    }

    async fn check(&self) -> Result<()> {
        schema::read(&self.connection, Limit::Callback).await?;
        if self.connection.refuses_writes() {
            schema::write(&self.connection).await?;
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "mongodb"
    }
}

/// Insertions of the same key that race meet in its unique index; the loser finds the document then.
async fn retried<T, F>(write: impl Fn() -> F) -> mongodb::error::Result<T>
where
    F: Future<Output = mongodb::error::Result<T>>,
{
    match write().await {
        Err(error) if error::is_duplicate_key(&error) => write().await,
        other => other,
    }
}

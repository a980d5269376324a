//! A few connections for reading, each used by one blocking task at a time. Reading never waits for
//! the writer, nor the writer for it: that is what the write-ahead log is for.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::store::{Result, StoreError};

#[derive(Debug)]
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let permits = Arc::new(Semaphore::new(connections.len()));
        Self { idle: Arc::new(Mutex::new(connections)), permits }
    }

    /// Runs the work on an idle connection. The connection comes back even when the caller gives up.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let gone = || StoreError::Unavailable("no connection is left for reading".to_owned());
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| gone())?;
        let idle = Arc::clone(&self.idle);
        let reading = tokio::task::spawn_blocking(move || {
            let connection = idle.lock().pop().ok_or_else(gone)?;
            let result = work(&connection);
            idle.lock().push(connection);
            drop(permit);
            result
        });
        reading.await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

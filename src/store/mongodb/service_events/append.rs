//! Insertion of what callbacks bring: many callbacks share a command.

use std::sync::Arc;

use mongodb::bson::Document;

use super::QUEUED;
use super::document::write_queued;
use crate::lifecycle::Tasks;
use crate::store::mongodb::batch::{Batcher, Size};
use crate::store::mongodb::connection::Connection;
use crate::store::mongodb::insert::insert_absent;
use crate::store::{QueuedEvent, Result};

/// Callbacks, each with an event of some kilobytes for every service that takes it.
const TOGETHER: Size = Size { batch: 128, in_flight: 2 };

/// Appends the events of a callback together: all of them, or the callback is not taken.
#[derive(Debug)]
pub(in crate::store::mongodb) struct Appender(Batcher<Vec<QueuedEvent>, ()>);

impl Appender {
    pub(in crate::store::mongodb) fn new(connection: &Arc<Connection>, tasks: &Tasks) -> Self {
        let connection = connection.clone();
        Self(Batcher::new(tasks, TOGETHER, move |callbacks| {
            let connection = connection.clone();
            async move { insert(&connection, &callbacks).await }
        }))
    }

    pub(in crate::store::mongodb) async fn append(&self, events: &[QueuedEvent]) -> Result<()> {
        self.0.submit(events.to_vec()).await
    }
}

/// One result a callback.
async fn insert(connection: &Connection, callbacks: &[Vec<QueuedEvent>]) -> Result<Vec<Result<()>>> {
    let documents: Vec<Document> = callbacks.iter().flatten().map(write_queued).collect();
    if documents.is_empty() {
        return Ok(vec![Ok(()); callbacks.len()]);
    }
    let mut results = insert_absent(connection, QUEUED, &documents).await?.into_iter();
    Ok(callbacks.iter().map(|events| results.by_ref().take(events.len()).collect()).collect())
}

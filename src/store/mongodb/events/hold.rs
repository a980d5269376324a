//! Insertion of held events: what many callbacks hold at once goes out in one command.

use std::sync::Arc;

use mongodb::bson::{Document, doc};

use super::HELD;
use super::document::{LIVE, write_held};
use super::rank::{Needless, Newest};
use crate::domain::Clock;
use crate::lifecycle::Tasks;
use crate::store::mongodb::batch::{Batcher, Size};
use crate::store::mongodb::connection::{Connection, Limit, Promise, collection};
use crate::store::mongodb::insert::insert_absent;
use crate::store::{HeldEvent, HeldState, Result};

/// A callback's body is some kilobytes, so that a batch stays far below a server's limit of 48 MB. Two
/// in flight: one that is stuck does not stop all, and more would only share the server's one journal
/// (FerretDB's writers even starve one another).
const TOGETHER: Size = Size { batch: 256, in_flight: 2 };
/// Rows that one batch made needless, some batches together.
const DELETED_TOGETHER: Size = Size { batch: 16, in_flight: 1 };

#[derive(Debug)]
pub(in crate::store::mongodb) struct Holder {
    insertions: Batcher<HeldEvent, ()>,
}

impl Holder {
    pub(in crate::store::mongodb) fn new(connection: &Arc<Connection>, tasks: &Tasks, clock: Clock) -> Self {
        let newest = Arc::new(Newest::new());
        let own = connection.clone();
        let deletions = Arc::new(Batcher::new(tasks, DELETED_TOGETHER, move |needless| delete(own.clone(), needless)));
        let (own, own_tasks) = (connection.clone(), tasks.clone());
        let insertions = Batcher::new(tasks, TOGETHER, move |rows: Vec<HeldEvent>| {
            let (connection, newest, clock) = (own.clone(), newest.clone(), clock.clone());
            let (deletions, tasks) = (deletions.clone(), own_tasks.clone());
            async move {
                let results = insert(&connection, &rows).await?;
                let durable = rows.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(row, _)| row);
                let live = durable.filter(|row| row.state == HeldState::Live);
                let now = clock.now();
                let needless: Vec<Needless> = live.filter_map(|row| newest.replace(row, now)).collect();
                // Nobody waits for it, and what it does not delete is swept.
                if !needless.is_empty() {
                    tasks.spawn(async move { deletions.submit(needless).await });
                }
                Ok(results)
            }
        });
        Self { insertions }
    }

    pub(in crate::store::mongodb) async fn hold(&self, held: &HeldEvent) -> Result<()> {
        self.insertions.submit(held.clone()).await
    }
}

async fn insert(connection: &Connection, rows: &[HeldEvent]) -> Result<Vec<Result<()>>> {
    let documents: Vec<Document> = rows.iter().map(write_held).collect::<Result<_>>()?;
    insert_absent(connection, HELD, &documents).await
}

/// Rows that a newer durable one replaced. One that was given up meanwhile is left to the operator. Of the young
/// ones the id alone is asked for: a server with a simple planner reads all rows when it is asked for more.
async fn delete(connection: Arc<Connection>, needless: Vec<Vec<Needless>>) -> Result<Vec<Result<()>>> {
    let results = vec![Ok(()); needless.len()];
    let (young, old): (Vec<_>, Vec<_>) = needless.into_iter().flatten().partition(|row| row.is_young);
    let ids = |rows: Vec<Needless>| doc! { "$in": rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>() };
    if !young.is_empty() {
        delete_rows(&connection, doc! { "_id": ids(young) }).await?;
    }
    if !old.is_empty() {
        delete_rows(&connection, doc! { "_id": ids(old), "state": LIVE }).await?;
    }
    Ok(results)
}

async fn delete_rows(connection: &Connection, filter: Document) -> Result<()> {
    let delete = async |db| collection(&db, HELD, Promise::Light).delete_many(filter).await;
    connection.run(Limit::Callback, delete).await.map(drop)
}

//! Keeps events by the driver's `insert_many`: whatever waits goes into one command.

use anyhow::Context as _;
use axum::Router;
use bytes::Bytes;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};
use mongodb::options::{CollectionOptions, WriteConcern};
use mongodb::{Client, Collection};
use tokio::sync::mpsc;

use super::keeper::{self, BATCH, Event};

pub async fn router(uri: &str) -> anyhow::Result<Router> {
    let database = Client::with_uri_str(uri).await?.default_database().context("the URI names no database")?;
    // As the gateway promises it: in the journals of a majority.
    let mut concern = WriteConcern::majority();
    concern.journal = Some(true);
    let options = CollectionOptions::builder().write_concern(concern).build();
    let (router, waiting) = keeper::router(document)?;
    #[expect(clippy::disallowed_methods, reason = "lives as long as the program")]
    tokio::spawn(write_batches(database.collection_with_options("events", options), waiting));
    Ok(router)
}

fn document(account: String, query: String, body: Bytes) -> Document {
    let body = Binary { subtype: BinarySubtype::Generic, bytes: body.to_vec() };
    doc! { "account": account, "query": query, "body": body }
}

/// Events of a command that fails are dropped.
async fn write_batches(collection: Collection<Document>, mut waiting: mpsc::Receiver<Event<Document>>) {
    let mut events = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut events, BATCH).await > 0 {
        let (documents, answers): (Vec<_>, Vec<_>) = events.drain(..).map(|Event { row, kept }| (row, kept)).unzip();
        if collection.insert_many(documents).ordered(false).await.is_ok() {
            for kept in answers {
                // Its caller may have gone.
                let _ = kept.send(());
            }
        }
    }
}

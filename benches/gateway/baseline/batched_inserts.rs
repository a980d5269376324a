//! Verifies, decrypts, and keeps: whatever waits is inserted by the driver's `insert_many`, and all are
//! answered when that is.

use anyhow::Context as _;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc};
use mongodb::options::{CollectionOptions, WriteConcern};
use mongodb::{Client, Collection};
use tokio::sync::{mpsc, oneshot};
use wxkf_gateway::domain::EncodingAesKey;

use super::{BATCH, QUEUE, open};
use crate::events::AES_KEY;

struct Event {
    document: Document,
    inserted: oneshot::Sender<()>,
}

#[derive(Clone)]
struct Keeper {
    key: EncodingAesKey,
    queue: mpsc::Sender<Event>,
}

pub async fn router(uri: &str) -> anyhow::Result<Router> {
    let database = Client::with_uri_str(uri).await?.default_database().context("the URI names no database")?;
    // As the gateway promises it: in the journals of a majority.
    let mut concern = WriteConcern::majority();
    concern.journal = Some(true);
    let options = CollectionOptions::builder().write_concern(concern).build();
    let (queue, waiting) = mpsc::channel(QUEUE);
    #[expect(clippy::disallowed_methods, reason = "lives as long as the program")]
    tokio::spawn(write_batches(database.collection_with_options("events", options), waiting));
    let key = EncodingAesKey::parse(AES_KEY)?;
    Ok(Router::new().route("/callback/{corp}", post(keep)).with_state(Keeper { key, queue }))
}

async fn keep(State(keeper): State<Keeper>, RawQuery(query): RawQuery, body: Bytes) -> StatusCode {
    let query = query.unwrap_or_default();
    let Some(account) = open(&keeper.key, &query, &body) else { return StatusCode::FORBIDDEN };
    let body = Binary { subtype: BinarySubtype::Generic, bytes: body.to_vec() };
    let document = doc! { "account": account, "query": query, "body": body };
    let (inserted, answer) = oneshot::channel();
    let sent = keeper.queue.send(Event { document, inserted }).await;
    if sent.is_ok() && answer.await.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Events of a command that fails are dropped unanswered, which their callers notice.
async fn write_batches(collection: Collection<Document>, mut waiting: mpsc::Receiver<Event>) {
    let mut events = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut events, BATCH).await > 0 {
        let (documents, answers): (Vec<_>, Vec<_>) =
            events.drain(..).map(|Event { document, inserted }| (document, inserted)).unzip();
        if collection.insert_many(documents).ordered(false).await.is_ok() {
            for inserted in answers {
                // Its caller may have gone.
                let _ = inserted.send(());
            }
        }
    }
}

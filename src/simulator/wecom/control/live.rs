//! The journal as it grows, as server-sent events: what the page listens to.

use std::convert::Infallible;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream, StreamExt as _};
use http::HeaderMap;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Sim;
use super::time::{After, JournalEntry};
use crate::simulator::Entry;
use crate::simulator::wecom::Happening;

/// Everything that happens, as it happens
///
/// Server-sent events: the journal after `after`, or after the `Last-Event-ID` of a browser that comes
/// back, and from there on without end. An event's id is the entry's number.
#[utoipa::path(
    get, path = "/simulator/events/stream", operation_id = "journalStream", tag = "Time", params(After),
    responses((status = 200, description = "`text/event-stream` of journal entries", content_type = "text/event-stream")),
)]
pub(super) async fn events(
    State(shared): Sim,
    Query(query): Query<After>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let seen = last.unwrap_or(query.after);
    let (before, news) = shared.journal.follow_from_start();
    let before = before.into_iter().filter(move |entry| entry.number > seen);
    let from_now_on = stream::unfold(news, |mut news| async { next(&mut news).await.map(|entry| (entry, news)) });
    let entries = stream::iter(before).chain(from_now_on);
    Sse::new(entries.map(|entry| Ok(event(entry)))).keep_alive(KeepAlive::default())
}

/// Who falls far behind misses what is no longer there and goes on with the rest.
async fn next(news: &mut Receiver<Entry<Happening>>) -> Option<Entry<Happening>> {
    loop {
        match news.recv().await {
            Ok(entry) => return Some(entry),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

fn event(entry: Entry<Happening>) -> Event {
    let number = entry.number.to_string();
    let event = Event::default().id(number);
    // Plain data: it can always be written as JSON.
    event.json_data(JournalEntry::from(entry)).unwrap_or_default()
}

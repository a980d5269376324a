//! Parts of pages that move: rendered anew every so often, and sent when they changed.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::Stream;
use tokio::time::{Instant, Interval, interval};

use crate::http::health::Health;

/// After so long the browser asks again, and whoever is no longer signed in is noticed.
pub(super) const LIFE: Duration = Duration::from_secs(5 * 60);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Ends when the gateway is told to stop: an open stream would hold up the drain.
pub(super) fn part<R, F>(health: Health, every: Duration, render: R) -> Response
where
    R: FnMut() -> F + Send + 'static,
    F: Future<Output = Option<String>> + Send + 'static,
{
    let state = Part { health, render, ticks: interval(every), ends: Instant::now() + LIFE, last: None };
    let stream = futures::stream::unfold(state, |mut state| async move {
        let html = state.next().await?;
        Some((Ok(event(&html)), state))
    });
    kept_alive(stream)
}

/// A stream with a sign of life now and then, so that no proxy takes it for dead, and none gathers it.
pub(super) fn kept_alive<S>(stream: S) -> Response
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    let stream = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    ([("x-accel-buffering", "no")], stream).into_response()
}

/// An event may hold no carriage return.
pub(super) fn event(html: &str) -> Event {
    Event::default().data(html.replace('\r', ""))
}

struct Part<R> {
    health: Health,
    render: R,
    ticks: Interval,
    ends: Instant,
    last: Option<String>,
}

impl<R, F> Part<R>
where
    R: FnMut() -> F,
    F: Future<Output = Option<String>>,
{
    /// The next rendering that differs from the one before.
    async fn next(&mut self) -> Option<String> {
        while Instant::now() < self.ends {
            tokio::select! {
                () = self.health.draining() => return None,
                _ = self.ticks.tick() => {}
            }
            let html = (self.render)().await;
            if html.is_some() && html != self.last {
                self.last.clone_from(&html);
                return html;
            }
        }
        None
    }
}

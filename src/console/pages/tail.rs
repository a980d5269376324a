//! The live tail: every hop of this replica's callbacks, from the moment somebody looks.

use std::convert::Infallible;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::response::sse::Event;
use futures::Stream;
use tokio::time::Instant;

use crate::console::shell::{Shell, part, render};
use crate::console::stream::{self, LIFE};
use crate::console::text::Words;
use crate::http::health::Health;
use crate::live::{Hop, Live, Seen, Step, Watch};

#[derive(Template)]
#[template(path = "tail.html", config = "src/console/askama.toml")]
struct TailPage<'p> {
    shell: &'p Shell,
    t: &'static Words,
}

/// One hop. The script puts it into the row of its event.
#[derive(Template)]
#[template(path = "hop.html", config = "src/console/askama.toml")]
struct HopPart {
    t: &'static Words,
    event: String,
    at: String,
    clock: String,
    corp: String,
    taker: String,
    kind: &'static str,
    word: &'static str,
    note: String,
}

pub async fn page(shell: Shell) -> Response {
    render(StatusCode::OK, &TailPage { shell: &shell, t: shell.t })
}

/// The hops, from now on.
pub async fn hops(shell: Shell, State(live): State<Live>, State(health): State<Health>) -> Response {
    stream::kept_alive(tail(shell.t, live.watch(), health))
}

fn tail(t: &'static Words, watch: Watch, health: Health) -> impl Stream<Item = Result<Event, Infallible>> {
    let ends = Instant::now() + LIFE;
    futures::stream::unfold((watch, health), move |(mut watch, health)| async move {
        let seen = tokio::select! {
            seen = watch.next() => seen,
            () = health.draining() => return None,
            () = tokio::time::sleep_until(ends) => return None,
        };
        let event = match seen {
            Seen::Hop(hop) => stream::event(&part(&HopPart::of(t, &hop))),
            Seen::Missed(count) => {
                Event::default().event("missed").data(t.hops_missed.replace("{}", &count.to_string()))
            }
        };
        Some((Ok(event), (watch, health)))
    })
}

impl HopPart {
    fn of(t: &'static Words, hop: &Hop) -> Self {
        let (kind, word, note) = step(t, &hop.step);
        Self {
            t,
            event: hop.event.as_ref().map(ToString::to_string).unwrap_or_default(),
            at: hop.at.to_string(),
            clock: hop.at.strftime("%H:%M:%S%.3f").to_string(),
            corp: hop.corp.as_ref().map(ToString::to_string).unwrap_or_default(),
            taker: hop.taker.as_deref().unwrap_or_default().to_owned(),
            kind,
            word,
            note,
        }
    }
}

/// How it is shown, the word for it, and what else there is to say.
fn step(t: &Words, step: &Step) -> (&'static str, &'static str, String) {
    match step {
        Step::Checked => ("good", t.hop_checked, String::new()),
        Step::Verified => ("plain", t.hop_verified, String::new()),
        Step::NotTaken(name) => ("plain", t.hop_not_taken, name.to_string()),
        Step::Refused(class) => ("bad", t.hop_refused, t.refusal(class)),
        Step::Superseded => ("plain", t.hop_superseded, String::new()),
        Step::Joined => ("plain", t.hop_joined, String::new()),
        Step::Queued(name) => ("plain", t.hop_queued, name.to_string()),
        Step::Delivered(_) => ("good", t.hop_delivered, String::new()),
        Step::Failed(error) => ("bad", t.hop_failed, t.say(error)),
        Step::Stored(reason) => ("warn", t.hop_stored, t.say(reason)),
        Step::Expired => ("bad", t.hop_expired, String::new()),
    }
}

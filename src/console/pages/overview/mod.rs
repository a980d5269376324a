//! The first page: how things stand, what needs somebody, and what this replica did in the last hour. With
//! no corp yet, the way from nothing to a verified callback.

mod concerns;
mod numbers;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::admin::Desk;
use crate::console::chart;
use crate::console::shell::{Shell, part, render};
use crate::console::stream;
use crate::console::text::Words;
use crate::domain::grouped;
use crate::http::health::{Health, Ready};
use crate::http::problem::Problem;
use crate::live::{Live, Rate};

use super::corps::NewCorp;
use concerns::Concern;
use numbers::Numbers;

const EVERY: Duration = Duration::from_secs(3);

#[derive(Template)]
#[template(path = "overview.html", config = "src/console/askama.toml")]
struct OverviewPage<'p> {
    shell: &'p Shell,
    t: &'static Words,
    /// Nothing is set up yet: the form of the first corp.
    first: Option<NewCorp>,
    is_ready: bool,
    standing: String,
}

/// What moves.
#[derive(Template)]
#[template(path = "standing.html", config = "src/console/askama.toml")]
struct Standing<'p> {
    shell: &'p Shell,
    t: &'static Words,
    ready: Ready,
    concerns: Vec<Concern>,
    tiles: Vec<Tile>,
    charts: Vec<Chart>,
}

/// A number with where to look further.
struct Tile {
    name: &'static str,
    number: String,
    note: String,
    path: &'static str,
    is_bad: bool,
}

struct Chart {
    name: &'static str,
    total: String,
    peak: String,
    bars: String,
}

pub async fn page(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    State(live): State<Live>,
    State(health): State<Health>,
) -> Response {
    let corps = match desk.list_corps().await {
        Ok(corps) => corps,
        Err(problem) => return shell.problem(&problem),
    };
    let first = corps.is_empty().then(NewCorp::default);
    let standing = match standing(&shell, &desk, &live, &health).await {
        Ok(standing) => standing,
        Err(problem) => return shell.problem(&problem),
    };
    let is_ready = health.report().await.status == "ready";
    render(StatusCode::OK, &OverviewPage { shell: &shell, t: shell.t, first, is_ready, standing })
}

/// The same, as it changes.
pub async fn live(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    State(live): State<Live>,
    State(health): State<Health>,
) -> Response {
    let looked_at = health.clone();
    let render = move || {
        // Rendered for the page, which stands one level higher.
        let shell = shell.at("");
        let (desk, live, health) = (desk.clone(), live.clone(), health.clone());
        async move { standing(&shell, &desk, &live, &health).await.ok() }
    };
    stream::part(looked_at, EVERY, render)
}

async fn standing(shell: &Shell, desk: &Desk, live: &Live, health: &Health) -> Result<String, Problem> {
    let t = shell.t;
    let (ready, corps) = (health.report().await, desk.list_corps().await?);
    let numbers = Numbers::of(desk).await?;
    let concerns = concerns::of(shell, desk, &ready, &corps, &numbers);
    let charts = Rate::ALL.map(|rate| chart(t, live, rate)).into();
    let tiles = tiles(&numbers, shell, corps.len());
    Ok(part(&Standing { shell, t, ready, concerns, tiles, charts }))
}

fn chart(t: &Words, live: &Live, rate: Rate) -> Chart {
    let hour = live.last_hour(rate);
    let name = match rate {
        Rate::Callbacks => t.rate_callbacks,
        Rate::Dispatched => t.rate_dispatched,
        Rate::Stored => t.rate_stored,
        Rate::Refused => t.rate_refused,
        Rate::Proxied => t.rate_proxied,
    };
    Chart { name, total: grouped(hour.total()), peak: grouped(hour.peak().into()), bars: chart::bars(&hour) }
}

fn tiles(numbers: &Numbers, shell: &Shell, corps: usize) -> Vec<Tile> {
    let t = shell.t;
    let next = numbers.next_expiry.as_deref().map(|at| format!("{} {}", t.next_expires, shell.ago(at)));
    let away = numbers.bots.away.len();
    let bots = format!("{away} {} · {} {}", t.away, numbers.bots.offline, t.offline);
    let tile = |name, number: String, note: String, path, is_bad| Tile { name, number, note, path, is_bad };
    vec![
        tile(t.corps, grouped(corps as u64), String::new(), "corps", false),
        tile(
            t.bots_online,
            grouped(numbers.bots.online as u64),
            bots,
            "bots",
            away > 0 || !numbers.bots.failing.is_empty(),
        ),
        tile(t.events_held, numbers.held.text(), t.events_held_note.to_owned(), "deliveries?state=live", false),
        tile(
            t.events_expired,
            numbers.expired.text(),
            t.events_expired_note.to_owned(),
            "deliveries?state=expired",
            !numbers.expired.is_none(),
        ),
        tile(
            t.services_backlog,
            numbers.waiting.text(),
            format!("{} {}", t.services_behind, numbers.behind.len()),
            "deliveries",
            false,
        ),
        tile(
            t.tokens,
            grouped(numbers.tokens as u64),
            next.unwrap_or_default(),
            "tokens",
            !numbers.without_token.is_empty(),
        ),
    ]
}

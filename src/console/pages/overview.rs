//! The first page: how things stand, what needs somebody, and what this replica did in the last hour. With
//! no corp yet, the way from nothing to a verified callback.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::admin::Desk;
use crate::admin::corps::CorpView;
use crate::console::chart::{self, grouped};
use crate::console::shell::{Shell, part, render};
use crate::console::stream;
use crate::console::text::Words;
use crate::domain::CorpId;
use crate::http::health::{Health, Ready};
use crate::http::problem::Problem;
use crate::live::{Live, Rate};
use crate::store::{HeldFilter, HeldState, QueueFilter, Store};

use super::corps::NewCorp;

const EVERY: Duration = Duration::from_secs(3);
/// What is counted row by row is counted up to here.
const COUNTED: usize = 1_000;
/// Things of one kind that are named one by one.
const NAMED: usize = 5;

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

/// Something that somebody should look at.
struct Concern {
    what: String,
    why: String,
    path: String,
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
    let concerns = concerns(t, desk, &ready, &corps, &numbers);
    let charts = Rate::ALL.map(|rate| chart(t, live, rate)).into();
    let tiles = numbers.tiles(shell, corps.len());
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

/// A number that may stand for more.
#[derive(Clone, Copy)]
struct Count(usize);

impl Count {
    fn text(self) -> String {
        let number = grouped(self.0.min(COUNTED) as u64);
        if self.0 > COUNTED { format!("{number}+") } else { number }
    }
}

struct Numbers {
    online: usize,
    offline: usize,
    /// Names of those to which no connection comes about.
    away: Vec<String>,
    held: Count,
    expired: Count,
    waiting: Count,
    /// Services for which something waits.
    behind: Vec<String>,
    tokens: usize,
    next_expiry: Option<String>,
    /// Apps whose token cannot be renewed, with the reason.
    failing: Vec<(String, String)>,
}

impl Numbers {
    async fn of(desk: &Desk) -> Result<Self, Problem> {
        let store = &*desk.store;
        let (online, offline, away) = bots(store).await?;
        let held = async |state| {
            let filter = HeldFilter { state: Some(state), ..HeldFilter::default() };
            store.list_held(&filter, None, COUNTED + 1).await.map(|rows| rows.len())
        };
        let queued = async |state| {
            let filter = QueueFilter { state: Some(state), ..QueueFilter::default() };
            store.list_queued(&filter, None, COUNTED + 1).await
        };
        let waiting = queued(HeldState::Live).await?;
        let mut behind: Vec<String> = waiting.iter().map(|row| row.event.service.to_string()).collect();
        behind.sort_unstable();
        behind.dedup();
        let expired = held(HeldState::Expired).await? + queued(HeldState::Expired).await?.len();
        let tokens = desk.list_tokens().await;
        let failing = tokens.iter().filter_map(|token| Some((token.corp_id.clone(), token.last_error.clone()?)));
        Ok(Self {
            online,
            offline,
            away,
            held: Count(held(HeldState::Live).await?),
            expired: Count(expired),
            waiting: Count(waiting.len()),
            behind,
            next_expiry: tokens.iter().filter_map(|token| token.expires_at.clone()).min(),
            failing: failing.collect(),
            tokens: tokens.len(),
        })
    }

    fn tiles(&self, shell: &Shell, corps: usize) -> Vec<Tile> {
        let t = shell.t;
        let next = self.next_expiry.as_deref().map(|at| format!("{} {}", t.next_expires, shell.ago(at)));
        let away = self.away.len();
        let bots = format!("{away} {} · {} {}", t.away, self.offline, t.offline);
        let tile = |name, number: String, note: String, path, is_bad| Tile { name, number, note, path, is_bad };
        vec![
            tile(t.corps, grouped(corps as u64), String::new(), "corps", false),
            tile(t.bots_online, grouped(self.online as u64), bots, "bots", away > 0),
            tile(t.events_held, self.held.text(), t.events_held_note.to_owned(), "deliveries?state=live", false),
            tile(
                t.events_expired,
                self.expired.text(),
                t.events_expired_note.to_owned(),
                "deliveries?state=expired",
                self.expired.0 > 0,
            ),
            tile(
                t.services_backlog,
                self.waiting.text(),
                format!("{} {}", t.services_behind, self.behind.len()),
                "deliveries",
                false,
            ),
            tile(t.tokens, grouped(self.tokens as u64), next.unwrap_or_default(), "tokens", !self.failing.is_empty()),
        ]
    }
}

async fn bots(store: &dyn Store) -> Result<(usize, usize, Vec<String>), Problem> {
    let (mut online, mut offline, mut away, mut after) = (0, 0, Vec::new(), None);
    loop {
        let page = store.puppets(after.as_ref(), COUNTED).await?;
        after = page.last().map(|bot| bot.kf_id.clone());
        let is_last = page.len() < COUNTED;
        for bot in page {
            match (bot.online, bot.away_since) {
                (false, _) => offline += 1,
                (true, None) => online += 1,
                (true, Some(_)) => away.push(if bot.name.is_empty() { bot.kf_id.to_string() } else { bot.name }),
            }
        }
        if is_last {
            return Ok((online, offline, away));
        }
    }
}

fn concerns(t: &Words, desk: &Desk, ready: &Ready, corps: &[CorpView], numbers: &Numbers) -> Vec<Concern> {
    let concern = |what: String, why: String, path: &str| Concern { what, why, path: path.to_owned() };
    let mut all = Vec::new();
    for part in &ready.degraded {
        all.push(concern(t.part_fails.replace("{}", part.part), t.say(&part.error), ""));
    }
    for corp in corps {
        let Ok(id) = CorpId::parse(&corp.corp_id) else { continue };
        let Some(failure) = desk.callbacks.last_failure(&id) else { continue };
        if desk.callbacks.last_verified(&id).is_none_or(|verified| verified.at < failure.at) {
            let what = t.corp_fails.replace("{}", &corp.corp_id);
            all.push(concern(what, t.cause(&failure.cause).0, &format!("corps/{}", corp.corp_id)));
        }
    }
    if !numbers.away.is_empty() {
        let mut names = numbers.away.iter().take(NAMED).cloned().collect::<Vec<_>>().join(t.comma);
        if numbers.away.len() > NAMED {
            names.push_str(" …");
        }
        let what = t.bots_away.replace("{}", &numbers.away.len().to_string());
        all.push(concern(what, format!("{names}{}{}", t.dash, t.bots_away_do), "bots"));
    }
    if numbers.expired.0 > 0 {
        let what = t.events_given_up.replace("{}", &numbers.expired.text());
        all.push(concern(what, t.events_given_up_do.to_owned(), "deliveries?state=expired"));
    }
    for (corp, error) in numbers.failing.iter().take(NAMED) {
        all.push(concern(t.token_fails.replace("{}", corp), t.say(error), "tokens"));
    }
    all
}

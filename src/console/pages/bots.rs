//! The registered bots, and what waits for each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::admin::deliveries::DeliveryFilter;
use crate::admin::puppets::PuppetView;
use crate::admin::{Desk, Paging};
use crate::console::form::Form;
use crate::console::shell::{Shell, part, render};
use crate::console::stream;
use crate::console::text::{Done, Words};
use crate::http::audit::Auditor;
use crate::http::health::Health;
use crate::http::problem::Problem;
use crate::store::{HeldFilter, HeldState};

const EVERY: Duration = Duration::from_secs(2);
const A_PAGE: usize = 100;
/// Undelivered events that are looked through.
const HELD: usize = 1_000;

#[derive(Template)]
#[template(path = "bots.html", config = "src/console/askama.toml")]
struct BotsPage<'p> {
    shell: &'p Shell,
    t: &'static Words,
    rows: String,
    /// The page after this one.
    next: Option<String>,
    /// The stream of this page.
    source: String,
    bots_endpoint: &'p str,
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "bot_rows.html", config = "src/console/askama.toml")]
struct BotRows<'p> {
    shell: &'p Shell,
    t: &'static Words,
    rows: Vec<Row>,
}

struct Row {
    bot: PuppetView,
    state: &'static str,
    word: &'static str,
    error: String,
    held: usize,
    expired: usize,
}

/// Which page of a list.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct From {
    cursor: String,
}

pub async fn page(shell: Shell, State(desk): State<Arc<Desk>>, Query(from): Query<From>) -> Response {
    show(&shell, &desk, &from, StatusCode::OK, None).await
}

async fn show(shell: &Shell, desk: &Desk, from: &From, status: StatusCode, fault: Option<String>) -> Response {
    let shell = &shell.in_place_of("bots");
    let (rows, next) = match rows(shell, desk, from).await {
        Ok(rows) => rows,
        Err(problem) => return shell.problem(&problem),
    };
    let link = |path: &str, cursor: &str| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("cursor", cursor).finish();
        shell.to(&format!("{path}?{query}"))
    };
    let (source, next) = (link("bots/live", &from.cursor), next.map(|next| link("bots", &next)));
    render(status, &BotsPage { shell, t: shell.t, rows, next, source, bots_endpoint: &desk.bots_endpoint, fault })
}

/// The rows, as they change.
pub async fn live(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    State(health): State<Health>,
    Query(from): Query<From>,
) -> Response {
    let shell = shell.at("bots");
    let render = move || {
        let (shell, desk, from) = (shell.clone(), desk.clone(), from.clone());
        async move { rows(&shell, &desk, &from).await.ok().map(|(rows, _)| rows) }
    };
    stream::part(health, EVERY, render)
}

async fn rows(shell: &Shell, desk: &Desk, from: &From) -> Result<(String, Option<String>), Problem> {
    let t = shell.t;
    let cursor = Some(from.cursor.clone()).filter(|cursor| !cursor.is_empty());
    let page = desk.list_puppets(&Paging { cursor, limit: Some(A_PAGE) }).await?;
    let mut waiting: HashMap<(String, String), (usize, usize)> = HashMap::new();
    for held in desk.store.list_held(&HeldFilter::default(), None, HELD).await? {
        let account = &held.event.account;
        let (live, expired) = waiting.entry((account.corp.to_string(), account.kf.to_string())).or_default();
        match held.state {
            HeldState::Live => *live += 1,
            HeldState::Expired => *expired += 1,
        }
    }
    let row = |bot: PuppetView| {
        let (held, expired) =
            waiting.get(&(bot.corp_id.clone(), bot.kf_open_id.to_string())).copied().unwrap_or_default();
        let (state, word) = match (bot.online, &bot.away_since) {
            (false, _) => ("off", t.offline),
            (true, Some(_)) => ("bad", t.away),
            (true, None) => ("good", t.online),
        };
        let error = bot.last_attempt.as_ref().and_then(|last| last.error.as_deref());
        let error = error.map(|error| t.say(error)).unwrap_or_default();
        Row { bot, state, word, error, held, expired }
    };
    let rows = page.items.into_iter().map(row).collect();
    Ok((part(&BotRows { shell, t, rows }), page.next))
}

/// Sends everything that waits for a bot now.
pub async fn redeliver(shell: Shell, State(desk): State<Arc<Desk>>, auditor: Auditor, form: Form) -> Response {
    let sent = async {
        let filter = DeliveryFilter {
            corp_id: form.filled("corpId").map(str::to_owned),
            open_kf_id: form.filled("kfId").map(str::to_owned),
            ..DeliveryFilter::default()
        };
        for held in desk.list_deliveries(filter).await?.items {
            match desk.redeliver(&auditor, held.id.as_str()).await {
                // One that is gone meanwhile was delivered.
                Err(problem) if problem.code() == StatusCode::NOT_FOUND => {}
                other => other?,
            }
        }
        Ok::<_, Problem>(())
    };
    match sent.await {
        Ok(()) => shell.done("bots", Done::Redelivered),
        Err(problem) => refused(&shell, &desk, &problem).await,
    }
}

pub async fn remove(shell: Shell, State(desk): State<Arc<Desk>>, auditor: Auditor, form: Form) -> Response {
    match desk.delete_puppet(&auditor, form.text("kfId")).await {
        Ok(()) => shell.done("bots", Done::BotRemoved),
        Err(problem) => refused(&shell, &desk, &problem).await,
    }
}

async fn refused(shell: &Shell, desk: &Desk, problem: &Problem) -> Response {
    show(shell, desk, &From::default(), problem.code(), Some(shell.t.say(&problem.detail))).await
}

//! One corp: what to paste into WeCom's console and whether that worked, its credentials, its services.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::admin::Desk;
use crate::admin::corps::{CorpView, SourceView, Unnamed};
use crate::admin::services::{ServiceView, TestView};
use crate::console::form::Form;
use crate::console::shell::{Shell, part, render};
use crate::console::stream;
use crate::console::text::{Done, Words};
use crate::domain::{Corp, CorpId};
use crate::http::audit::Auditor;
use crate::http::health::Health;
use crate::http::problem::Problem;

use super::corps::{LastCheck, credential, source};

const EVERY: Duration = Duration::from_secs(1);

#[derive(Template)]
#[template(path = "corp.html", config = "src/console/askama.toml")]
struct CorpPage<'p> {
    shell: &'p Shell,
    t: &'static Words,
    source: &'static str,
    /// `CORPS_FILE` declares it.
    is_fixed: bool,
    is_declared: bool,
    /// Only the path is known.
    lacks_public_url: bool,
    verification: String,
    bots: usize,
    bots_endpoint: String,
    is_checked: bool,
    services: Vec<ServiceView>,
    corp: CorpView,
    notices: Notices,
}

/// What a form of the page has to say.
#[derive(Default)]
struct Notices {
    credential: Option<String>,
    label: String,
    receive_ids: String,
    proxy: Option<String>,
    /// Of the test of a service.
    test: Option<(String, TestView)>,
    /// Of anything else.
    other: Option<String>,
}

impl Notices {
    fn other(fault: String) -> Self {
        Self { other: Some(fault), ..Self::default() }
    }
}

/// Whether WeCom's last check of the URL passed.
#[derive(Template)]
#[template(path = "verification.html", config = "src/console/askama.toml")]
struct Verification<'p> {
    shell: &'p Shell,
    t: &'static Words,
    checked: Checked,
}

enum Checked {
    Never,
    Good { at: String, credential: String },
    Bad { at: String, from: String, wrong: &'static str, what: String, remedy: String },
}

pub async fn page(shell: Shell, State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Response {
    show(&shell, &desk, &id, StatusCode::OK, Notices::default()).await
}

async fn show(shell: &Shell, desk: &Desk, id: &str, status: StatusCode, notices: Notices) -> Response {
    let shell = &shell.in_place_of(&format!("corps/{id}"));
    match content(shell, desk, id, notices).await {
        Ok(page) => render(status, &page),
        Err(problem) => shell.problem(&problem),
    }
}

async fn content<'p>(shell: &'p Shell, desk: &Desk, id: &str, notices: Notices) -> Result<CorpPage<'p>, Problem> {
    let t = shell.t;
    let corp = desk.show_corp(id).await?;
    let services = desk.list_services(id).await?;
    let known = CorpId::parse(id).map_err(|error| Problem::invalid(error.to_string()))?;
    let bots = desk.store.puppets_of(&known).await?.len();
    Ok(CorpPage {
        shell,
        t,
        source: source(t, &corp.source),
        is_fixed: matches!(corp.source, SourceView::File),
        is_declared: matches!(corp.source, SourceView::Admin),
        lacks_public_url: corp.callback_url.starts_with('/'),
        verification: verification(shell, desk, &known, &corp),
        bots,
        bots_endpoint: desk.bots_endpoint.clone(),
        is_checked: desk.callbacks.last_verified(&known).is_some(),
        services,
        corp,
        notices,
    })
}

fn verification(shell: &Shell, desk: &Desk, id: &CorpId, corp: &CorpView) -> String {
    let checked = match LastCheck::of(desk, id, shell.now) {
        LastCheck::Passed(good) => {
            let known = corp.credentials.iter().find(|one| one.id == good.credential.as_str());
            let label = known.and_then(|one| one.label.clone());
            Checked::Good { at: good.at.to_string(), credential: label.unwrap_or_else(|| good.credential.to_string()) }
        }
        LastCheck::Refused(bad) => {
            let (what, remedy) = shell.t.cause(&bad.cause);
            let from = bad.from.map(|address| address.to_string()).unwrap_or_default();
            Checked::Bad { at: bad.at.to_string(), from, wrong: shell.t.wrong(bad.cause.wrong()), what, remedy }
        }
        LastCheck::Never => Checked::Never,
    };
    part(&Verification { shell, t: shell.t, checked })
}

/// The verification, as it changes.
pub async fn live(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    State(health): State<Health>,
    Path(id): Path<String>,
) -> Response {
    let shell = shell.at(&format!("corps/{id}"));
    let render = move || {
        let (shell, desk, id) = (shell.clone(), desk.clone(), id.clone());
        async move {
            let corp = desk.show_corp(&id).await.ok()?;
            Some(verification(&shell, &desk, &CorpId::parse(&id).ok()?, &corp))
        }
    };
    stream::part(health, EVERY, render)
}

/// What a form changes of a corp; shows what was wrong with it where `place` says.
async fn change(
    (shell, desk, auditor, id): (&Shell, &Desk, &Auditor, &str),
    fields: impl FnOnce(Option<&Corp>) -> Map<String, Value> + Send,
    done: Done,
    place: impl FnOnce(String) -> Notices,
) -> Response {
    match desk.put_corp(auditor, id, Unnamed::Kept, |known| Ok(fields(known))).await {
        Ok(corp) => shell.done(&format!("corps/{}", corp.corp_id), done),
        Err(problem) => refused(shell, desk, id, &problem, place).await,
    }
}

async fn refused(
    shell: &Shell,
    desk: &Desk,
    id: &str,
    problem: &Problem,
    place: impl FnOnce(String) -> Notices,
) -> Response {
    show(shell, desk, id, problem.code(), place(shell.t.say(&problem.detail))).await
}

/// The ids of the known credentials, to keep them.
fn kept<'c>(known: Option<&'c Corp>, but: Option<&'c str>) -> impl Iterator<Item = Value> + 'c {
    let all = known.into_iter().flat_map(|corp| &corp.credentials);
    all.filter(move |one| Some(one.pair.id().as_str()) != but).map(|one| json!({ "id": one.pair.id() }))
}

fn with(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}

/// Another pair beside those that are there: both open callbacks from now on.
pub async fn add_credential(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path(id): Path<String>,
    form: Form,
) -> Response {
    // The new one goes first: it is the one that WeCom is about to use.
    let fields = |known: Option<&Corp>| {
        let all = std::iter::once(credential(&form)).chain(kept(known, None));
        with("credentials", all.collect())
    };
    let place = |fault| Notices {
        credential: Some(fault),
        label: form.text("label").to_owned(),
        receive_ids: form.text("receiveIds").to_owned(),
        ..Notices::default()
    };
    change((&shell, &desk, &auditor, &id), fields, Done::CredentialAdded, place).await
}

pub async fn remove_credential(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path(id): Path<String>,
    form: Form,
) -> Response {
    let fields = |known: Option<&Corp>| with("credentials", kept(known, form.filled("id")).collect());
    change((&shell, &desk, &auditor, &id), fields, Done::CredentialRemoved, Notices::other).await
}

/// Sets the proxy of the corp's calls to WeCom; an empty field removes it.
pub async fn set_proxy(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path(id): Path<String>,
    form: Form,
) -> Response {
    let proxy = form.filled("wecomProxy").map_or(Value::Null, Value::from);
    let place = |fault| Notices { proxy: Some(fault), ..Notices::default() };
    change((&shell, &desk, &auditor, &id), |_| with("wecomProxy", proxy), Done::ProxySet, place).await
}

pub async fn remove(shell: Shell, State(desk): State<Arc<Desk>>, auditor: Auditor, Path(id): Path<String>) -> Response {
    match desk.delete_corp(&auditor, &id).await {
        Ok(()) => shell.done("corps", Done::CorpRemoved),
        Err(problem) => refused(&shell, &desk, &id, &problem, Notices::other).await,
    }
}

/// Where a test was sent, and nothing is left to see: after signing in anew, by a bookmark.
pub async fn after_test(Path((id, _name)): Path<(String, String)>) -> Response {
    Shell::see_other(&format!("../../../{id}"))
}

/// Sends a service a test event, and shows what came of it.
pub async fn test_service(
    shell: Shell,
    State(desk): State<Arc<Desk>>,
    auditor: Auditor,
    Path((id, name)): Path<(String, String)>,
) -> Response {
    match desk.test_service(&auditor, &id, &name).await {
        Ok(test) => {
            let notices = Notices { test: Some((name, test)), ..Notices::default() };
            show(&shell, &desk, &id, StatusCode::OK, notices).await
        }
        Err(problem) => refused(&shell, &desk, &id, &problem, Notices::other).await,
    }
}

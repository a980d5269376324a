//! All corps, and the form of another one.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::admin::Desk;
use crate::admin::corps::{CorpView, SourceView, Unnamed};
use crate::callback::{Failure, Verified};
use crate::console::form::Form;
use crate::console::shell::{Shell, render};
use crate::console::text::{Done, Words};
use crate::domain::CorpId;
use crate::http::audit::Auditor;
use crate::http::problem::Problem;

#[derive(Template)]
#[template(path = "corps.html", config = "src/console/askama.toml")]
struct CorpsPage<'p> {
    shell: &'p Shell,
    t: &'static Words,
    rows: Vec<Row>,
    new: NewCorp,
}

struct Row {
    corp: CorpView,
    source: &'static str,
    /// Its last check in a word, and whether that was bad.
    check: String,
    is_bad: bool,
    services: usize,
}

/// The form of a corp that is added; what was wrong with it the last time.
#[derive(Default)]
pub(super) struct NewCorp {
    pub corp_id: String,
    pub label: String,
    pub fault: Option<String>,
}

pub(super) fn source(t: &Words, source: &SourceView) -> &'static str {
    match source {
        SourceView::File => t.source_file,
        SourceView::Admin => t.source_admin,
        SourceView::Registrations => t.source_registrations,
    }
}

pub async fn page(shell: Shell, State(desk): State<Arc<Desk>>) -> Response {
    show(&shell, &desk, StatusCode::OK, NewCorp::default()).await
}

async fn show(shell: &Shell, desk: &Desk, status: StatusCode, new: NewCorp) -> Response {
    match rows(shell, desk).await {
        Ok(rows) => render(status, &CorpsPage { shell, t: shell.t, rows, new }),
        Err(problem) => shell.problem(&problem),
    }
}

async fn rows(shell: &Shell, desk: &Desk) -> Result<Vec<Row>, Problem> {
    let mut rows = Vec::new();
    for corp in desk.list_corps().await? {
        let t = shell.t;
        let services = desk.list_services(&corp.corp_id).await?.len();
        let (check, is_bad) = check(shell, desk, &corp.corp_id);
        rows.push(Row { source: source(t, &corp.source), check, is_bad, services, corp });
    }
    Ok(rows)
}

fn check(shell: &Shell, desk: &Desk, corp: &str) -> (String, bool) {
    let Ok(id) = CorpId::parse(corp) else { return Default::default() };
    match LastCheck::of(desk, &id, shell.now) {
        LastCheck::Passed(verified) => (format!("{} {}", shell.t.verified, shell.ago(&verified.at.to_string())), false),
        LastCheck::Refused(failure) => (format!("{} {}", shell.t.refused, shell.ago(&failure.at.to_string())), true),
        LastCheck::Never => (String::new(), false),
    }
}

/// A call that was refused longer ago was a stranger's, or is mended.
pub(super) const LATELY: SignedDuration = SignedDuration::from_mins(15);

/// How the corp's callback URL did lately.
pub(super) enum LastCheck {
    Never,
    /// WeCom verified it.
    Passed(Verified),
    /// A call was refused since.
    Refused(Failure),
}

impl LastCheck {
    pub(super) fn of(desk: &Desk, corp: &CorpId, now: Timestamp) -> Self {
        let failure = desk.callbacks.last_failure(corp);
        let Some(verified) = desk.callbacks.last_verified(corp) else {
            return failure.map_or(Self::Never, Self::Refused);
        };
        match failure.filter(|failure| failure.at > verified.at && now.duration_since(failure.at) <= LATELY) {
            Some(failure) => Self::Refused(failure),
            None => Self::Passed(verified),
        }
    }
}

/// Adds a corp with its first pair of token and key.
pub async fn add(shell: Shell, State(desk): State<Arc<Desk>>, auditor: Auditor, form: Form) -> Response {
    let id = form.text("corpId");
    let change = |known: Option<&crate::domain::Corp>| match known {
        Some(_) => Err(Problem::invalid("this corp is declared already: open its page")),
        None => Ok(Map::from_iter([("credentials".to_owned(), json!([credential(&form)]))])),
    };
    match desk.put_corp(&auditor, id, Unnamed::Kept, change).await {
        Ok(corp) => shell.done(&format!("corps/{}", corp.corp_id), Done::CorpAdded),
        Err(problem) => {
            let fault = Some(shell.t.say(&problem.detail));
            let new = NewCorp { corp_id: id.to_owned(), label: form.text("label").to_owned(), fault };
            show(&shell, &desk, problem.code(), new).await
        }
    }
}

/// A credential as the API takes it.
pub(super) fn credential(form: &Form) -> Value {
    let mut fields = Map::new();
    fields.insert("token".to_owned(), form.text("token").into());
    fields.insert("encodingAESKey".to_owned(), form.text("encodingAESKey").into());
    if let Some(label) = form.filled("label") {
        fields.insert("label".to_owned(), label.into());
    }
    let receive_ids = form.list("receiveIds");
    if !receive_ids.is_empty() {
        fields.insert("receiveIds".to_owned(), receive_ids.into());
    }
    fields.into()
}

//! Who changed what, when and from where.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::admin::audit::AuditView;
use crate::admin::{Desk, Paging};
use crate::console::shell::{Shell, render};
use crate::console::text::Words;
use crate::domain::Actor;

const A_PAGE: usize = 50;

#[derive(Template)]
#[template(path = "audit.html", config = "src/console/askama.toml")]
struct AuditPage<'p> {
    shell: &'p Shell,
    t: &'static Words,
    rows: Vec<Row>,
    next: Option<String>,
    is_later: bool,
}

struct Row {
    entry: AuditView,
    what: String,
    who: &'static str,
    from: String,
    is_refusal: bool,
}

/// Which page of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct From {
    cursor: String,
}

pub async fn page(shell: Shell, State(desk): State<Arc<Desk>>, Query(from): Query<From>) -> Response {
    let cursor = Some(from.cursor).filter(|cursor| !cursor.is_empty());
    let is_later = cursor.is_some();
    let page = match desk.list_audit(&Paging { cursor, limit: Some(A_PAGE) }).await {
        Ok(page) => page,
        Err(problem) => return shell.problem(&problem),
    };
    let t = shell.t;
    let row = |entry: AuditView| Row {
        who: match entry.who {
            Actor::Admin => t.actor_admin,
            Actor::Bot => t.actor_bot,
            Actor::Unknown => t.actor_unknown,
        },
        from: entry.address.map(|address| address.to_string()).unwrap_or_default(),
        what: t.action(&entry.action),
        is_refusal: entry.action.ends_with("refused"),
        entry,
    };
    let next = page.next.map(|cursor| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("cursor", &cursor).finish();
        shell.to(&format!("audit?{query}"))
    });
    let rows = page.items.into_iter().map(row).collect();
    render(StatusCode::OK, &AuditPage { shell: &shell, t, rows, next, is_later })
}

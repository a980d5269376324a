//! The cached access tokens: how long each lasts, and a renewal at once. Never the tokens themselves.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::admin::Desk;
use crate::admin::tokens::TokenView;
use crate::console::form::Form;
use crate::console::shell::{Shell, render};
use crate::console::text::{Done, Words};
use crate::http::audit::Auditor;

#[derive(Template)]
#[template(path = "tokens.html", config = "src/console/askama.toml")]
struct TokensPage<'p> {
    shell: &'p Shell,
    t: &'static Words,
    rows: Vec<Row>,
    fault: Option<String>,
}

struct Row {
    token: TokenView,
    error: String,
}

pub async fn page(shell: Shell, State(desk): State<Arc<Desk>>) -> Response {
    show(&shell, &desk, StatusCode::OK, None).await
}

async fn show(shell: &Shell, desk: &Desk, status: StatusCode, fault: Option<String>) -> Response {
    let (shell, t) = (&shell.in_place_of("tokens"), shell.t);
    let row = |token: TokenView| Row {
        error: token.last_error.as_deref().map(|error| t.say(error)).unwrap_or_default(),
        token,
    };
    let rows = desk.list_tokens().await.into_iter().map(row).collect();
    render(status, &TokensPage { shell, t, rows, fault })
}

/// Asks WeCom now.
pub async fn renew(shell: Shell, State(desk): State<Arc<Desk>>, auditor: Auditor, form: Form) -> Response {
    match desk.renew_token(&auditor, form.text("id")).await {
        Ok(()) => shell.done("tokens", Done::TokenRenewed),
        Err(problem) => show(&shell, &desk, problem.code(), Some(shell.t.say(&problem.detail))).await,
    }
}

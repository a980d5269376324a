//! Where there is no page, or the store cannot say what is on it.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::console::shell::{Shell, render};
use crate::console::text::Words;

#[derive(Template)]
#[template(path = "fault.html", config = "src/console/askama.toml")]
struct FaultPage<'p> {
    shell: &'p Shell,
    t: &'static Words,
    status: u16,
    what: String,
}

pub(in crate::console) fn page(shell: &Shell, status: StatusCode, what: String) -> Response {
    render(status, &FaultPage { shell, t: shell.t, status: status.as_u16(), what })
}

/// Below `/console`, where nothing is.
pub async fn unknown(shell: Shell) -> Response {
    let what = shell.t.no_such_page.to_owned();
    page(&shell, StatusCode::NOT_FOUND, what)
}

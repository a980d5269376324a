//! Signing in and out, and the choice of the language.

use askama::Template;
use axum::Extension;
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::console::form::Form;
use crate::console::session::{self, Sessions};
use crate::console::shell::{LANGUAGE, Shell, Way, render};
use crate::console::text::{Language, Words};
use crate::http::auth::{Tried, turned_away};

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/console/askama.toml")]
struct SignInPage<'p> {
    shell: &'p Shell,
    t: &'static Words,
    /// Where to go then.
    next: String,
    fault: Option<&'static str>,
}

fn show(shell: &Shell, status: StatusCode, next: &str, fault: Option<&'static str>) -> Response {
    let next = if next.starts_with('.') { String::new() } else { next.to_owned() };
    render(status, &SignInPage { shell, t: shell.t, next, fault })
}

/// The form.
pub async fn page(shell: Shell, Extension(sessions): Extension<Sessions>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let next = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "next").map(|(_, next)| next);
    let next = Way::below(next.as_deref().unwrap_or_default());
    if sessions.is_signed_in(request.headers()) {
        return Shell::see_other(next);
    }
    show(&shell, StatusCode::OK, next, None)
}

/// Takes the token.
pub async fn sign_in(
    shell: Shell,
    Extension(sessions): Extension<Sessions>,
    headers: HeaderMap,
    extensions: Extensions,
    form: Form,
) -> Response {
    let next = Way::below(form.text("next"));
    let Some(token) = form.filled("token") else {
        return show(&shell, StatusCode::BAD_REQUEST, next, Some(shell.t.token_missing));
    };
    match sessions.door.try_admin_token(token, &extensions).await {
        Tried::Opened => {
            let cookie = (header::SET_COOKIE, sessions.begin(token, &headers));
            ([cookie], Shell::see_other(next)).into_response()
        }
        Tried::Refused => show(&shell, StatusCode::UNAUTHORIZED, next, Some(shell.t.token_wrong)),
        Tried::TurnedAway => {
            turned_away(show(&shell, StatusCode::TOO_MANY_REQUESTS, next, Some(shell.t.token_too_often)))
        }
    }
}

/// Makes the browser forget.
pub async fn sign_out(headers: HeaderMap) -> Response {
    ([(header::SET_COOKIE, Sessions::end(&headers))], Shell::see_other("sign-in")).into_response()
}

/// Keeps the language in a cookie.
pub async fn language(form: Form) -> Response {
    let language = Language::parse(form.text("language")).unwrap_or_default();
    let choice = session::choice(LANGUAGE, language.tag());
    ([choice], Shell::see_other(language_back(form.text("back")))).into_response()
}

/// The sign-in page has the switch, too.
fn language_back(back: &str) -> &str {
    if back == "sign-in" { back } else { Way::below(back) }
}

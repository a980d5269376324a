//! What every page needs of its request: the language, the time, and the way back to the top.
//!
//! Nobody tells the gateway under which path prefix it is reached, so every link is relative: `up` leads
//! from a page to the folder that holds `console`.

use axum::extract::{FromRef, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use tracing::error;

use super::files;
use super::moment;
use super::text::{Done, Language, Words};
use crate::domain::Clock;
use crate::http::problem::Problem;

pub(super) const LANGUAGE: &str = "wxkf_language";

/// Everything is of this server, and nothing inline.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// What a page is rendered with.
#[derive(Debug, Clone)]
pub struct Shell {
    pub t: &'static Words,
    pub language: Language,
    pub way: Way,
    pub now: Timestamp,
    /// What the call before did, in words.
    pub done: Option<&'static str>,
}

/// Where a page stands below `/console`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// From the page to the folder that holds `console`.
    pub up: String,
    /// The page, as seen from below `console/`; empty for the first.
    pub below: String,
}

impl Way {
    pub(super) fn of(uri: &Uri) -> Self {
        let path = uri.path().trim_matches('/');
        let depth = path.matches('/').count();
        let below = path.strip_prefix("console").unwrap_or_default().trim_start_matches('/');
        Self { up: "../".repeat(depth), below: below.to_owned() }
    }

    fn to(below: &str) -> Self {
        let depth = if below.is_empty() { 0 } else { below.matches('/').count() + 1 };
        Self { up: "../".repeat(depth), below: below.to_owned() }
    }

    /// Reads a page that a form names; anything else is the first page.
    pub(super) fn below(text: &str) -> &str {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/');
        let is_page = !text.starts_with('/') && !text.starts_with("sign-") && text.bytes().all(plain);
        if is_page && !text.is_empty() { text } else { "../console" }
    }
}

/// A place in the navigation.
#[derive(Debug)]
pub struct Place {
    pub href: String,
    pub name: &'static str,
    pub is_current: bool,
}

impl Shell {
    pub fn places(&self) -> Vec<Place> {
        let t = self.t;
        let places = [
            ("", t.overview),
            ("corps", t.corps),
            ("bots", t.bots),
            ("deliveries", t.deliveries),
            ("tokens", t.tokens),
            ("tail", t.tail),
            ("audit", t.audit),
        ];
        let current = self.way.below.split('/').next().unwrap_or_default();
        let place = |(path, name): (&str, _)| Place {
            href: if path.is_empty() { format!("{}console", self.way.up) } else { self.to(path) },
            name,
            is_current: path == current,
        };
        places.into_iter().map(place).collect()
    }

    /// For a part of another page than the one that was called.
    pub(super) fn at(&self, below: &str) -> Self {
        Self { way: Way::to(below), ..self.clone() }
    }

    /// For a page that answers a form: its links start where the form was sent to.
    pub(super) fn in_place_of(&self, below: &str) -> Self {
        Self { way: Way { below: below.to_owned(), ..self.way.clone() }, ..self.clone() }
    }

    pub fn up(&self) -> &str {
        &self.way.up
    }

    pub fn below(&self) -> &str {
        &self.way.below
    }

    /// A link to a page below `console/`.
    pub fn to(&self, path: &str) -> String {
        format!("{}console/{path}", self.way.up)
    }

    /// A file of ours, by a name that changes with its content.
    pub fn file(&self, name: &str) -> String {
        self.to(&format!("files/{name}?{}", files::version()))
    }

    /// A time as people say it, with the time itself behind it.
    pub fn ago(&self, at: &str) -> String {
        moment::element(self.t, at, self.now)
    }

    /// After something was done: the page to look at, relative to the one that was called.
    pub(super) fn see_other(location: &str) -> Response {
        let location = HeaderValue::try_from(location).unwrap_or_else(|_| HeaderValue::from_static("../console"));
        (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
    }

    /// The same with a word on what was done.
    pub(super) fn done(&self, path: &str, done: Done) -> Response {
        Self::see_other(&format!("{}?done={}", self.to(path), done.code()))
    }

    /// A page for what went wrong where no page can tell it.
    pub(super) fn problem(&self, problem: &Problem) -> Response {
        super::pages::fault::page(self, problem.code(), self.t.say(&problem.detail))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Shell
where
    Clock: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let language = Language::of(&parts.headers);
        let query = parts.uri.query().unwrap_or_default();
        let done = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "done");
        let done = done.and_then(|(_, code)| Done::parse(&code)).map(|done| done.words(language.words()));
        let now = Clock::from_ref(state).now();
        Ok(Self { t: language.words(), language, way: Way::of(&parts.uri), now, done })
    }
}

/// A rendered page.
pub(super) fn render(status: StatusCode, page: &impl askama::Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(fault) => {
            error!(error = %fault, "a page of the console cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A part of a page; empty when it cannot be rendered.
pub(super) fn part(part: &impl askama::Template) -> String {
    part.render()
        .inspect_err(|fault| error!(error = %fault, "a part of the console cannot be rendered"))
        .unwrap_or_default()
}

/// A call that no page of ours made.
pub(super) fn refuse(request: &Request, why: impl FnOnce(&Words) -> &'static str) -> Response {
    let words = Language::of(request.headers()).words();
    (StatusCode::FORBIDDEN, why(words)).into_response()
}

/// The values of all cookies of this name.
pub(super) fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(known, _)| *known == name).map(|(_, value)| value)
}

/// The headers of every answer of the console.
pub async fn dress(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Without any, browsers would send `Origin: null` with our own forms.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_lead_back_from_any_depth() {
        let way = |path: &str| Way::of(&path.parse().unwrap());
        assert_eq!(way("/console"), Way { up: String::new(), below: String::new() });
        assert_eq!(way("/console/corps?x=1"), Way { up: "../".into(), below: "corps".into() });
        assert_eq!(way("/console/corps/ww1"), Way { up: "../../".into(), below: "corps/ww1".into() });
    }

    #[test]
    fn a_form_leads_to_pages_of_ours_alone() {
        assert_eq!(Way::below("corps/ww_1-a"), "corps/ww_1-a");
        for elsewhere in ["", "/corps", "//evil", "http://evil", "..", "a\\b", "sign-out", "a?b"] {
            assert_eq!(Way::below(elsewhere), "../console", "{elsewhere}");
        }
    }

    #[test]
    fn cookies_are_found_by_their_name() {
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("a=1; b=2;b=3; ab=4"))]);
        assert_eq!(cookies(&headers, "b").collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(cookies(&headers, "c").count(), 0);
    }
}

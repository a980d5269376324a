//! The page to play with, at `/`, and the browsable description of the control API, at
//! `/simulator/docs`. Both are static files that use the control API as any script does.
//!
//! They are plain HTML, CSS and JavaScript modules, embedded as they stand: no build step, nothing from
//! elsewhere, and a Content-Security-Policy that allows nothing else.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, StatusCode};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const CHAT: &str = include_str!("chat.html");
const DOCS: &str = include_str!("docs.html");

/// Name, media type, content.
const ASSETS: &[(&str, &str, &str)] = &[
    ("page.css", "text/css", include_str!("page.css")),
    ("icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("page.js", "text/javascript", include_str!("page.js")),
    ("hops.js", "text/javascript", include_str!("hops.js")),
    ("faults.js", "text/javascript", include_str!("faults.js")),
    ("dom.js", "text/javascript", include_str!("dom.js")),
    ("docs.js", "text/javascript", include_str!("docs.js")),
];

pub(super) fn routes() -> Router {
    Router::new()
        .route("/", get(|| async { file("text/html", CHAT) }))
        .route("/simulator", get(|| async { file("text/html", CHAT) }))
        .route("/simulator/docs", get(|| async { file("text/html", DOCS) }))
        .route("/simulator/assets/{name}", get(|Path(name): Path<String>| async move { asset(&name) }))
}

fn asset(name: &str) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, content)) => file(kind, content),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn file(kind: &str, content: &'static str) -> Response {
    let headers: [(HeaderName, String); 5] = [
        (CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        // Another version may be started at the same address.
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::wecom::WecomOptions;
    use crate::simulator::wecom::testkit::{http, wecom};

    /// What a page names in `src` and `href`, and a module in `from`.
    fn named(text: &str) -> Vec<&str> {
        let quoted = |mark: &'static str| text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
        quoted("src=\"").chain(quoted("href=\"")).chain(quoted("from \"")).collect()
    }

    #[tokio::test]
    async fn serves_every_file_that_the_pages_name_and_nothing_from_elsewhere() {
        let wecom = wecom(WecomOptions::default()).await;
        let get = |path: String| async { http().get(path).send().await.unwrap() };
        for page in ["/", "/simulator", "/simulator/docs"] {
            let answer = get(format!("{}{page}", wecom.base_url())).await;
            assert_eq!(answer.headers()["content-security-policy"], POLICY);
            assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
            let text = answer.text().await.unwrap();
            assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains("<script>"), "{page}");
        }
        let texts = [CHAT, DOCS].into_iter().chain(ASSETS.iter().map(|(_, _, content)| *content));
        for name in texts.flat_map(named).filter(|name| !name.starts_with('#')) {
            let path = name.strip_prefix("./").map_or(name.to_owned(), |name| format!("/simulator/assets/{name}"));
            assert!(path.starts_with('/'), "{name} is not of this server");
            assert_eq!(get(format!("{}{path}", wecom.base_url())).await.status(), 200, "{path}");
        }
        assert_eq!(get(format!("{}/simulator/assets/mod.rs", wecom.base_url())).await.status(), 404);
    }
}

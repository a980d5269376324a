//! What pages load: one style, one script, one icon, in the binary.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::domain::Fingerprint;

/// Name, media type, content.
const FILES: [(&str, &str, &str); 3] = [
    ("style.css", "text/css; charset=utf-8", include_str!("files/style.css")),
    ("console.js", "text/javascript; charset=utf-8", include_str!("files/console.js")),
    ("icon.svg", "image/svg+xml", include_str!("files/icon.svg")),
];

/// Of all of them: another version has other links to them.
pub(super) fn version() -> &'static str {
    static VERSION: LazyLock<Fingerprint> = LazyLock::new(|| {
        let contents = FILES.map(|(_, _, content)| content.as_bytes());
        Fingerprint::of(&contents)
    });
    VERSION.as_str()
}

/// One of them.
pub async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, content)) => {
            let kept = "public, max-age=31536000, immutable";
            ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, kept)], *content).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

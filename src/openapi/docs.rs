//! `/docs`: the document as a page to read, search and try out. It loads nothing from other hosts.
//!
//! The one decision a reader would question: the library's own page is not used. Its links break under a
//! path prefix, and without the slash at its end.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_swagger_ui::Config;

const PAGE: &str = include_str!("docs.html");
const START: &str = include_str!("docs.js");

/// What the page takes from the library.
const LIBRARY: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

/// Styles are set by the library on elements; scripts are files of this page alone.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The API as a page
///
/// Every operation, to be searched, read and tried with `ADMIN_TOKEN` or `PUPPET_PASSWORD`.
#[utoipa::path(
    get, path = "/docs", operation_id = "docs", tag = "Operations",
    responses((status = 200, description = "The page", body = String, content_type = "text/html", example = "<!doctype html>…")),
)]
pub async fn page() -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF)];
    (policy, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE).into_response()
}

/// What the page loads.
pub async fn file(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "docs.js" => ([(header::CONTENT_TYPE, JAVASCRIPT)], START).into_response(),
        name if LIBRARY.contains(&name) => library(name),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn library(name: &str) -> Response {
    let Ok(Some(file)) = utoipa_swagger_ui::serve(name, Arc::new(Config::default())) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let content: Response = match file.bytes {
        Cow::Borrowed(bytes) => bytes.into_response(),
        Cow::Owned(bytes) => bytes.into_response(),
    };
    let kept = [(header::CONTENT_TYPE, file.content_type.as_str()), (header::CACHE_CONTROL, "max-age=86400")];
    // Every browser takes it; what does not can read openapi.json.
    let packed = file.gzpipped.then_some([(header::CONTENT_ENCODING, "gzip")]);
    (kept, packed.map(axum::response::AppendHeaders), content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_file_that_the_page_names_is_there() {
        let named = PAGE.split('"').filter_map(|text| text.strip_prefix("docs/"));
        let mut count = 0;
        for name in named {
            let answer = file(Path(name.to_owned())).await;
            assert_eq!(answer.status(), StatusCode::OK, "{name}");
            count += 1;
        }
        assert_eq!(count, 4);
        assert_eq!(file(Path("index.html".to_owned())).await.status(), StatusCode::NOT_FOUND);
    }
}

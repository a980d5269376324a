//! The routes of one listener, whatever slashes callers put around a path.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::response::Redirect;
use axum::routing::future::RouteFuture;
use tower::{Layer as _, Service as _};
use tower_http::normalize_path::NormalizePathLayer;

/// Clones share the routes.
#[derive(Debug, Clone)]
pub struct Routes {
    exact: Router,
    /// For paths with slashes at their ends: endpoints that end in one give paths that begin with two.
    spelled: Router,
}

impl Routes {
    /// A slash too many at the ends of a path is overlooked, unless `as_spelled` has a route for it.
    pub fn forgiving(exact: Router, as_spelled: Router) -> Self {
        // Around the router, because a route is chosen before the router's own layers run.
        let trimmed = NormalizePathLayer::trim_trailing_slash().layer(exact.clone());
        Self { exact, spelled: as_spelled.fallback_service(trimmed) }
    }

    /// Answers a request.
    pub fn serve(&self, request: Request) -> RouteFuture<Infallible> {
        let path = request.uri().path();
        let router = if path.starts_with("//") || path.ends_with('/') { &self.spelled } else { &self.exact };
        router.clone().call(request)
    }
}

/// Leads to the page without the slashes at the end of its path: there its relative links lead too deep.
pub async fn to_one_spelling(uri: Uri) -> Redirect {
    let path = uri.path().trim_end_matches('/');
    let up = "../".repeat(uri.path().len() - path.len());
    let page = path.rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Redirect::to(&format!("{up}{page}{query}"))
}

/// Every path as it is.
impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self { exact: router.clone(), spelled: router }
    }
}

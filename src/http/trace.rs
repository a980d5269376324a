//! The span of a request, as the outermost layer: there only while traces are exported.

use std::pin::pin;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;

use super::meters::known_method;
use crate::observe::{Kind, Span, Trace};

/// Serves a request within the trace that its caller names, or a new one. Neither path nor query stand in
/// it: a route says enough, and both hold what is nobody's business.
pub async fn traced(request: Request, next: Next) -> Response {
    // As OpenTelemetry names a method that is none.
    let method = known_method(request.method()).unwrap_or("_OTHER");
    let route = request.extensions().get::<MatchedPath>().cloned();
    let name = || match &route {
        Some(route) => format!("{method} {}", route.as_str()),
        None => method.to_owned(),
    };
    let mut span = Span::begin_in(&Trace::of_caller(request.headers()), Kind::Server, name);
    span.set("http.request.method", &method);
    if let Some(route) = &route {
        span.set("http.route", &route.as_str());
    }
    let response = span.trace().around(pin!(next.run(request))).await;
    span.count("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.fail(&response.status());
    }
    response
}

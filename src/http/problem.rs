//! Errors of the admin API: `application/problem+json` (RFC 9457) with stable types.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::store::StoreError;

const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, for people and programs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem; stable.
    #[serde(rename = "type")]
    #[schema(example = "urn:wxkf-gateway:problem:invalid")]
    pub kind: &'static str,
    /// The kind in words.
    #[schema(example = "Invalid input")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// What is wrong this time, and the mend.
    #[schema(example = "credentials[0].encodingAESKey must be the 43 characters of EncodingAESKey as WeCom shows it")]
    pub detail: String,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, title, status: status.as_u16(), detail: detail.into() }
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "urn:wxkf-gateway:problem:invalid", "Invalid input", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "urn:wxkf-gateway:problem:not-found", "Not found", detail)
    }

    pub fn read_only(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "urn:wxkf-gateway:problem:read-only", "Read-only", detail)
    }

    pub fn unauthorized() -> Self {
        let detail = "send Authorization: Bearer with the ADMIN_TOKEN";
        Self::new(StatusCode::UNAUTHORIZED, "urn:wxkf-gateway:problem:unauthorized", "Unauthorized", detail)
    }

    pub fn upstream(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "urn:wxkf-gateway:problem:upstream", "WeCom refused", detail)
    }

    fn method_not_allowed() -> Self {
        let detail = "this resource has other methods: the Allow header names them";
        let kind = "urn:wxkf-gateway:problem:method-not-allowed";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, kind, "Method not allowed", detail)
    }

    fn unavailable() -> Self {
        let detail = "the store is unavailable; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "urn:wxkf-gateway:problem:unavailable", "Unavailable", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// The source is logged here, once, and never sent.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if let StoreError::ReadOnly { .. } = error {
            return Self::read_only(error.to_string());
        }
        error!(error = %error, "the store failed an operator's request");
        Self::unavailable()
    }
}

/// Gives the router's own refusals, another method and a path that is no UTF-8, the shape of all errors.
pub async fn in_one_shape(response: Response) -> Response {
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == PROBLEM_JSON);
    let problem = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Problem::method_not_allowed(),
        StatusCode::BAD_REQUEST if !is_problem => Problem::invalid("the path is not percent-encoded UTF-8"),
        _ => return response,
    };
    let mut shaped = problem.into_response();
    if let Some(allowed) = response.headers().get(header::ALLOW) {
        shaped.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    shaped
}

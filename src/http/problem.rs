//! Errors of the admin API: `application/problem+json` (RFC 9457) with stable types.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::store::StoreError;
use crate::store::declaration::Faults;

/// The content type of every error of the admin API.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The kind of a problem. These names are stable: programs may compare them.
///
/// - `invalid` (400): a parameter or field is wrong; the detail names each
/// - `unauthorized` (401): no `ADMIN_TOKEN`, or a wrong one
/// - `not-found` (404): the resource is not there, or the path is none of the API's
/// - `method-not-allowed` (405): the resource has other methods, named by `Allow`
/// - `read-only` (409): `CORPS_FILE` declares it, and it is changed there
/// - `too-many-attempts` (429): too many wrong tokens at once; `Retry-After` says when to come back
/// - `internal` (500): a fault of the gateway, which its log tells
/// - `upstream` (502): WeCom refused, or cannot be reached
/// - `unavailable` (503): the store is unavailable
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum ProblemType {
    #[serde(rename = "urn:wxkf-gateway:problem:invalid")]
    Invalid,
    #[serde(rename = "urn:wxkf-gateway:problem:unauthorized")]
    Unauthorized,
    #[serde(rename = "urn:wxkf-gateway:problem:not-found")]
    NotFound,
    #[serde(rename = "urn:wxkf-gateway:problem:method-not-allowed")]
    MethodNotAllowed,
    #[serde(rename = "urn:wxkf-gateway:problem:read-only")]
    ReadOnly,
    #[serde(rename = "urn:wxkf-gateway:problem:too-many-attempts")]
    TooManyAttempts,
    #[serde(rename = "urn:wxkf-gateway:problem:internal")]
    Internal,
    #[serde(rename = "urn:wxkf-gateway:problem:upstream")]
    Upstream,
    #[serde(rename = "urn:wxkf-gateway:problem:unavailable")]
    Unavailable,
}

impl ProblemType {
    const ALL: [Self; 9] = [
        Self::Invalid,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::ReadOnly,
        Self::TooManyAttempts,
        Self::Internal,
        Self::Upstream,
        Self::Unavailable,
    ];

    fn status_and_title(self) -> (StatusCode, &'static str) {
        match self {
            Self::Invalid => (StatusCode::BAD_REQUEST, "Invalid input"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::ReadOnly => (StatusCode::CONFLICT, "Read-only"),
            Self::TooManyAttempts => (StatusCode::TOO_MANY_REQUESTS, "Too many attempts"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
            Self::Upstream => (StatusCode::BAD_GATEWAY, "WeCom refused"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Unavailable"),
        }
    }
}

/// What went wrong, for people and programs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem; stable.
    #[serde(rename = "type")]
    #[schema(example = "urn:wxkf-gateway:problem:invalid")]
    pub kind: ProblemType,
    /// The kind in words.
    #[schema(example = "Invalid input")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// What is wrong this time, and the mend.
    #[schema(example = "credentials[0].encodingAESKey: must be the 43 characters of EncodingAESKey as WeCom shows it")]
    pub detail: String,
}

impl Problem {
    fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        let (status, title) = kind.status_and_title();
        Self { kind, title, status: status.as_u16(), detail: detail.into() }
    }

    /// The status that it is answered with.
    pub fn code(&self) -> StatusCode {
        self.kind.status_and_title().0
    }

    /// What the document shows of an answer with this status; `None`: it is no error.
    pub fn example(status: &str, detail: &str) -> Option<Self> {
        let mut kinds = ProblemType::ALL.into_iter();
        kinds.find(|kind| kind.status_and_title().0.as_str() == status).map(|kind| Self::new(kind, detail))
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Invalid, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::NotFound, detail)
    }

    pub fn read_only(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::ReadOnly, detail)
    }

    pub fn unauthorized() -> Self {
        Self::new(ProblemType::Unauthorized, "send Authorization: Bearer with the ADMIN_TOKEN")
    }

    pub fn too_many_attempts() -> Self {
        Self::new(ProblemType::TooManyAttempts, "too many wrong tokens are offered at once: come back later")
    }

    pub fn upstream(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Upstream, detail)
    }

    fn method_not_allowed() -> Self {
        Self::new(ProblemType::MethodNotAllowed, "this resource has other methods: the Allow header names them")
    }

    fn internal() -> Self {
        Self::new(ProblemType::Internal, "a fault of the gateway, which its log tells")
    }

    pub fn unavailable() -> Self {
        Self::new(ProblemType::Unavailable, "the store is unavailable; try again")
    }
}

/// The answer for paths that the API does not have.
pub async fn no_such_path() -> Problem {
    Problem::not_found("the API has no such path: GET /openapi.json describes those that it has")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code();
        let mut response = (status, axum::Json(&self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Every wrong field of a declaration.
impl From<&Faults> for Problem {
    fn from(faults: &Faults) -> Self {
        Self::invalid(faults.to_string().replace('\n', "; "))
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

/// Gives refusals that no handler made (another method, a path that is no UTF-8, a handler that
/// panicked) the shape of all errors.
pub async fn in_one_shape(response: Response) -> Response {
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == PROBLEM_JSON);
    let problem = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Problem::method_not_allowed(),
        StatusCode::INTERNAL_SERVER_ERROR if !is_problem => Problem::internal(),
        StatusCode::BAD_REQUEST if !is_problem => Problem::invalid("the path is not percent-encoded UTF-8"),
        _ => return response,
    };
    let mut shaped = problem.into_response();
    if let Some(allowed) = response.headers().get(header::ALLOW) {
        shaped.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    shaped
}

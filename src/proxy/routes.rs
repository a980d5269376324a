//! `/puppetWxkfManager/wxkfRequestProxy/*` for bots, `/cgi-bin/*` for every SDK whose base address can be
//! set.
//!
//! The path is taken from the raw URI: a router decodes what a segment holds, and so would let an
//! escaped slash through as one.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::stream;
use hyper::body::Body as _;
use metrics::{Counter, counter};
use tokio::time::Instant;
use tracing::{debug, warn};
use utoipa::ToSchema;

use super::answer::Answer;
use super::path::API;
use super::{ApiProxy, Call, CallBody, CallHead, ProxyError, Target, headers};
use crate::access_token::AccessTokens;
use crate::access_token::routes::{self as token_routes, TokenAnswer};
use crate::egress::{PassedBody, streamed};
use crate::http::auth::Admission;
use crate::http::meters::RouteMeter;
use crate::wecom::Errcode;

const OF_BOTS: &str = "/puppetWxkfManager/wxkfRequestProxy/";
pub(super) const OF_SDKS: &str = API;

/// The fields that WeCom's manual names for the call.
#[derive(Debug, ToSchema)]
#[schema(example = json!({ "cursor": "", "token": "ENCApHxnGDNAVNY4AaSJKj4Tb5mwsEMzxhFmHVGcra996NR", "limit": 1000 }))]
pub struct WecomCall {}

/// What WeCom's manual says the call answers.
#[derive(Debug, ToSchema)]
#[schema(example = json!({ "errcode": 0, "errmsg": "ok" }))]
#[expect(dead_code, reason = "describes the answer, which passes unread")]
pub struct WecomAnswer {
    /// 0, or one of WeCom's; absent from answers of some calls that went well.
    errcode: Option<i64>,
    errmsg: Option<String>,
}

macro_rules! route {
    ($name:ident, $method:ident, $path:literal, $id:literal, $prefix:ident $(, $body:ident)?) => {
        /// Call WeCom's API through the gateway
        ///
        /// Method, query, headers and body go on unaltered, and so does WeCom's answer. With `corpid` and
        /// `corpsecret` in place of `access_token`, the cached token is filled in. A token that came from
        /// this gateway is healed: replaced when it is superseded; renewed, and the call repeated once,
        /// when WeCom answers 40014, 42001 or 40001. Any other token passes untouched.
        #[utoipa::path(
            $method, path = $path, operation_id = $id, tag = "Bots",
            params(
                ("path" = String, Path, description = "The call, below /cgi-bin/. It may hold slashes, and they stay as they are: `kf/sync_msg`, never `kf%2Fsync_msg`", pattern = "^[A-Za-z0-9_.~/-]+$", example = "gettoken"),
                ("access_token" = Option<String>, Query, description = "A token; or give corpid and corpsecret", example = "the-token"),
                ("corpid" = Option<String>, Query, description = "The corp whose token is filled in", example = "ww1234567890abcdef"),
                ("corpsecret" = Option<String>, Query, description = "The secret of its app", example = "the-secret-of-the-app"),
            ),
            $(request_body(description = "As WeCom's manual says of the call: JSON, or a file for `media/upload`", content(
                ($body = "application/json"),
                ($body = "multipart/form-data"),
            )),)?
            responses(
                (status = 200, description = "WeCom's answer; `errcode` tells how it went. A file where the call gets one", content(
                    (WecomAnswer = "application/json"),
                    (String = "*/*"),
                )),
                (status = "default", description = "WeCom's answer with its own status, unchanged", content(
                    (WecomAnswer = "application/json"),
                    (String = "*/*"),
                )),
                (status = 400, description = "No path of WeCom's API", body = TokenAnswer),
                (status = 502, description = "WeCom cannot be reached", body = TokenAnswer),
            ),
        )]
        pub async fn $name(
            State(proxy): State<Arc<ApiProxy>>,
            State(tokens): State<AccessTokens>,
            caller: Admission,
            request: Request,
        ) -> Response {
            static METER: LazyLock<RouteMeter> = LazyLock::new(|| RouteMeter::new($path, stringify!($method)));
            let began = Instant::now();
            // The router moves a call about, layer by layer.
            let response = Box::pin(pass(&proxy, &tokens, caller, request, $prefix)).await;
            METER.record(response.status(), began.elapsed());
            response
        }
    };
}

route!(bots_get, get, "/puppetWxkfManager/wxkfRequestProxy/{*path}", "proxyGet", OF_BOTS);
route!(bots_post, post, "/puppetWxkfManager/wxkfRequestProxy/{*path}", "proxyPost", OF_BOTS, WecomCall);
route!(sdks_get, get, "/cgi-bin/{*path}", "apiGet", OF_SDKS);
route!(sdks_post, post, "/cgi-bin/{*path}", "apiPost", OF_SDKS, WecomCall);

/// Passes on a call whose path begins with `prefix`.
pub(super) async fn pass(
    proxy: &ApiProxy,
    tokens: &AccessTokens,
    caller: Admission,
    request: Request,
    prefix: &str,
) -> Response {
    let target = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let target = Target::parse(target, prefix);
    if target.as_ref().is_ok_and(Target::is_gettoken) {
        return Box::pin(token_routes::answer(tokens, caller, request.uri().query(), request.headers())).await;
    }
    let caller = match caller {
        Ok(caller) => caller,
        Err(refusal) => return refusal,
    };
    let target = match target {
        Ok(target) => target,
        Err(rule) => return refused(StatusCode::BAD_REQUEST, Errcode::INVALID_PARAMETER, format!("the path {rule}")),
    };
    let (mut parts, body) = request.into_parts();
    headers::strip_call(&mut parts.headers);
    if caller.is_proven() || proxy.operators.is_opened_by(&parts.headers) {
        parts.headers.remove(header::AUTHORIZATION);
    }
    let body = if body.is_end_stream() {
        CallBody::none()
    } else {
        // Without a word on its length, hyper takes the body of a GET for none. Of other methods it knows better.
        let seldom_has_one = [Method::GET, Method::HEAD].contains(&parts.method);
        if seldom_has_one && !parts.headers.contains_key(header::CONTENT_LENGTH) {
            parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        CallBody::stream(streamed(body))
    };
    let head = CallHead { method: parts.method, target, headers: parts.headers };
    answer(proxy.call(Call { head, body }).await)
}

fn answer(outcome: Result<Answer, ProxyError>) -> Response {
    // Looked up once: this is counted at each call.
    static RESULTS: LazyLock<[Counter; 3]> = LazyLock::new(|| {
        ["answered", "no_token", "unreachable"].map(|result| counter!("wxkf_proxy_requests_total", "result" => result))
    });
    let [answered, no_token, unreachable] = &*RESULTS;
    let result = match &outcome {
        Ok(_) => answered,
        Err(ProxyError::Token(_)) => no_token,
        Err(ProxyError::Unreachable(_) | ProxyError::NoWay(_) | ProxyError::NoAddress(_)) => unreachable,
    };
    result.increment(1);
    match outcome {
        Ok(answer) => answer.map(passed_on),
        Err(ProxyError::Token(error)) => {
            debug!(%error, "a call has no token");
            refused(StatusCode::OK, error.errcode(), error.errmsg())
        }
        Err(error @ (ProxyError::Unreachable(_) | ProxyError::NoWay(_) | ProxyError::NoAddress(_))) => {
            warn!(%error, "a call was not answered");
            refused(StatusCode::BAD_GATEWAY, Errcode::UNREACHABLE, error.to_string())
        }
    }
}

/// One that is empty must not say so: the head has the word on the length, as in answers to HEAD, and would be given
/// another one.
fn passed_on(body: PassedBody) -> Body {
    match body.size_hint().exact() {
        Some(0) => Body::from_stream(stream::empty::<Result<Bytes, Infallible>>()),
        _ => Body::new(body),
    }
}

/// In WeCom's shape, which is what callers can read.
fn refused(status: StatusCode, errcode: Errcode, errmsg: String) -> Response {
    (status, TokenAnswer::refused(errcode, errmsg)).into_response()
}

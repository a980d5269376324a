//! What comes to `EGRESS_PORT`: `CONNECT host:port`, or any method with a whole URL. There are no routes,
//! since what is called lies elsewhere.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper_util::rt::TokioIo;
use tracing::{debug, warn};

use super::{ForwardProxy, Refusal, count};
use crate::access_token::AccessTokens;
use crate::egress::DialError;
use crate::http::auth::Caller;
use crate::proxy::ApiProxy;
use crate::proxy::routes::{OF_SDKS, pass};

/// Refuses what is meant for this host itself, before anybody is asked for a password: whoever comes here
/// with a browser, or has taken the port for another one, learns so.
pub async fn refuse_own(request: Request, next: Next) -> Response {
    let tunnel = request.method() == Method::CONNECT;
    if request.uri().authority().is_some() && (tunnel || request.uri().scheme().is_some()) {
        return next.run(request).await;
    }
    let mend = "this port is an HTTP proxy that leads to WeCom: set HTTPS_PROXY=http://bot:PASSWORD@gateway:EGRESS_PORT; \
                the gateway itself is at PORT";
    (StatusCode::BAD_REQUEST, mend).into_response()
}

/// Serves whom the door let in.
pub async fn serve(
    State(forward): State<Arc<ForwardProxy>>,
    State(proxy): State<Arc<ApiProxy>>,
    State(tokens): State<AccessTokens>,
    request: Request,
) -> Response {
    let Some(authority) = request.uri().authority().cloned() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if forward.leads_back(request.headers()) {
        let mend = "HTTPS_PROXY of the gateway leads to its own EGRESS_PORT: it is for bots alone";
        warn!("{mend}");
        return (StatusCode::LOOP_DETECTED, mend).into_response();
    }
    if request.method() == Method::CONNECT {
        return connect(&forward, &authority, request).await;
    }
    let host = match forward.allowed(authority.host(), authority.port_u16()) {
        Ok(host) => host,
        Err(refusal) => {
            count(None, "absolute", "not_allowed");
            return refused(&refusal);
        }
    };
    let calls_the_api = request.uri().path().trim_start_matches('/').starts_with(&OF_SDKS[1..]);
    if !calls_the_api {
        count(Some(host), "absolute", "not_allowed");
        return (StatusCode::FORBIDDEN, "this proxy passes on calls below /cgi-bin/ and nothing else").into_response();
    }
    if ![Method::GET, Method::HEAD, Method::POST].contains(request.method()) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD, POST")]).into_response();
    }
    count(Some(host), "absolute", "served");
    // The password stood in Proxy-Authorization, which goes no further: Authorization is WeCom's.
    pass(&proxy, &tokens, Ok(Caller::Anybody), request, OF_SDKS).await
}

async fn connect(forward: &ForwardProxy, authority: &Authority, request: Request) -> Response {
    let Some(port) = authority.port_u16() else {
        return (StatusCode::BAD_REQUEST, "CONNECT asks for host:port").into_response();
    };
    match forward.open(authority.host(), port).await {
        Ok(tunnel) => {
            let upgrading = hyper::upgrade::on(request);
            tunnel.lead(async { upgrading.await.map(TokioIo::new) });
            Response::new(Body::empty())
        }
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::NotAllowed(_) | Refusal::Unreachable { source: DialError::Denied(_), .. } => StatusCode::FORBIDDEN,
        Refusal::Full => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Unreachable { .. } => StatusCode::BAD_GATEWAY,
    };
    match refusal {
        // Never the host itself, of which any caller may write as many as he likes.
        Refusal::NotAllowed(_) => debug!("a host that is not allowed was asked for"),
        Refusal::Full | Refusal::Unreachable { .. } => warn!(error = %refusal, "a tunnel did not come about"),
    }
    (status, refusal.to_string()).into_response()
}

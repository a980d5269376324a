//! `getToken` and `accessToken`: WeCom's own shape, always with HTTP 200, as every SDK expects it.

use std::borrow::Cow;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::query::{self, BadQuery};
use super::{AccessTokens, Lease, TokenError};
use crate::http::auth::Admission;
use crate::wecom::Errcode;

/// The query, for the document alone: it is read by hand, because its faults are answered in WeCom's
/// numbers.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TokenParams {
    /// The corp id.
    #[param(example = "ww1234567890abcdef")]
    pub corpid: String,
    /// The app's secret.
    #[param(example = "the-secret-of-the-app-as-WeCom-shows-it")]
    pub corpsecret: String,
    /// The token that the caller saw fail: it is renewed if it is still the cached one, else the current
    /// one is the answer.
    #[param(required = false, example = "the-access-token-that-failed")]
    pub invalid_token: Option<String>,
}

/// `gettoken`'s answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessTokenAnswer)]
pub struct TokenAnswer<'a> {
    /// 0, WeCom's own errcode, or 504 when WeCom cannot be reached.
    #[schema(example = 0)]
    errcode: i64,
    #[schema(example = "ok")]
    errmsg: Cow<'a, str>,
    /// Absent when the errcode is not 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "the-access-token-as-WeCom-granted-it")]
    access_token: Option<&'a str>,
    /// Whole seconds that remain, always above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 7200, minimum = 1)]
    expires_in: Option<u64>,
}

impl TokenAnswer<'_> {
    fn granted(lease: &Lease) -> Response {
        let access_token = Some(lease.access_token.expose());
        let answer = TokenAnswer { errcode: 0, errmsg: "ok".into(), access_token, expires_in: Some(lease.expires_in) };
        Json(answer).into_response()
    }

    /// A refusal in WeCom's shape.
    pub fn refused(errcode: Errcode, errmsg: String) -> Response {
        let answer = TokenAnswer { errcode: errcode.0, errmsg: errmsg.into(), access_token: None, expires_in: None };
        Json(answer).into_response()
    }
}

/// Get an app's access token
///
/// One token for all who ask, fetched once in its life. The status is 200 whatever comes of it, as
/// WeCom's own: judge by `errcode`.
#[utoipa::path(
    get, path = "/api/corp/accessToken", operation_id = "corpAccessToken", tag = "Bots", params(TokenParams),
    responses(
        (status = 200, description = "The token, or an errcode", body = TokenAnswer),
    ),
)]
pub async fn corp_access_token(State(tokens): State<AccessTokens>, caller: Admission, request: Request) -> Response {
    answer(&tokens, caller, request.uri().query(), request.headers()).await
}

/// Get an app's access token, as bots do
///
/// The same as `/api/corp/accessToken`, at the address that bots call.
#[utoipa::path(
    get, path = "/puppetWxkfManager/getToken", operation_id = "puppetGetToken", tag = "Bots", params(TokenParams),
    responses(
        (status = 200, description = "The token, or an errcode", body = TokenAnswer),
    ),
)]
pub async fn puppet_get_token(State(tokens): State<AccessTokens>, caller: Admission, request: Request) -> Response {
    answer(&tokens, caller, request.uri().query(), request.headers()).await
}

/// Answers a token request, whatever its path: the proxy has `gettoken` answered here too. A gateway that asks itself
/// is told so first: it knows no password for itself.
pub async fn answer(tokens: &AccessTokens, caller: Admission, query: Option<&str>, headers: &HeaderMap) -> Response {
    if tokens.leads_back(headers) {
        let errmsg =
            "ACCESS_TOKEN_URL or WECOM_API_BASE_URL leads back to this gateway: point it at WeCom or a token service";
        return TokenAnswer::refused(Errcode::UNREACHABLE, errmsg.to_owned());
    }
    if let Err(refusal) = caller {
        return refusal;
    }
    let asked = match query::parse(query.unwrap_or_default()) {
        Ok(asked) => asked,
        Err(BadQuery { errcode, errmsg }) => return TokenAnswer::refused(errcode, errmsg),
    };
    let outcome = match &asked.invalid_token {
        Some(invalid_token) => tokens.renew(&asked.app, invalid_token).await,
        None => tokens.lease(&asked.app).await,
    };
    outcome.map_or_else(refusal, |lease| TokenAnswer::granted(&lease))
}

fn refusal(error: TokenError) -> Response {
    TokenAnswer::refused(error.errcode(), error.errmsg())
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    use super::super::TokenSettings;
    use super::super::testkit::{Bench, assemble};
    use super::*;
    use crate::http::auth::Caller;
    use crate::wecom::WecomSettings;
    use crate::wecom::fake::{FakeWecom, Reply, client, grant, refusal};

    /// Without the door.
    fn router(tokens: AccessTokens) -> Router {
        let answered = async |State(tokens): State<AccessTokens>, request: Request| {
            answer(&tokens, Ok(Caller::Anybody), request.uri().query(), request.headers()).await
        };
        Router::new().fallback(answered).with_state(tokens)
    }

    async fn ask(router: &Router, uri: &str) -> Value {
        let response = router.clone().oneshot(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn answers_in_wecoms_shape() {
        let bench = Bench::new(|asked| Reply::Json(grant(&format!("T{}", asked.number), 7200))).await;
        let router = router(bench.tokens);
        let answer = ask(&router, "/puppetWxkfManager/getToken?corpid=ww1&corpsecret=s").await;
        assert_eq!(
            (&answer["errcode"], &answer["errmsg"], &answer["access_token"]),
            (&json!(0), &json!("ok"), &json!("T1"))
        );
        assert!(answer["expires_in"].as_u64().is_some_and(|seconds| (7190..=7200).contains(&seconds)));
        let answer = ask(&router, "/api/corp/accessToken?corpid=ww1&corpsecret=s&invalid_token=T1").await;
        assert_eq!(answer["access_token"], "T2");
        let answer = ask(&router, "/api/corp/accessToken?corpid=ww1&corpsecret=s&invalid_token=T1").await;
        assert_eq!(answer["access_token"], "T2");
        assert_eq!(bench.wecom.calls(), 2);
    }

    #[tokio::test]
    async fn errors_keep_wecoms_number_and_hold_no_token() {
        let bench = Bench::new(|_| Reply::Json(refusal(40013))).await;
        let router = router(bench.tokens);
        let answer = ask(&router, "/api/corp/accessToken?corpid=ww1&corpsecret=s").await;
        assert_eq!(answer, refusal(40013));
        for (query, errcode) in [("", 41002), ("?corpid=ww1", 41004), ("?corpid=%&corpsecret=s", 40058)] {
            let answer = ask(&router, &format!("/api/corp/accessToken{query}")).await;
            assert_eq!(answer["errcode"], errcode);
        }
        assert_eq!(bench.wecom.calls(), 1);
    }

    #[tokio::test]
    async fn a_token_url_that_leads_back_here_is_told_so_at_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://{}/api/corp/accessToken", listener.local_addr().unwrap());
        let bench = Bench::new(|_| Reply::Hang).await;
        let settings = WecomSettings::new(FakeWecom::nobody().await, Some(own.parse().unwrap()));
        let tokens = assemble(TokenSettings::default(), client(settings), &bench.store, &bench.clock);
        let router = router(tokens);
        let served = router.clone();
        crate::lifecycle::Tasks::new().spawn(async move { axum::serve(listener, served).await });
        let answer = ask(&router, "/api/corp/accessToken?corpid=ww1&corpsecret=s").await;
        assert_eq!(answer["errcode"], 504);
        assert!(answer["errmsg"].as_str().is_some_and(|text| text.contains("leads back")), "{answer}");
    }
}

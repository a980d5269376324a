//! The only code that talks to WeCom (the proxy, which streams foreign calls through, aside).
//!
//! Answers are judged by their errcode: WeCom sends 200 with every refusal. Anything but 2xx is
//! therefore not WeCom's word but that of something in between.

mod accounts;
mod errcode;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod outbound;

pub use accounts::{AccountAccess, ListedAccount};
pub use errcode::{Api, Class, Errcode};
pub use error::{Refusal, WecomError, fault_of, fault_of_passing};
pub use outbound::{Outbound, UnusableProxy};

use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::HeaderMap;
use metrics::{counter, histogram};
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::domain::{App, CorpId, Secret};
use crate::egress::Mark;
use crate::observe::{Family, Kind, Label, Measure, Span, Values};

/// A grant has some 600 bytes; more than this is no answer of WeCom.
const GRANT_LIMIT: usize = 64 * 1024;
/// A token is not believed to live longer, so that a mad number cannot overflow or pin a dead one.
const LONGEST_LIFE: u64 = 30 * 24 * 3600;

/// Where WeCom is.
#[derive(Debug, Clone)]
pub struct WecomSettings {
    /// `WECOM_API_BASE_URL`.
    pub api_base: Url,
    /// `ACCESS_TOKEN_URL`: a token service in WeCom's place, which understands `invalid_token`.
    pub token_url: Option<Url>,
    /// For each call as a whole.
    pub limit: Duration,
}

impl WecomSettings {
    /// The limit is shorter than what a caller waits for a token, so that it hears the reason.
    pub const DEFAULT_LIMIT: Duration = Duration::from_secs(8);

    pub fn new(api_base: Url, token_url: Option<Url>) -> Self {
        Self { api_base, token_url, limit: Self::DEFAULT_LIMIT }
    }
}

/// An access token as WeCom granted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub access_token: Secret,
    /// Counted from the moment of asking.
    pub expires_in: Duration,
}

/// Whether renewals can say which token failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenSource {
    Wecom,
    TokenService,
}

/// Calls WeCom. Clones share the connections.
#[derive(Debug, Clone)]
pub struct WecomClient {
    token_url: Url,
    token_source: TokenSource,
    accounts_url: Url,
    limit: Duration,
    outbound: Outbound,
    mark: Mark,
}

impl WecomClient {
    pub fn new(settings: WecomSettings, outbound: impl Into<Outbound>) -> Self {
        let accounts_url = api_url(&settings.api_base, "kf/account/list");
        let (token_url, token_source) = match settings.token_url {
            Some(url) => (url, TokenSource::TokenService),
            None => (api_url(&settings.api_base, "gettoken"), TokenSource::Wecom),
        };
        let mark = Mark::of_upstream(&token_url);
        let (limit, outbound) = (settings.limit, outbound.into());
        Self { token_url, token_source, accounts_url, limit, outbound, mark }
    }

    /// Asks for the app's access token. `invalid_token`, the one that failed, is told to a token
    /// service only: WeCom has no such parameter.
    pub async fn gettoken(&self, app: &App, invalid_token: Option<&Secret>) -> Result<Granted, WecomError> {
        let mut url = self.token_url.clone();
        url.query_pairs_mut()
            .append_pair("corpid", app.corp_id.as_str())
            .append_pair("corpsecret", app.secret.expose());
        let told = invalid_token.filter(|_| self.token_source == TokenSource::TokenService);
        if let Some(token) = told {
            url.query_pairs_mut().append_pair("invalid_token", token.expose());
        }
        let call =
            Call { endpoint: "gettoken", api: Api::GetToken, host: host(&self.token_url), body_limit: GRANT_LIMIT };
        let http = match self.token_source {
            TokenSource::Wecom => self.http(&app.corp_id, &call).await?,
            // It is not WeCom, and sees every corp anyway.
            TokenSource::TokenService => self.outbound.common(),
        };
        let request = http.get(url).headers((&self.mark).into());
        let secrets = [app.secret.expose(), told.map_or("", Secret::expose)];
        let answer: GrantAnswer = self.call(request, &call, &secrets).await?;
        answer.granted().ok_or_else(|| call.bad_answer("a grant without access_token or expires_in"))
    }

    /// Whether a gateway asks for a token that takes the very address for WeCom that this one does: then nobody
    /// asks WeCom.
    pub fn leads_back(&self, headers: &HeaderMap) -> bool {
        self.mark.is_on(headers)
    }

    async fn http(&self, corp: &CorpId, call: &Call) -> Result<Client, WecomError> {
        let unreachable = |_| WecomError::Unreachable { host: call.host.clone(), reason: UnusableProxy::REASON };
        self.outbound.of(corp).await.map_err(unreachable)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        call: &Call,
        secrets: &[&str],
    ) -> Result<T, WecomError> {
        let started = Instant::now();
        // WeCom is not told of the trace: it is nobody's who could look.
        let mut span = Span::begin(Kind::Client, call.endpoint);
        span.set("server.address", &call.host);
        let result = exchange(request.timeout(self.limit), call, secrets).await;
        if let Err(error) = &result {
            span.fail(error);
        }
        let label = match &result {
            Ok(_) => "ok",
            Err(WecomError::Refused(refusal)) => refusal.class().as_str(),
            Err(WecomError::Unreachable { .. }) => "unreachable",
            Err(WecomError::BadAnswer { .. }) => "bad_answer",
        };
        counter!("wecom_api_requests_total", "endpoint" => call.endpoint, "result" => label).increment(1);
        histogram!("wecom_api_request_duration_seconds", "endpoint" => call.endpoint).record(started.elapsed());
        result
    }
}

/// What one call is about, for its limits, its errors and its metrics.
#[derive(Debug)]
struct Call {
    endpoint: &'static str,
    api: Api,
    host: String,
    body_limit: usize,
}

impl Call {
    fn unreachable(&self, error: &reqwest::Error) -> WecomError {
        WecomError::Unreachable { host: self.host.clone(), reason: fault_of(error) }
    }

    fn bad_answer(&self, reason: impl Into<String>) -> WecomError {
        WecomError::BadAnswer { host: self.host.clone(), reason: reason.into() }
    }
}

/// Every answer's errcode; the rest depends on the call.
#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
}

async fn exchange<T: DeserializeOwned>(
    request: RequestBuilder,
    call: &Call,
    secrets: &[&str],
) -> Result<T, WecomError> {
    let mut response = request.send().await.map_err(|error| call.unreachable(&error))?;
    if !response.status().is_success() {
        return Err(call.bad_answer(format!("HTTP status {}", response.status().as_u16())));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| call.unreachable(&error))? {
        if body.len() + chunk.len() > call.body_limit {
            return Err(call.bad_answer(format!("more than {} bytes", call.body_limit)));
        }
        body.extend_from_slice(&chunk);
    }
    let verdict: Verdict = serde_json::from_slice(&body).map_err(|_| call.bad_answer("not WeCom's JSON"))?;
    if verdict.errcode != 0 {
        return Err(WecomError::Refused(Refusal::new(verdict.errcode, &verdict.errmsg, call.api, secrets)));
    }
    serde_json::from_slice(&body).map_err(|_| call.bad_answer("not the JSON that WeCom answers here"))
}

/// `gettoken`'s answer. Token services were seen to write the seconds as text.
#[derive(Deserialize)]
struct GrantAnswer {
    access_token: Option<Secret>,
    expires_in: Option<serde_json::Value>,
}

impl GrantAnswer {
    fn granted(self) -> Option<Granted> {
        let access_token = self.access_token.filter(|token| !token.expose().is_empty())?;
        let seconds = match self.expires_in? {
            serde_json::Value::Number(number) => number.as_u64(),
            serde_json::Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let seconds = seconds.filter(|&seconds| seconds > 0)?;
        Some(Granted { access_token, expires_in: Duration::from_secs(seconds.min(LONGEST_LIFE)) })
    }
}

fn api_url(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/cgi-bin/{path}", base.path().trim_end_matches('/')));
    url
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("upstream");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

const ENDPOINTS: Label = Label { name: "endpoint", values: Values::These(&["gettoken", "kf/account/list"]) };

/// The metrics of calls to WeCom.
pub const METRICS: &[Family] = &[
    Family {
        name: "wecom_api_requests_total",
        measure: Measure::Counter,
        labels: &[
            ENDPOINTS,
            Label {
                name: "result",
                values: Values::These(&[
                    "ok",
                    "token_rejected",
                    "bad_credentials",
                    "not_permitted",
                    "busy",
                    "rate_limited",
                    "caller_error",
                    "unreachable",
                    "bad_answer",
                ]),
            },
        ],
        says: "The gateway's own calls to WeCom by endpoint and what came of them",
        advice: "`rate_limited` and `bad_credentials` can get the address banned: find the app in the log. `unreachable`: the network, or \
            `HTTPS_PROXY`. `bad_answer`: something between here and WeCom answers in its place.",
    },
    Family {
        name: "wecom_api_request_duration_seconds",
        measure: Measure::Durations,
        labels: &[ENDPOINTS],
        says: "How long WeCom took to answer",
        advice: "Callers wait for it only when no token is cached.",
    },
];

#[cfg(test)]
mod tests;

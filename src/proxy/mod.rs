//! WeCom's API through the gateway: calls are streamed through unaltered, and their access tokens
//! filled in and healed, so that no caller notices a token that was revoked early.
//!
//! The one decision a reader would question: a token that this gateway never handed out passes
//! untouched. Whoever brings his own token has a token server of his own, and two that heal would
//! invalidate each other's tokens for ever.

mod answer;
mod body;
pub mod forward;
mod gather;
mod headers;
mod path;
mod query;
pub mod routes;

use http::{HeaderMap, Method, Request, header};
use metrics::counter;
use tracing::{info, warn};
use url::Url;

use crate::access_token::{AccessTokens, TokenError, TokenState};
use crate::domain::{App, AppKey, CorpId, Secret};
use crate::http::auth::Door;
use crate::live::{Live, Rate};
use crate::observe::{Family, Kind, Label, Measure, Span, Values};
use crate::wecom::{self, Outbound, UnusableProxy};
use answer::{Answer, Verdict};
use path::ApiBase;
use query::{Bearer, Query};

pub use body::CallBody;
pub use path::Target;

/// A call as it came in.
#[derive(Debug)]
pub struct Call {
    pub head: CallHead,
    pub body: CallBody,
}

/// The same without its body.
#[derive(Debug)]
pub struct CallHead {
    pub method: Method,
    pub target: Target,
    /// Without what concerns the connection to the gateway alone; the host is WeCom's in what is sent.
    pub headers: HeaderMap,
}

/// Why a call was not passed on, or has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// There is no token to fill in.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// WeCom did not answer. The text names no URL: its query holds the token.
    #[error("WeCom cannot be reached: {0}")]
    Unreachable(&'static str),
    #[error(transparent)]
    NoWay(#[from] UnusableProxy),
    #[error("the call makes no address: {0}")]
    NoAddress(#[from] http::Error),
}

/// Passes calls on to WeCom.
#[derive(Debug)]
pub struct ApiProxy {
    base: ApiBase,
    outbound: Outbound,
    tokens: AccessTokens,
    /// The operators' door: its key is the gateway's own, and goes no further.
    operators: Door,
    live: Live,
}

/// The token of a call, when it is the gateway's to change.
struct Filled {
    token: Secret,
    owner: Owner,
}

/// Whose token it is.
enum Owner {
    App(App),
    /// Its secret is looked for when the token must be renewed.
    Key(AppKey),
}

impl Owner {
    fn corp(&self) -> &CorpId {
        match self {
            Self::App(app) => &app.corp_id,
            Self::Key(key) => &key.corp_id,
        }
    }
}

impl ApiProxy {
    /// `base` is `WECOM_API_BASE_URL`.
    pub fn new(
        base: &Url,
        outbound: Outbound,
        tokens: AccessTokens,
        operators: Door,
        live: Live,
    ) -> Result<Self, http::Error> {
        Ok(Self { base: ApiBase::of(base)?, outbound, tokens, operators, live })
    }

    /// Passes the call on, with a live token in it, and returns the answer as soon as it begins.
    pub async fn call(&self, call: Call) -> Result<Answer, ProxyError> {
        self.live.count(Rate::Proxied);
        let Call { head, mut body } = call;
        let query = Query::parse(head.target.query());
        let Some(filled) = self.fill(&query).await? else {
            return Box::pin(self.send(&head, &mut body, query.as_it_came(), None)).await;
        };
        body.keep().await;
        let response = self.send(&head, &mut body, &query.with(&filled.token), Some(filled.owner.corp())).await?;
        let (verdict, answer) = answer::judge(response).await;
        if verdict == Verdict::Fine {
            return Ok(answer);
        }
        // On the heap, as whatever happens seldom: the way of a call is moved about, and should be small.
        match Box::pin(self.other_token(&filled)).await {
            Some(other) if body.can_be_repeated() => {
                counter!("wxkf_proxy_healed_total").increment(1);
                Box::pin(self.send(&head, &mut body, &query.with(&other), Some(filled.owner.corp()))).await
            }
            _ => Ok(answer),
        }
    }

    /// The token that the call is to carry; `None` when its own passes untouched.
    async fn fill(&self, query: &Query<'_>) -> Result<Option<Filled>, ProxyError> {
        match query.bearer() {
            Bearer::App(app) => {
                let token = Box::pin(self.tokens.lease(app)).await?.access_token;
                Ok(Some(Filled { token, owner: Owner::App(app.clone()) }))
            }
            Bearer::Token(token) => {
                let Some(known) = self.tokens.recognise(token).await else { return Ok(None) };
                let current = match known.state {
                    TokenState::Current => None,
                    TokenState::Superseded => self.tokens.current(&known.app).await,
                };
                let token = current.unwrap_or_else(|| token.clone());
                Ok(Some(Filled { token, owner: Owner::Key(known.app) }))
            }
            Bearer::None => Ok(None),
        }
    }

    /// Another token than the one that WeCom rejected, if there is any.
    async fn other_token(&self, filled: &Filled) -> Option<Secret> {
        let app = match &filled.owner {
            Owner::App(app) => app,
            // Unknown here, it cannot be renewed.
            Owner::Key(key) => &self.tokens.app_of(key).await?,
        };
        info!(corp.id = %app.corp_id, "WeCom rejected an access token of ours; it is renewed");
        let renewed = self.tokens.renew(app, &filled.token).await;
        let lease = renewed
            .inspect_err(|error| warn!(corp.id = %app.corp_id, error = error.explained(), "a call cannot be healed"))
            .ok()?;
        (lease.access_token != filled.token).then_some(lease.access_token)
    }

    /// A connection that does not come about is tried once more, at a fresh address: WeCom's change
    /// several times a day. The call of a known corp takes the corp's way.
    async fn send(
        &self,
        head: &CallHead,
        body: &mut CallBody,
        query: &str,
        corp: Option<&CorpId>,
    ) -> Result<Answer, ProxyError> {
        let passage = self.outbound.passage(corp).await?;
        let address = self.base.address(&head.target, query)?;
        let mut again = body.can_be_repeated();
        loop {
            let mut request = Request::new(body.take());
            *request.method_mut() = head.method.clone();
            *request.uri_mut() = address.clone();
            *request.headers_mut() = head.headers.clone();
            request.headers_mut().insert(header::HOST, self.base.host());
            let mut span = Span::begin(Kind::Client, "call WeCom");
            span.set("http.request.method", &head.method);
            span.set("url.path", &head.target);
            let failed = match passage.send(request).await {
                Ok(mut answer) => {
                    span.count("http.response.status_code", answer.status().as_u16());
                    headers::strip(answer.headers_mut());
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let fault = wecom::fault_of_passing(&failed);
            span.fail(&fault);
            if !failed.is_connect() || !std::mem::take(&mut again) {
                return Err(ProxyError::Unreachable(fault));
            }
        }
    }
}

/// The metrics of the proxy.
pub const METRICS: &[Family] = &[
    Family {
        name: "wxkf_proxy_requests_total",
        measure: Measure::Counter,
        labels: &[Label { name: "result", values: Values::These(&["answered", "no_token", "unreachable"]) }],
        says: "Calls for WeCom's API by how they ended",
        advice: "`answered` is also what WeCom answered with an errcode. `no_token`: see `wxkf_access_token_refresh_total`. \
            `unreachable`: the network, or `HTTPS_PROXY`.",
    },
    Family {
        name: "wxkf_proxy_healed_total",
        measure: Measure::Counter,
        labels: &[],
        says: "Calls repeated with another access token, because WeCom had revoked theirs",
        advice: "Now and then is in order. Many: another program fetches tokens of the same app; give it the gateway's.",
    },
];

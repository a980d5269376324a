//! Who calls: bots with `PUPPET_PASSWORD`, operators with `ADMIN_TOKEN`.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metrics::counter;
use tracing::warn;

use super::audit::{self, Act, Trail};
use super::problem::Problem;
use super::slowing::{RETRY_AFTER, Slowed, Slowing};
use crate::domain::{Action, Actor, Secret};

/// The secrets that open a door; several while one is being replaced. All are compared, each in
/// constant time, so that an answer's time tells nothing.
#[derive(Debug, Clone, Default)]
pub struct Keyring(Arc<[Secret]>);

impl Keyring {
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self(secrets.into_iter().collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, to derive other keys from.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }

    fn opens(&self, offered: &str) -> bool {
        let offered = Secret::new(offered);
        self.0.iter().fold(false, |opened, secret| opened | (*secret == offered))
    }
}

/// What came of a key that somebody typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    Opened,
    Refused,
    /// Too many are held back already: to be answered with [`turned_away`].
    TurnedAway,
}

/// A door: what opens it, and where those who tried in vain are noted. Clones share it.
#[derive(Debug, Clone)]
pub struct Door(Arc<Lock>);

#[derive(Debug)]
struct Lock {
    keys: Keyring,
    trail: Trail,
    slowing: Slowing,
}

impl Door {
    pub fn new(keys: Keyring, trail: Trail, slowing: Slowing) -> Self {
        Self(Arc::new(Lock { keys, trail, slowing }))
    }

    pub fn keys(&self) -> &Keyring {
        &self.0.keys
    }

    /// For an `ADMIN_TOKEN` that somebody typed: as careful as with one in a header.
    pub async fn try_admin_token(&self, offered: &str, extensions: &Extensions) -> Tried {
        if self.keys().opens(offered) {
            return Tried::Opened;
        }
        self.refuse_admin_token(extensions).await
    }

    async fn refuse_admin_token(&self, extensions: &Extensions) -> Tried {
        let nth = self.note(extensions, Action::ADMIN_REFUSED, "ADMIN_TOKEN");
        match self.hold_back(nth, "ADMIN_TOKEN").await {
            Slowed::Answered => Tried::Refused,
            Slowed::TurnedAway => Tried::TurnedAway,
        }
    }

    /// Whether a request carries the door's key, wherever it goes.
    pub fn is_opened_by(&self, headers: &HeaderMap) -> bool {
        offered(headers, &header::AUTHORIZATION).is_some_and(|key| self.keys().opens(&key))
    }

    /// Notes that a key was offered that does not fit; returns which wrong one of a burst it is. A
    /// caller without any key tried nothing.
    fn note(&self, extensions: &Extensions, action: Action, setting: &'static str) -> u64 {
        let address = audit::address(extensions);
        // Never the path itself, which may hold anything. The forward proxy has no routes.
        let route = extensions.get::<MatchedPath>().map_or("EGRESS_PORT", MatchedPath::as_str);
        let act = Act::new(action, route, format!("wrong {setting}"));
        let nth = self.0.trail.refused(act, Actor::Unknown, address);
        if nth == 1 {
            warn!(address = address.map(tracing::field::display), "wrong {setting}");
        }
        nth
    }

    /// Holds the answer back when it is one of many.
    async fn hold_back(&self, nth: u64, setting: &'static str) -> Slowed {
        let slowed = self.0.slowing.hold_back(nth).await;
        let answer = match slowed {
            Slowed::Answered => "refused",
            Slowed::TurnedAway => "turned_away",
        };
        counter!("wxkf_wrong_passwords_total", "setting" => setting, "answer" => answer).increment(1);
        slowed
    }
}

/// To come back later, and over another connection: that slows the caller, too.
pub fn turned_away(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, RETRY_AFTER.as_secs().into());
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The door of the bots' routes: `PUPPET_PASSWORD`, as Basic (any user name) or Bearer.
#[derive(Debug, Clone)]
pub struct PuppetDoor(pub Door);

/// A caller of a bots' route who was let in. Handlers of routes that are called all the time ask for him, and
/// so need no layer around them: that costs a call as much as all the rest of its way through the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// No password is set, so anybody may call.
    Anybody,
    Proven,
}

/// A caller, or the answer to whoever is not let in: for handlers that have something to say before.
pub type Admission = Result<Caller, Response>;

impl Caller {
    pub fn is_proven(self) -> bool {
        self == Self::Proven
    }
}

/// How bots are asked for their password.
struct Challenge {
    /// Where they offer it.
    offered_in: HeaderName,
    status: StatusCode,
    asked_in: HeaderName,
    mend: &'static str,
}

const BY_ROUTES: Challenge = Challenge {
    offered_in: header::AUTHORIZATION,
    status: StatusCode::UNAUTHORIZED,
    asked_in: header::WWW_AUTHENTICATE,
    mend: "PUPPET_PASSWORD is set: send it, for example as http://bot:PASSWORD@gateway:7777",
};
/// As a proxy does.
const BY_THE_PROXY: Challenge = Challenge {
    offered_in: header::PROXY_AUTHORIZATION,
    status: StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    asked_in: header::PROXY_AUTHENTICATE,
    mend: "PUPPET_PASSWORD is set: send it, for example with HTTPS_PROXY=http://bot:PASSWORD@gateway:EGRESS_PORT",
};

impl<S: AsRef<PuppetDoor> + Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        state.as_ref().admit(BY_ROUTES, &parts.headers, &parts.extensions).await
    }
}

impl PuppetDoor {
    async fn admit(
        &self,
        challenge: Challenge,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Caller, Response> {
        let Self(door) = self;
        if door.keys().is_empty() {
            return Ok(Caller::Anybody);
        }
        match offered(headers, &challenge.offered_in) {
            Some(password) if door.keys().opens(&password) => return Ok(Caller::Proven),
            Some(_) => {
                let nth = door.note(extensions, Action::PUPPET_REFUSED, "PUPPET_PASSWORD");
                if door.hold_back(nth, "PUPPET_PASSWORD").await == Slowed::TurnedAway {
                    return Err(too_many_passwords());
                }
            }
            None => {}
        }
        let Challenge { status, asked_in, mend, .. } = challenge;
        Err((status, [(asked_in, "Basic realm=\"wxkf-gateway\"")], mend).into_response())
    }
}

/// Asks bots for their password before anything else is done for them.
pub async fn require_puppet_password(State(door): State<PuppetDoor>, mut request: Request, next: Next) -> Response {
    match door.admit(BY_ROUTES, request.headers(), request.extensions()).await {
        Ok(_) => {
            request.extensions_mut().insert(Actor::Bot);
            next.run(request).await
        }
        Err(refusal) => refusal,
    }
}

/// Asks bots for the same password as a proxy does.
pub async fn require_proxy_password(State(door): State<PuppetDoor>, request: Request, next: Next) -> Response {
    match door.admit(BY_THE_PROXY, request.headers(), request.extensions()).await {
        Ok(_) => next.run(request).await,
        Err(refusal) => refusal,
    }
}

fn too_many_passwords() -> Response {
    let mend = "too many wrong passwords are offered at once: come back later";
    turned_away((StatusCode::TOO_MANY_REQUESTS, mend).into_response())
}

/// Asks operators for `ADMIN_TOKEN`. Without one there is no admin API.
pub async fn require_admin_token(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    if door.keys().is_empty() {
        return Problem::not_found("there is no admin API: ADMIN_TOKEN is unset").into_response();
    }
    let offered = offered(request.headers(), &header::AUTHORIZATION);
    let token = authorization(request.headers(), &header::AUTHORIZATION, "Bearer");
    if token.is_some_and(|token| door.keys().opens(token)) {
        request.extensions_mut().insert(Actor::Admin);
        return next.run(request).await;
    }
    // What is offered otherwise than as Bearer is as wrong as another token.
    if offered.is_some() && door.refuse_admin_token(request.extensions()).await == Tried::TurnedAway {
        return turned_away(Problem::too_many_attempts().into_response());
    }
    Problem::unauthorized().into_response()
}

/// The key in this header.
fn offered(headers: &HeaderMap, header: &HeaderName) -> Option<String> {
    if let Some(bearer) = authorization(headers, header, "Bearer") {
        return Some(bearer.to_owned());
    }
    let decoded = STANDARD.decode(authorization(headers, header, "Basic")?).ok()?;
    let pair = String::from_utf8(decoded).ok()?;
    pair.split_once(':').map(|(_user, password)| password.to_owned())
}

/// What follows the scheme, whose case does not matter.
fn authorization<'h>(headers: &'h HeaderMap, header: &HeaderName, scheme: &str) -> Option<&'h str> {
    let value = headers.get(header)?.to_str().ok()?;
    let (given, rest) = value.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn reads_basic_and_bearer() {
        let offered = |value: &str| offered(&headers(value), &header::AUTHORIZATION);
        assert_eq!(offered("Basic Ym90OnNlY3JldA==").as_deref(), Some("secret"));
        assert_eq!(offered("bearer  secret").as_deref(), Some("secret"));
        for wrong in ["Basic", "Basic !", "Basic Ym90", "Digest x"] {
            assert_eq!(offered(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn any_key_of_the_ring_opens() {
        let ring = Keyring::new(["old", "new"].map(Secret::new));
        assert!(ring.opens("old") && ring.opens("new"));
        assert!(!ring.opens("") && !ring.opens("ne"));
    }
}

//! Tokens and failures to put into a cache.

use std::sync::Arc;

use jiff::Timestamp;
use wxkf_gateway::access_token::{Asker, Failure, Standing, TokenError};
use wxkf_gateway::domain::{App, AppKey, Clock, CorpId, Secret};
use wxkf_gateway::store::StoredToken;
use wxkf_gateway::wecom::{Api, Errcode, Refusal};

pub(super) const START: i64 = 1_700_000_000;

/// A clock that the case alone moves.
pub(super) fn clock() -> Clock {
    Clock::standing_still_at(Timestamp::from_second(START).unwrap())
}

pub(super) fn corp(name: &str) -> CorpId {
    CorpId::parse(name).unwrap()
}

pub(super) fn app(corp_id: &str, secret: &str) -> AppKey {
    App { corp_id: corp(corp_id), secret: Secret::new(secret) }.key()
}

/// Fetched so many seconds after the start, good for two hours.
pub(super) fn token(app: &AppKey, text: &str, after: i64) -> StoredToken {
    let at = |second| Timestamp::from_second(START + second).unwrap();
    StoredToken {
        app: app.clone(),
        access_token: Secret::new(text),
        fetched_at: at(after),
        expires_at: at(after + 7200),
        renewed_to_same: false,
        corp_secret: None,
        superseded: Vec::new(),
    }
}

pub(super) fn refused(errcode: i64) -> TokenError {
    let refusal = Refusal { errcode: Errcode(errcode), errmsg: "invalid credential".into(), api: Api::GetToken };
    TokenError::Refused(Arc::new(refusal))
}

pub(super) fn failure(error: TokenError, clock: &Clock) -> Failure {
    Failure::after(None, error, clock.now())
}

pub(super) fn asker(name: &str, standing: Standing) -> Asker {
    Asker { corp: corp(name), standing }
}

//! The names of everything that the gateway keeps in Redis, all under one prefix and all of them with
//! an expiry. What one script touches has one hash tag (the braces), so that it lies in one slot.
//!
//! | key | kind | what |
//! |---|---|---|
//! | `wxkf-gateway:{corp/fingerprint}:token` | hash | the app's latest token, also when it has expired |
//! | `wxkf-gateway:{corp/fingerprint}:turn` | text | the lock: who asks upstream now |
//! | `wxkf-gateway:{corp/fingerprint}:failure` | hash | errcode, errmsg, how long it is remembered |
//! | `wxkf-gateway:{corp/fingerprint}:forced` | text | when a renewal was forced last |
//! | `wxkf-gateway:owner:hash` | text | whose access token has that hash |
//! | `wxkf-gateway:obtained:corp` | text | an app of the corp obtained a token |
//! | `wxkf-gateway:apps` | sorted set | the apps that have tokens |
//! | `wxkf-gateway:{refusals}:…` | sorted sets | places in the budget of refusals: in all, of unknown corps, of each corp |
//! | `wxkf-gateway:check` | text | written by `/readyz` |

use std::time::Duration;

use jiff::Timestamp;

use super::super::budget::{Asker, Standing};
use crate::domain::{AppKey, CorpId, Fingerprint};

pub(super) const APPS: &str = "wxkf-gateway:apps";
pub(super) const CHECK: &str = "wxkf-gateway:check";

/// That an app or a corp ever obtained a token is known for so long after its last one.
pub(super) const EVER: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) fn token(app: &AppKey) -> String {
    of(app, "token")
}

pub(super) fn turn(app: &AppKey) -> String {
    of(app, "turn")
}

pub(super) fn failure(app: &AppKey) -> String {
    of(app, "failure")
}

pub(super) fn forced(app: &AppKey) -> String {
    of(app, "forced")
}

fn of(app: &AppKey, what: &str) -> String {
    format!("wxkf-gateway:{{{}}}:{what}", app_name(app))
}

pub(super) fn owner(access_token: &Fingerprint) -> String {
    format!("wxkf-gateway:owner:{access_token}")
}

pub(super) fn obtained(corp: &CorpId) -> String {
    format!("wxkf-gateway:obtained:{corp}")
}

/// In all, of the corp, and of all unknown corps if it is one.
pub(super) fn budgets(asker: &Asker) -> Vec<String> {
    let of = |whose: &str| format!("wxkf-gateway:{{refusals}}:{whose}");
    let mut keys = vec![of("all"), of(&format!("corp:{}", asker.corp))];
    if asker.standing == Standing::Unknown {
        keys.push(of("unknown"));
    }
    keys
}

/// `corp/fingerprint`
pub(super) fn app_name(app: &AppKey) -> String {
    format!("{}/{}", app.corp_id, app.secret)
}

pub(super) fn app_named(name: &str) -> Option<AppKey> {
    let (corp, secret) = name.split_once('/')?;
    Some(AppKey { corp_id: CorpId::parse(corp).ok()?, secret: Fingerprint::from_text(secret) })
}

/// What `PX` and `PEXPIRE` take: at least 1, because 0 is an error.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// As [`millis`], for the driver's `pexpire`.
pub(super) fn px(span: Duration) -> i64 {
    i64::try_from(millis(span)).unwrap_or(i64::MAX)
}

/// As [`millis`], until that moment.
pub(super) fn millis_until(moment: Timestamp, now: Timestamp) -> u64 {
    millis(Duration::try_from(moment.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wecom::fake::app;

    #[test]
    fn keys_of_one_app_share_a_hash_tag() {
        let app = app("ww1", "s").key();
        let tag = format!("{{ww1/{}}}", app.secret);
        assert!([token(&app), turn(&app), failure(&app), forced(&app)].iter().all(|key| key.contains(&tag)));
        assert_eq!(app_named(&app_name(&app)), Some(app));
        assert_eq!(app_named("no-slash"), None);
    }
}

//! WeCom's errcodes: what to do about each, and what to tell a person.
//!
//! Judged by the number alone: the text beside it varies and carries hints, addresses and links.
//! One number can mean two things: 40001 is a wrong secret where a token is asked for and a dead
//! token everywhere else.

use std::fmt;

/// A number WeCom answered with. An absent one is success, "for historical reasons" (its manual).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errcode(pub i64);

impl Errcode {
    /// Too many calls; also what the gateway answers in WeCom's place when asking would risk a ban.
    pub const RATE_LIMITED: Self = Self(45009);
    /// Not one of WeCom's: what the original manager answers when WeCom cannot be reached.
    pub const UNREACHABLE: Self = Self(504);
    pub const INVALID_CORP_ID: Self = Self(40013);
    pub const INVALID_PARAMETER: Self = Self(40058);
    pub const MISSING_CORP_ID: Self = Self(41002);
    pub const MISSING_SECRET: Self = Self(41004);
}

/// Which kind of call was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// The one that grants access tokens.
    GetToken,
    /// Any that takes an access token.
    WithToken,
}

/// What to do about an errcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The access token is dead: renew it once and repeat once, never more (loops have eaten quotas).
    TokenRejected,
    /// The corp and secret do not obtain a token; asking again before they change risks a ban.
    BadCredentials,
    /// The app, or this address, may not do this. The credentials themselves may be fine.
    NotPermitted,
    /// WeCom is busy; back off.
    Transient,
    /// Too many calls; wait as long as WeCom's window.
    RateLimited,
    /// The caller's own mistake: hand it on.
    CallerError,
}

impl Class {
    /// The label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenRejected => "token_rejected",
            Self::BadCredentials => "bad_credentials",
            Self::NotPermitted => "not_permitted",
            Self::Transient => "busy",
            Self::RateLimited => "rate_limited",
            Self::CallerError => "caller_error",
        }
    }
}

impl Errcode {
    pub fn class(self, api: Api) -> Class {
        match (self.0, api) {
            (40001, Api::WithToken) | (40014 | 42001, _) => Class::TokenRejected,
            (40001 | 40013 | 40091 | 41002 | 41004 | 45031 | 48006 | 50003 | 2_000_002, _) => Class::BadCredentials,
            (48002 | 48007 | 60020, _) => Class::NotPermitted,
            // 504 comes from a token service that cannot reach WeCom, such as another gateway.
            (-1 | 504 | 6000, _) => Class::Transient,
            (45009 | 45033, _) => Class::RateLimited,
            _ => Class::CallerError,
        }
    }

    /// What it means and what to do, for the person who has to mend it: the one table (after WeCom's
    /// document 90313). [`Refusal::advice`](super::Refusal::advice) knows more of a particular answer.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self.0 {
            -1 => "WeCom is busy: wait, and repeat at most three times",
            6000 => "several callers changed the same thing at once: repeat it later",
            40001 => {
                "the secret is wrong, was reset, or belongs to another corp, or the app is disabled: \
                 copy corp id and secret from the console again"
            }
            40007 => "the media id is wrong or older than three days: upload the file again",
            40013 => "WeCom knows no such corp id: copy it from the console (My Company), case included",
            40014 => "the access token is invalid: it expired, was revoked, or belongs to another app; get a new one",
            40056 => "the corp has no app with this agentid: copy the number from the app's page in the console",
            40058 => "a parameter is wrong, too long or missing, or the body is not JSON: see errmsg for which",
            40091 => "the secret belongs to another corp: use the one of this corp's app",
            41001 => "no access token in the call: it belongs into the query (?access_token=…), not into the body",
            41002 => "the parameter corpid is missing: set it",
            41004 => "the parameter corpsecret is missing: set it",
            42001 => "the access token has expired: get a new one",
            44001 => "the uploaded file is empty: send it as the multipart field `media`, with a file name",
            45001 => "the file is too large: 10 MB for images and videos, 2 MB for voice, 20 MB for others",
            45009 => "too many calls: WeCom refuses more for a minute, an hour or a day; look for who calls that often",
            45031 => "the secret is too weak for WeCom: reset it in the console",
            45033 => "too many calls at the same time: make fewer at once",
            47001 => "the body is not the JSON that WeCom expects: check it",
            48002 => {
                "the app may not call this API: for customer service, list it in the console under \
                 WeChat Customer Service, API, among the apps that may call"
            }
            48006 => "the app's permission was withdrawn for lack of use: enable it again in the console",
            48007 => {
                "the app was not granted this customer-service account: grant it in the console \
                 (manage accounts, assign sessions, send and receive messages)"
            }
            50003 => "the app is disabled: enable it in the console",
            60011 => "the app may not see or change this member, department or tag: widen its visible range",
            60020 => {
                "this server's address is not among the app's trusted IPs: list the address in the console, on the \
                 app's page, under trusted IPs, and wait a minute"
            }
            95000 => "no customer-service account has this open_kfid: list the accounts (kf/account/list)",
            95001 => "five messages were sent since the customer wrote: wait until the customer writes again",
            95002 | 95018 => "the session takes no messages now: it ended, or 48 hours passed since the customer wrote",
            95004 => "the account was deleted or belongs to another corp: check that kfId and corp id belong together",
            95007 => "the sync token is wrong or older than ten minutes: call sync_msg without it, with the cursor",
            95011 => {
                "customer service runs inside WeCom, but the secret is of the standalone edition: use a WeCom app's"
            }
            95012 => "customer service runs standalone, but the secret is a WeCom app's: use the standalone edition's",
            95013 => "the session has ended: wait until the customer writes again",
            95014 => "the member is no servicer of the account, or not active in WeCom: add them in the console",
            95016 => "a session cannot go from its state to that one: ask for its state first",
            95017 => {
                "the customer-service API is switched off: switch it on in the console (WeChat Customer Service, API)"
            }
            95019 => "the servicer stopped or paused receiving: choose another, or ask for the list of servicers",
            95023 => "the customer-service API was given to a provider's app: take it back in the console",
            301_002 => "the token is another app's than agentid: use the secret of the very app",
            2_000_002 => "WeCom knows no such corp id: copy it from the console, case included",
            _ => return None,
        })
    }
}

impl fmt::Display for Errcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_secret_and_a_dead_token_share_a_number() {
        assert_eq!(Errcode(40001).class(Api::GetToken), Class::BadCredentials);
        assert_eq!(Errcode(40001).class(Api::WithToken), Class::TokenRejected);
    }

    #[test]
    fn an_expired_token_is_told_by_either_of_its_numbers() {
        for code in [40014, 42001] {
            assert_eq!(Errcode(code).class(Api::WithToken), Class::TokenRejected, "{code}");
        }
    }

    #[test]
    fn numbers_nobody_knows_are_handed_on() {
        assert_eq!(Errcode(i64::MAX).class(Api::WithToken), Class::CallerError);
        assert_eq!(Errcode(i64::MIN).advice(), None);
    }

    #[test]
    fn whatever_stops_a_token_or_an_operator_has_an_advice() {
        let codes = (-1..100_000).chain([301_002, 2_000_002]).map(Errcode);
        let met = codes.filter(|code| code.class(Api::GetToken) != Class::CallerError);
        let without: Vec<_> = met.filter(|code| code.advice().is_none() && *code != Errcode::UNREACHABLE).collect();
        assert_eq!(without, []);
        for code in [40056, 40058, 41001, 45009, 48007, 95007, 95011, 95013, 301_002] {
            assert!(Errcode(code).advice().is_some_and(|text| text.contains(':')), "{code}: what it means: what to do");
        }
    }
}

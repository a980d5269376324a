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

    /// One sentence for the person who has to mend it.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self.0 {
            -1 => "WeCom is busy: nothing to do but wait",
            40001 => "the secret (or the access token) is wrong, was reset, or belongs to another app",
            40013 => "WeCom knows no such corp id: copy it from the console, case included",
            40014 => "the access token is invalid: it expired, was revoked, or belongs to another app",
            40091 => "the secret is not one of this corp's apps, or the app was disabled",
            41002 => "the parameter corpid is missing",
            41004 => "the parameter corpsecret is missing",
            42001 => "the access token has expired",
            45009 => "too many calls: WeCom refuses more for a minute, an hour or a day",
            45031 => "the secret is too weak: reset it in the console",
            45033 => "too many calls at the same time",
            48002 => "the app may not call this API: grant it in the console",
            48007 => "the app may not manage customer service: list it under the apps that may call its API",
            50003 => "the app was disabled in the console",
            60020 => "this server's address is not among the app's trusted IPs (a change takes a minute)",
            95000 | 95004 => "WeCom knows no such customer-service account",
            95007 => "the sync token is wrong or older than ten minutes",
            95011 | 95012 => "the account belongs to the other edition of customer service (standalone or joint)",
            95017 => "the customer-service API is switched off for this corp",
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
}

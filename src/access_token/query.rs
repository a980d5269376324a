//! The query of a token request, read strictly: a parameter that is given twice, or that cannot be
//! decoded, is a mistake of the client's that a guess would only hide.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::domain::{App, CorpId, Secret};
use crate::wecom::Errcode;

/// What a token request asks.
#[derive(Debug, PartialEq, Eq)]
pub struct TokenQuery {
    pub app: App,
    /// The token that the caller saw fail.
    pub invalid_token: Option<Secret>,
}

/// What is wrong with the query, in WeCom's numbers and our words.
#[derive(Debug, PartialEq, Eq)]
pub struct BadQuery {
    pub errcode: Errcode,
    pub errmsg: String,
}

impl BadQuery {
    fn new(errcode: Errcode, errmsg: impl Into<String>) -> Self {
        Self { errcode, errmsg: errmsg.into() }
    }
}

const EXPECTED: &str = "expected ?corpid=CORPID&corpsecret=SECRET";

pub fn parse(query: &str) -> Result<TokenQuery, BadQuery> {
    let (mut corpid, mut corpsecret, mut invalid_token) = (None, None, None);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = match name {
            "corpid" => &mut corpid,
            "corpsecret" => &mut corpsecret,
            "invalid_token" => &mut invalid_token,
            _ => continue,
        };
        let value = decoded(value).ok_or_else(|| {
            BadQuery::new(Errcode::INVALID_PARAMETER, format!("parameter {name} is not percent-encoded UTF-8"))
        })?;
        if place.replace(value).is_some() {
            return Err(BadQuery::new(Errcode::INVALID_PARAMETER, format!("parameter {name} is given twice")));
        }
    }
    let corpid = given(corpid)
        .ok_or_else(|| BadQuery::new(Errcode::MISSING_CORP_ID, format!("corpid is missing, {EXPECTED}")))?;
    let corpsecret = given(corpsecret)
        .ok_or_else(|| BadQuery::new(Errcode::MISSING_SECRET, format!("corpsecret is missing, {EXPECTED}")))?;
    let corp_id = CorpId::parse(&corpid)
        .map_err(|rule| BadQuery::new(Errcode::INVALID_CORP_ID, format!("invalid corpid: {rule}")))?;
    let app = App { corp_id, secret: Secret::new(&*corpsecret) };
    Ok(TokenQuery { app, invalid_token: given(invalid_token).map(|token| Secret::new(&*token)) })
}

/// An empty value counts as none.
fn given(value: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    value.filter(|value| !value.is_empty())
}

/// `None` for a `%` that two hex digits do not follow, and for bytes that are no UTF-8.
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    let mut parts = value.split('%');
    parts.next();
    let well_formed = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !parts.all(well_formed) {
        return None;
    }
    if value.contains('+') {
        let spaced = value.replace('+', " ");
        return percent_decode_str(&spaced).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()));
    }
    percent_decode_str(value).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn errcode(query: &str) -> i64 {
        parse(query).unwrap_err().errcode.0
    }

    #[test]
    fn values_are_decoded_once() {
        let query = parse("x=%zz&corpid=ww_1-A&corpsecret=a%2Bb+c%2526&invalid_token=").unwrap();
        assert_eq!(query.app.corp_id.as_str(), "ww_1-A");
        assert_eq!(query.app.secret.expose(), "a+b c%26");
        assert_eq!(query.invalid_token, None);
    }

    #[test]
    fn each_mistake_has_wecoms_number() {
        assert_eq!(errcode(""), 41002);
        assert_eq!(errcode("corpid=&corpsecret=s"), 41002);
        assert_eq!(errcode("corpid=ww1"), 41004);
        assert_eq!(errcode("corpid=ww1/../x&corpsecret=s"), 40013);
        assert_eq!(errcode("corpid=ww1&corpid=ww1&corpsecret=s"), 40058);
        for broken in ["%", "%2", "%g0", "%ff", "a%"] {
            assert_eq!(errcode(&format!("corpid=ww1&corpsecret={broken}")), 40058, "{broken}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics_and_none_is_echoed(noise in "[ -~]{0,40}") {
            if let Err(bad) = parse(&format!("corpid=ww1&corpsecret=%S3CR3T{noise}")) {
                prop_assert!(!bad.errmsg.contains("S3CR3T"));
            }
            let _ = parse(&noise);
        }
    }
}

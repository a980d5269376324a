//! The query of a call: whose token is it to carry? Everything else passes as it was written.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::domain::{App, CorpId, Secret};

/// What need not be escaped in a query.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const TOKEN: &str = "access_token";

/// Who speaks for the call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bearer {
    /// `access_token` is given, once.
    Token(Secret),
    /// `corpid` and `corpsecret` stand in its place.
    App(App),
    /// Neither, or something that a guess would only make worse.
    None,
}

#[derive(Debug)]
pub(super) struct Query<'q> {
    raw: &'q str,
    bearer: Bearer,
}

impl<'q> Query<'q> {
    pub(super) fn parse(raw: &'q str) -> Self {
        Self { raw, bearer: bearer(raw) }
    }

    pub(super) fn bearer(&self) -> &Bearer {
        &self.bearer
    }

    pub(super) fn as_it_came(&self) -> &'q str {
        self.raw
    }

    /// The same with this token in the place of what spoke for the call. The secret goes no further.
    pub(super) fn with(&self, token: &Secret) -> Cow<'q, str> {
        if matches!(&self.bearer, Bearer::Token(own) if own == token) {
            return self.raw.into();
        }
        let filled = format!("{TOKEN}={}", utf8_percent_encode(token.expose(), ESCAPED));
        let mut pairs: Vec<&str> = self.raw.split('&').filter(|pair| !pair.is_empty()).collect();
        match &self.bearer {
            Bearer::Token(_) => {
                for pair in pairs.iter_mut().filter(|pair| name(pair) == TOKEN) {
                    *pair = &filled;
                }
            }
            Bearer::App(_) => {
                pairs.retain(|pair| !matches!(name(pair), "corpid" | "corpsecret"));
                pairs.insert(0, &filled);
            }
            Bearer::None => {}
        }
        pairs.join("&").into()
    }
}

fn name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

/// What a query says under one name.
enum Given<'q> {
    Nothing,
    Once(&'q str),
    Repeated,
}

fn given<'q>(raw: &'q str, wanted: &str) -> Given<'q> {
    let mut pairs = raw.split('&').filter(|pair| name(pair) == wanted);
    match (pairs.next(), pairs.next()) {
        (None, _) => Given::Nothing,
        (Some(pair), None) => Given::Once(pair.split_once('=').map_or("", |(_, value)| value)),
        (Some(_), Some(_)) => Given::Repeated,
    }
}

fn bearer(raw: &str) -> Bearer {
    let bearer = match given(raw, TOKEN) {
        Given::Once(token) => decoded(token).map(|token| Bearer::Token(Secret::new(&*token))),
        Given::Nothing => match (given(raw, "corpid"), given(raw, "corpsecret")) {
            (Given::Once(corp), Given::Once(secret)) => app(corp, secret).map(Bearer::App),
            _ => None,
        },
        Given::Repeated => None,
    };
    bearer.unwrap_or(Bearer::None)
}

fn app(corp: &str, secret: &str) -> Option<App> {
    let (corp, secret) = (decoded(corp)?, decoded(secret)?);
    Some(App { corp_id: CorpId::parse(&corp).ok()?, secret: Secret::new(&*secret) })
}

/// `None` when it is empty or no text. A plus stays one: tokens and secrets hold no spaces.
fn decoded(value: &str) -> Option<Cow<'_, str>> {
    // Tokens hold nothing that must be escaped, and the decoder looks at each byte.
    let text = if value.contains('%') { percent_decode_str(value).decode_utf8().ok()? } else { value.into() };
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Bearer {
        Bearer::Token(Secret::new(text))
    }

    #[test]
    fn tells_who_speaks() {
        let app = Bearer::App(App { corp_id: CorpId::parse("ww1").unwrap(), secret: Secret::new("s+ /") });
        for (raw, bearer) in [
            ("access_token=T", token("T")),
            ("a=b&access_token=T%2D1&debug=1", token("T-1")),
            ("access_token=T&corpid=ww1&corpsecret=s", token("T")),
            ("corpid=ww1&corpsecret=s+%20%2F", app),
            ("", Bearer::None),
            ("access_token=", Bearer::None),
            ("access_token=T&access_token=U", Bearer::None),
            ("corpid=ww1", Bearer::None),
            ("corpid=ww1&corpsecret=", Bearer::None),
            ("corpid=w%20w&corpsecret=s", Bearer::None),
            ("xaccess_token=T", Bearer::None),
        ] {
            assert_eq!(*Query::parse(raw).bearer(), bearer, "{raw}");
        }
    }

    #[test]
    fn puts_the_token_in_and_leaves_the_rest_as_it_was() {
        let filled = |raw: &str| Query::parse(raw).with(&Secret::new("N/1")).into_owned();
        assert_eq!(filled("a=%2b&access_token=T&x"), "a=%2b&access_token=N%2F1&x");
        assert_eq!(filled("a=%2b&access_token=N/1&&x"), "a=%2b&access_token=N/1&&x", "it is there already");
        assert_eq!(filled("type=image&corpid=ww1&corpsecret=s&b=c+d"), "access_token=N%2F1&type=image&b=c+d");
    }
}

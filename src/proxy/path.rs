//! The path of a call below `/cgi-bin/`. Only plain segments: whatever an upstream, or something before
//! it, could take for a way up or out is refused, in any spelling.

use std::fmt;

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use url::Url;

use crate::domain::Invalid;

/// Where the API lies at WeCom.
pub(super) const API: &str = "/cgi-bin/";

/// What a call is for, as it came: a path of the API, and the query. Clones share the text.
#[derive(Debug, Clone)]
pub struct Target {
    whole: PathAndQuery,
    /// Where its path goes on behind the prefix.
    below: usize,
}

impl Target {
    /// Behind `prefix` stand plain segments, joined by single slashes. The raw path is looked at, not decoded:
    /// `%2e`, `%2f` and their like are no plain characters.
    pub fn parse(whole: PathAndQuery, prefix: &str) -> Result<Self, Invalid> {
        let path = whole.path();
        // Endpoints that end in a slash give paths that begin with two.
        let below = path.trim_start_matches('/').strip_prefix(&prefix[1..]).unwrap_or_default();
        if below.len() > 512 || !below.split('/').all(is_plain) {
            return Err(Invalid("must be a path of WeCom's API below /cgi-bin/, such as kf/sync_msg"));
        }
        Ok(Self { below: path.len() - below.len(), whole })
    }

    /// Below `/cgi-bin/`.
    fn path(&self) -> &str {
        self.whole.path().get(self.below..).unwrap_or_default()
    }

    /// The query string, exactly as it was written.
    pub fn query(&self) -> &str {
        self.whole.query().unwrap_or_default()
    }

    /// Whether the call is the one that the token cache answers.
    pub fn is_gettoken(&self) -> bool {
        self.path() == "gettoken"
    }

    /// Whether it stands where WeCom has it.
    fn is_at_home(&self) -> bool {
        self.below == API.len() && self.whole.path().starts_with(API)
    }
}

fn is_plain(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.~".contains(&byte);
    !segment.is_empty() && segment.bytes().all(allowed) && !segment.bytes().all(|byte| byte == b'.')
}

/// Where calls go: `WECOM_API_BASE_URL`, taken apart once.
#[derive(Debug, Clone)]
pub(super) struct ApiBase {
    scheme: Scheme,
    authority: Authority,
    /// The same as calls name it: the client would write it anew for each.
    host: HeaderValue,
    /// Without a slash at its end.
    path: String,
}

impl ApiBase {
    /// Without the user and password that the URL may name: WeCom asks for none.
    pub(super) fn of(url: &Url) -> Result<Self, http::Error> {
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        Ok(Self {
            scheme: url.scheme().parse()?,
            authority: authority.parse()?,
            host: authority.parse()?,
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The address of a call with this query.
    pub(super) fn address(&self, target: &Target, query: &str) -> Result<Uri, http::Error> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        // Most calls go on as they came, which saves another look at each byte.
        let unchanged = self.path.is_empty() && target.is_at_home() && query == target.query();
        parts.path_and_query = Some(if unchanged { target.whole.clone() } else { self.below(target, query)? });
        Ok(Uri::from_parts(parts)?)
    }

    fn below(&self, target: &Target, query: &str) -> Result<PathAndQuery, http::Error> {
        let mark = if target.whole.query().is_none() { "" } else { "?" };
        Ok(PathAndQuery::try_from([&self.path, API, target.path(), mark, query].concat())?)
    }

    /// What calls name in their `Host`.
    pub(super) fn host(&self) -> HeaderValue {
        self.host.clone()
    }
}

/// As WeCom's manual writes it, without the query.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{API}{}", self.path())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OF_BOTS: &str = "/puppetWxkfManager/wxkfRequestProxy/";

    fn target(prefix: &str, rest: &str) -> Option<Target> {
        Target::parse(format!("{prefix}{rest}").parse().ok()?, prefix).ok()
    }

    #[test]
    fn no_spelling_leads_out() {
        let out = [
            "",
            "/",
            "..",
            "../x",
            "kf/../../x",
            "kf/..",
            "%2e%2e/x",
            "kf/%2E%2e%2fx",
            "..%2Fx",
            "kf%2fx",
            "kf\\..\\x",
            "kf//x",
            "kf/./x",
            "kf/...",
            "http://elsewhere/x",
            "kf/x;..",
            "kf/\u{ff0e}\u{ff0e}",
        ];
        for path in out {
            assert!(target(API, path).is_none(), "{path}");
        }
        for path in ["/", "/cgi-bin", "/cgi-bin?x", "/elsewhere/kf/x", "/x/cgi-bin/kf/x"] {
            assert!(Target::parse(path.parse().unwrap(), API).is_err(), "{path}");
        }
    }

    #[test]
    fn keeps_the_base_and_the_query() {
        let plain = ApiBase::of(&Url::parse("https://wecom.example.com").unwrap()).unwrap();
        let below = ApiBase::of(&Url::parse("https://u:p@wecom.example.com:8443/private/").unwrap()).unwrap();
        let path = "kf/sync_msg?a=%2B&b";
        let two_slashes = Target::parse(format!("/{API}{path}").parse().unwrap(), API).ok();
        for target in [target(API, path), target(OF_BOTS, path), two_slashes].map(Option::unwrap) {
            for query in ["a=%2B&b", "c"] {
                let address = |base: &ApiBase| base.address(&target, query).unwrap().to_string();
                assert_eq!(address(&plain), format!("https://wecom.example.com/cgi-bin/kf/sync_msg?{query}"));
                assert_eq!(
                    address(&below),
                    format!("https://wecom.example.com:8443/private/cgi-bin/kf/sync_msg?{query}")
                );
            }
            assert_eq!(target.to_string(), "/cgi-bin/kf/sync_msg");
        }
        for path in ["kf/x", "kf/x?"] {
            for target in [target(API, path), target(OF_BOTS, path)].map(Option::unwrap) {
                let address = plain.address(&target, target.query()).unwrap().to_string();
                assert_eq!(address, format!("https://wecom.example.com/cgi-bin/{path}"));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_below_cgi_bin(raw in "[a-z./%2eEfF\\\\;:@]{0,20}") {
            let base = ApiBase::of(&Url::parse("https://qyapi.weixin.qq.com").unwrap()).unwrap();
            for prefix in [API, OF_BOTS] {
                if let Some(target) = target(prefix, &raw) {
                    let address = base.address(&target, "").unwrap();
                    prop_assert_eq!(address.path(), format!("/cgi-bin/{raw}"));
                    prop_assert_eq!(address.host(), Some("qyapi.weixin.qq.com"));
                }
            }
        }
    }
}

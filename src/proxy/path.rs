//! The path of a call below `/cgi-bin/`. Only plain segments: whatever an upstream, or something before
//! it, could take for a way up or out is refused, in any spelling.

use std::fmt;

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use url::Url;

use crate::domain::Invalid;

/// Plain segments, joined by single slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiPath(String);

impl ApiPath {
    /// From the raw path, not decoded: `%2e`, `%2f` and their like are no plain characters.
    pub fn parse(raw: &str) -> Result<Self, Invalid> {
        let plain = |segment: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.~".contains(&byte);
            !segment.is_empty() && segment.bytes().all(allowed) && !segment.bytes().all(|byte| byte == b'.')
        };
        if raw.len() > 512 || !raw.split('/').all(plain) {
            return Err(Invalid("must be a path of WeCom's API below /cgi-bin/, such as kf/sync_msg"));
        }
        Ok(Self(raw.to_owned()))
    }

    /// Whether the call is the one that the token cache answers.
    pub fn is_gettoken(&self) -> bool {
        self.0 == "gettoken"
    }
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

    /// The address of a call. The query goes on as it was written.
    pub(super) fn address(&self, path: &ApiPath, query: &str) -> Result<Uri, http::Error> {
        let mark = if query.is_empty() { "" } else { "?" };
        let path = [&self.path, "/cgi-bin/", &path.0, mark, query].concat();
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(path)?);
        Ok(Uri::from_parts(parts)?)
    }

    /// What calls name in their `Host`.
    pub(super) fn host(&self) -> HeaderValue {
        self.host.clone()
    }
}

/// As WeCom's manual writes it.
impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/cgi-bin/{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            "kf/x?y",
            "kf/x#y",
            "kf/\u{ff0e}\u{ff0e}",
        ];
        for path in out {
            assert!(ApiPath::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn keeps_the_base_and_the_query() {
        let base = ApiBase::of(&Url::parse("https://u:p@wecom.example.com:8443/private/").unwrap()).unwrap();
        let path = ApiPath::parse("kf/sync_msg").unwrap();
        let address = |query: &str| base.address(&path, query).unwrap().to_string();
        assert_eq!(address("a=%2B&b"), "https://wecom.example.com:8443/private/cgi-bin/kf/sync_msg?a=%2B&b");
        assert_eq!(address(""), "https://wecom.example.com:8443/private/cgi-bin/kf/sync_msg");
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_below_cgi_bin(raw in "[a-z./%2eEfF\\\\;:@]{0,20}") {
            let base = ApiBase::of(&Url::parse("https://qyapi.weixin.qq.com").unwrap()).unwrap();
            if let Ok(path) = ApiPath::parse(&raw) {
                let address = base.address(&path, "").unwrap();
                prop_assert_eq!(address.path(), format!("/cgi-bin/{raw}"));
                prop_assert_eq!(address.host(), Some("qyapi.weixin.qq.com"));
            }
        }
    }
}

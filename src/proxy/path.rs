//! The path of a call below `/cgi-bin/`. Only plain segments: whatever an upstream, or something before
//! it, could take for a way up or out is refused, in any spelling.

use std::fmt;

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

    /// The address of the call at this base.
    pub(super) fn at(&self, base: &Url, query: &str) -> Url {
        let mut url = base.clone();
        let path = format!("{}/cgi-bin/{}", base.path().trim_end_matches('/'), self.0);
        url.set_path(&path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        url
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
        let base = Url::parse("https://wecom.example.com/private/").unwrap();
        let path = ApiPath::parse("kf/sync_msg").unwrap();
        assert_eq!(path.at(&base, "a=%2B&b").as_str(), "https://wecom.example.com/private/cgi-bin/kf/sync_msg?a=%2B&b");
        assert_eq!(path.at(&base, "").as_str(), "https://wecom.example.com/private/cgi-bin/kf/sync_msg");
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_below_cgi_bin(raw in "[a-z./%2eEfF\\\\;:@]{0,20}") {
            let base = Url::parse("https://qyapi.weixin.qq.com").unwrap();
            if let Ok(path) = ApiPath::parse(&raw) {
                let url = path.at(&base, "");
                prop_assert_eq!(url.path(), format!("/cgi-bin/{raw}"));
                prop_assert_eq!(url.host_str(), base.host_str());
            }
        }
    }
}

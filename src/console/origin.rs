//! Whether a call that changes something was made by a page of ours.
//!
//! `SameSite=Strict` keeps the session out of other sites' calls; this keeps out those of other hosts of
//! the same site. Browsers alone set these headers: no page can.

use axum::http::{HeaderMap, HeaderName, header};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whose page made a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Ours,
    Foreign,
    /// The caller says nothing, as programs do that are no browsers.
    Untold,
}

impl Origin {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        // A proxy may have changed Host, so that the browser's own word counts first.
        if text(headers, &FETCH_SITE) == Some("same-origin") {
            return Self::Ours;
        }
        let Some(origin) = text(headers, &header::ORIGIN) else {
            return if headers.contains_key(FETCH_SITE) { Self::Foreign } else { Self::Untold };
        };
        let Some((_, origin)) = origin.split_once("://") else { return Self::Foreign };
        let hosts = [header::HOST, FORWARDED_HOST];
        let ours = hosts
            .iter()
            .filter_map(|name| text(headers, name))
            .map(first)
            .any(|host| without_port(host).eq_ignore_ascii_case(without_port(origin)));
        if ours { Self::Ours } else { Self::Foreign }
    }
}

/// Whether the browser speaks https, by its own word in `Origin` or the proxy's before the gateway.
pub(super) fn is_https(headers: &HeaderMap) -> bool {
    let by_proxy = text(headers, &FORWARDED_PROTO).is_some_and(|proto| first(proto).eq_ignore_ascii_case("https"));
    by_proxy || text(headers, &header::ORIGIN).is_some_and(|origin| origin.starts_with("https://"))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Proxies append theirs after a comma.
fn first(list: &str) -> &str {
    list.split(',').next().unwrap_or_default().trim()
}

/// Default ports are written or not.
fn without_port(authority: &str) -> &str {
    authority.strip_suffix(":443").or_else(|| authority.strip_suffix(":80")).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn pages_of_the_same_host_are_ours_and_no_others() {
        let ours: [&[_]; 5] = [
            &[("origin", "http://gateway:7777"), ("host", "gateway:7777")],
            &[("origin", "https://Console.example.com"), ("host", "console.example.com:443")],
            &[("origin", "https://c.example.com"), ("host", "10.0.0.1:7777"), ("x-forwarded-host", "c.example.com, x")],
            &[("origin", "https://c.example.com"), ("host", "10.0.0.1"), ("sec-fetch-site", "same-origin")],
            &[("host", "gateway"), ("sec-fetch-site", "same-origin")],
        ];
        for pairs in ours {
            assert_eq!(Origin::of(&headers(pairs)), Origin::Ours, "{pairs:?}");
        }
        let foreign: [&[_]; 5] = [
            &[("origin", "http://evil.example"), ("host", "gateway")],
            &[("origin", "http://gateway:8888"), ("host", "gateway:7777")],
            &[("origin", "null"), ("host", "gateway")],
            &[("origin", "http://gateway.evil"), ("host", "gateway"), ("sec-fetch-site", "cross-site")],
            &[("host", "gateway"), ("sec-fetch-site", "same-site")],
        ];
        for pairs in foreign {
            assert_eq!(Origin::of(&headers(pairs)), Origin::Foreign, "{pairs:?}");
        }
        assert_eq!(Origin::of(&headers(&[("host", "gateway")])), Origin::Untold);
    }

    #[test]
    fn https_is_what_the_browser_or_the_proxy_says() {
        assert!(is_https(&headers(&[("origin", "https://c.example.com")])));
        assert!(is_https(&headers(&[("x-forwarded-proto", "https, http")])));
        assert!(!is_https(&headers(&[("origin", "http://c.example.com"), ("x-forwarded-proto", "http")])));
        assert!(!is_https(&headers(&[])));
    }
}

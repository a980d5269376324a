//! Which headers go on: all but those that concern one connection alone, and the gateway's own
//! credentials.

use http::header::{self, HeaderMap, HeaderName};

use crate::egress::PROXY_MARK;

/// RFC 9110, 7.6.1, and what clients send in their place.
static OF_THE_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Takes out what concerns the connection that the message came over.
pub(super) fn strip(headers: &mut HeaderMap) {
    // Most messages have none of them.
    if !headers.keys().any(|name| OF_THE_CONNECTION.contains(name)) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        // What nearly all say names no header that is not in the list.
        .filter(|name| !name.eq_ignore_ascii_case("keep-alive") && !name.eq_ignore_ascii_case("close"))
        .filter_map(|name| name.parse().ok())
        .collect();
    for name in OF_THE_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
}

/// The same for a call, which the gateway makes anew: it has said itself that the body may come.
pub(super) fn strip_call(headers: &mut HeaderMap) {
    strip(headers);
    headers.remove(header::EXPECT);
    headers.remove(PROXY_MARK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_connection_header_names_goes_too() {
        let given = [("connection", "close, X-Hop"), ("x-hop", "1"), ("te", "trailers"), ("range", "bytes=0-9")];
        let mut headers: HeaderMap =
            given.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
        strip_call(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["range"]);
    }
}

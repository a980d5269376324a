//! What a gateway writes on calls that it makes, so that it knows them when they come back: `HTTPS_PROXY` set for
//! bots and gateway alike makes it its own proxy, and other names of this machine may stand where WeCom's should.

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::domain::Fingerprint;

/// On calls through the outbound proxy; it goes no further.
pub const PROXY_MARK: HeaderName = HeaderName::from_static("wxkf-gateway-proxy");
/// On calls to what is taken for WeCom.
const UPSTREAM_MARK: HeaderName = HeaderName::from_static("wxkf-gateway-upstream");

/// The address that a gateway calls, as a header. Of the address, not of the process: replicas share it.
#[derive(Debug, Clone)]
pub struct Mark {
    name: HeaderName,
    value: Option<HeaderValue>,
}

impl Mark {
    pub fn of_proxy(proxy: &Url) -> Self {
        Self::new(PROXY_MARK, proxy)
    }

    /// Of WeCom's API, or of a token service.
    pub fn of_upstream(upstream: &Url) -> Self {
        Self::new(UPSTREAM_MARK, upstream)
    }

    fn new(name: HeaderName, address: &Url) -> Self {
        let fingerprint = Fingerprint::of(&[name.as_str().as_bytes(), address.as_str().as_bytes()]);
        // Sixteen hexadecimal digits are always a value.
        Self { name, value: HeaderValue::from_str(fingerprint.as_str()).ok() }
    }

    /// Whether a request comes from a gateway that calls the same address: then the address leads back here, or to a
    /// replica of ours.
    pub fn is_on(&self, headers: &HeaderMap) -> bool {
        self.value.is_some() && headers.get(&self.name) == self.value.as_ref()
    }
}

impl From<&Mark> for HeaderMap {
    fn from(mark: &Mark) -> Self {
        mark.value.iter().map(|value| (mark.name.clone(), value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_comes_back_is_known_by_the_address_that_was_called() {
        let (here, elsewhere) = (Url::parse("http://gateway:7777/").unwrap(), Url::parse("http://other/").unwrap());
        let headers = HeaderMap::from(&Mark::of_upstream(&here));
        assert!(Mark::of_upstream(&here).is_on(&headers), "a replica knows it too");
        assert!(!Mark::of_upstream(&elsewhere).is_on(&headers), "a gateway between others passes on");
        assert!(!Mark::of_proxy(&here).is_on(&headers) && !Mark::of_upstream(&here).is_on(&HeaderMap::new()));
    }
}

//! What a gateway writes on calls through its outbound proxy, so that it knows them when they come back:
//! where `HTTPS_PROXY` is set for bots and gateway alike, the gateway would be its own proxy.

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::domain::Fingerprint;

/// The header of the mark.
pub const PROXY_MARK: HeaderName = HeaderName::from_static("wxkf-gateway-proxy");

/// Which outbound proxy a gateway uses. Of the address, not of the process: replicas share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyMark(Fingerprint);

impl ProxyMark {
    pub fn of(proxy: &Url) -> Self {
        Self(Fingerprint::of(&[b"outbound proxy", proxy.as_str().as_bytes()]))
    }

    /// Whether a request comes from a gateway that uses the same proxy.
    pub fn is_on(&self, headers: &HeaderMap) -> bool {
        headers.get(PROXY_MARK).is_some_and(|value| value.as_bytes() == self.0.as_str().as_bytes())
    }
}

/// To be sent to the proxy.
impl From<ProxyMark> for HeaderMap {
    fn from(mark: ProxyMark) -> Self {
        // Sixteen hexadecimal digits are always a value.
        let value = HeaderValue::from_str(mark.0.as_str()).ok();
        value.into_iter().map(|value| (PROXY_MARK, value)).collect()
    }
}

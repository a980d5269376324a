//! `EGRESS_HOSTS`: the hosts that the forward proxy reaches, and no other.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use url::{Host, Url};

/// Unless another one is written.
const HTTPS: u16 = 443;

/// Hosts with their ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHosts(Arc<[AllowedHost]>);

/// One of them, as it was allowed: what callers write is only compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    /// A name in lower case, or an address without brackets.
    host: Arc<str>,
    port: u16,
    label: Arc<str>,
}

impl AllowedHosts {
    /// Parses `host[:port]`, comma-separated; the error is the entry at fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim);
        entries
            .map(|entry| AllowedHost::parse(entry).ok_or_else(|| entry.to_owned()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The host of this URL alone.
    pub fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        Self(Arc::new([AllowedHost::new(host, url.port_or_known_default().unwrap_or(HTTPS))]))
    }

    /// The allowed one that a caller means; without a port, whichever port is allowed.
    pub fn find(&self, host: &str, port: Option<u16>) -> Option<&AllowedHost> {
        let host = bare(host);
        let same = |allowed: &&AllowedHost| {
            allowed.host.eq_ignore_ascii_case(host) && port.is_none_or(|port| port == allowed.port)
        };
        self.0.iter().find(same)
    }
}

impl fmt::Display for AllowedHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<&str> = self.0.iter().map(|allowed| &*allowed.label).collect();
        f.write_str(&labels.join(", "))
    }
}

impl AllowedHost {
    fn new(host: &str, port: u16) -> Self {
        Self { host: bare(host).to_ascii_lowercase().into(), port, label: format!("{host}:{port}").into() }
    }

    fn parse(entry: &str) -> Option<Self> {
        // An address in brackets has colons of its own.
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|&port| port != 0)?),
            _ => (entry, HTTPS),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        match Host::parse(host).ok()? {
            Host::Domain(name) if host.bytes().all(plain) => Some(Self::new(&name, port)),
            Host::Domain(_) => None,
            literal => Some(Self::new(&literal.to_string(), port)),
        }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, for metrics and logs.
    pub fn label(&self) -> Arc<str> {
        self.label.clone()
    }

    /// The address that it names literally.
    pub(super) fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_meant_in_any_case_and_with_its_port_alone() {
        let hosts = AllowedHosts::parse("qyapi.weixin.qq.com, wecom.local:8443,[::1]:80,10.0.0.8").unwrap();
        assert_eq!(hosts.to_string(), "qyapi.weixin.qq.com:443, wecom.local:8443, [::1]:80, 10.0.0.8:443");
        for (host, port) in [
            ("qyapi.weixin.qq.com", Some(443)),
            ("QYAPI.weixin.QQ.com", Some(443)),
            ("qyapi.weixin.qq.com", None),
            ("wecom.local", Some(8443)),
            ("wecom.local", None),
            ("[::1]", Some(80)),
            ("10.0.0.8", Some(443)),
        ] {
            assert!(hosts.find(host, port).is_some(), "{host} {port:?}");
        }
        for (host, port) in [
            ("qyapi.weixin.qq.com", Some(80)),
            ("qyapi.weixin.qq.com.", Some(443)),
            ("x.qyapi.weixin.qq.com", Some(443)),
            ("wecom.local", Some(443)),
            ("[::2]", Some(80)),
            ("", None),
        ] {
            assert!(hosts.find(host, port).is_none(), "{host} {port:?}");
        }
    }

    #[test]
    fn names_the_entry_at_fault() {
        for entry in
            ["", "https://qyapi.weixin.qq.com", "*.qq.com", "host:0", "host:x", "host:70000", "a b", "u@host", "::1"]
        {
            assert_eq!(AllowedHosts::parse(&format!("good, {entry}")).unwrap_err(), entry);
        }
    }

    #[test]
    fn the_host_of_a_url_has_its_ports_default() {
        let of = |url: &str| AllowedHosts::of(&Url::parse(url).unwrap()).to_string();
        assert_eq!(of("https://qyapi.weixin.qq.com/x"), "qyapi.weixin.qq.com:443");
        assert_eq!(of("http://127.0.0.1"), "127.0.0.1:80");
        assert_eq!(of("http://[::1]:8700"), "[::1]:8700");
    }
}

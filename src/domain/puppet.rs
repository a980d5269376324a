//! A registered bot ("puppet").

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use super::{Account, App, CorpId, Invalid, OpenKfId, Pair, Secret};

/// Where a bot listens: `http(s)://host[:port][/path]`, without trailing slashes because bots' routes are appended
/// to it as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As it registered.
    text: Arc<str>,
    /// As a client writes it: mostly the same, and then shared.
    address: Arc<str>,
}

impl Endpoint {
    const RULE: Invalid = Invalid("must be http(s)://host[:port][/path] without userinfo, query or fragment");

    /// As a bot may register it: in so many characters. Parsers of URLs overlook and mend more than that.
    pub fn spelled_out(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let behind = ["http://", "https://"].into_iter().find_map(|scheme| {
            let start = text.get(..scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
        });
        let is_plain = |character: char| !character.is_whitespace() && !character.is_control() && character != '\\';
        let names_host = behind.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':']));
        if names_host && text.chars().all(is_plain) { Self::parse(text) } else { Err(Self::RULE) }
    }

    /// As it may stand in a store: earlier releases and the original took what parsers mend.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().trim_end_matches('/');
        let url = Url::parse(text).map_err(|_| Self::RULE)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !plain || text.len() > 2048 {
            return Err(Self::RULE);
        }
        let (text, address) = (Arc::from(text), url.as_str().trim_end_matches('/'));
        let address = if address == &*text { Arc::clone(&text) } else { address.into() };
        Ok(Self { text, address })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Parsed anew: few ask, and not on the way of an event.
    pub fn url(&self) -> Option<Url> {
        Url::parse(&self.address).ok()
    }

    /// Scheme, host and port: `http://host:8080`.
    pub fn origin(&self) -> &str {
        let host = self.address.find("://").map_or(0, |at| at + 3);
        let path = self.address[host..].find('/').map_or(self.address.len(), |at| host + at);
        &self.address[..path]
    }

    /// The host alone; an IPv6 address in its brackets.
    pub fn host(&self) -> &str {
        let host = self.origin().split_once("://").map_or("", |(_, host)| host);
        host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(host, _)| host)
    }

    /// The address of one of the bot's routes, which the parts make together.
    pub fn below(&self, parts: &[&str]) -> String {
        let mut address =
            String::with_capacity(self.address.len() + parts.iter().map(|part| part.len()).sum::<usize>());
        address.push_str(&self.address);
        parts.iter().for_each(|part| address.push_str(part));
        address
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A bot as it registered, and what the gateway knows of its presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Puppet {
    pub kf_id: OpenKfId,
    pub name: String,
    pub endpoint: Endpoint,
    pub corp_id: CorpId,
    pub corp_secret: Secret,
    pub pair: Pair,
    /// Changed by register and deregister only.
    pub online: bool,
    /// When it registered or deregistered last (the original's field).
    pub last_online_at: Option<Timestamp>,
    /// When it registered last; nothing is sent during the grace after it. `None` in documents of
    /// the original manager.
    pub registered_at: Option<Timestamp>,
    /// Since when no connection to it comes about; cleared by a registration or an answered probe.
    pub away_since: Option<Timestamp>,
}

impl Puppet {
    pub fn account(&self) -> Account {
        Account { corp: self.corp_id.clone(), kf: self.kf_id.clone() }
    }

    pub fn app(&self) -> App {
        App { corp_id: self.corp_id.clone(), secret: self.corp_secret.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_keeps_what_registered_and_calls_what_a_client_writes() {
        let cases = [
            ("http://h:8080/bot//", "http://h:8080/bot", "http://h:8080/bot/callback", "http://h:8080", "h"),
            (
                "https://Bot.Example",
                "https://Bot.Example",
                "https://bot.example/callback",
                "https://bot.example",
                "bot.example",
            ),
            ("http://[::1]:80/b", "http://[::1]:80/b", "http://[::1]/b/callback", "http://[::1]", "[::1]"),
            ("http://[::1]:81", "http://[::1]:81", "http://[::1]:81/callback", "http://[::1]:81", "[::1]"),
            ("http://h/ä", "http://h/ä", "http://h/%C3%A4/callback", "http://h", "h"),
        ];
        for (given, text, callback, origin, host) in cases {
            let endpoint = Endpoint::parse(given).unwrap();
            let found = (endpoint.as_str(), &*endpoint.below(&["/callback"]), endpoint.origin(), endpoint.host());
            assert_eq!(found, (text, callback, origin, host), "{given}");
        }
    }

    #[test]
    fn what_parsers_mend_is_no_endpoint_to_register_and_is_read_from_a_store() {
        let wrong = [
            "http:///bot:1",
            "http:bot:1",
            r"http:\\bot:1",
            "ht\ntp://bot",
            "http://bot/a b",
            "http://",
            "//bot",
            "http://:1",
        ];
        for text in wrong {
            assert!(Endpoint::spelled_out(text).is_err(), "{text:?}");
        }
        assert_eq!(Endpoint::spelled_out(" HTTP://bot/ "), Endpoint::parse("HTTP://bot"));
        assert_eq!(Endpoint::parse("http:///bot:1").unwrap().origin(), "http://bot:1");
    }
}

//! Another service of a corp's app, and what waits for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use url::Url;

use super::{CorpId, EventId, Invalid, Secret};

/// The name of a service within its corp: 1 to 64 of `A-Za-z0-9_-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match CorpId::parse(text) {
            Ok(_) => Ok(Self(text.into())),
            Err(_) => Err(Invalid("must be a name of 1 to 64 characters of A-Z a-z 0-9 _ -")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a service listens: `http(s)://host[:port][/path][?query]`. It is shown to operators, so that it
/// must hold no user or password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl(Url);

impl ServiceUrl {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const RULE: Invalid = Invalid("must be http(s)://host[:port][/path][?query] without userinfo or fragment");
        let url = Url::parse(text.trim()).map_err(|_| RULE)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        if plain && text.len() <= 2048 { Ok(Self(url)) } else { Err(RULE) }
    }

    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// In which form a service is sent its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceFormat {
    /// The raw XML with WeCom's query: the service opens it itself.
    AsReceived,
    /// The inner XML.
    DecryptedXml,
    /// The inner XML as JSON, in an envelope.
    Json,
}

impl ServiceFormat {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsReceived => "as-received",
            Self::DecryptedXml => "decrypted-xml",
            Self::Json => "json",
        }
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let formats = [Self::AsReceived, Self::DecryptedXml, Self::Json];
        let found = formats.into_iter().find(|format| format.as_str() == text);
        found.ok_or(Invalid("must be as-received, decrypted-xml or json"))
    }
}

/// A service as an operator declared it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub name: ServiceName,
    pub url: ServiceUrl,
    /// WeCom's own names of what it takes, `*` for all, `!name` to leave one out.
    pub events: Vec<String>,
    pub format: ServiceFormat,
    /// What its events are signed with.
    pub secret: Option<Secret>,
    /// How long an event is retried; whole seconds.
    pub ttl: Duration,
}

/// Which of two services is meant: one queue and one sender each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    pub corp: CorpId,
    pub name: ServiceName,
}

impl ServiceKey {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (corp, name) = text.split_once('/').ok_or(Invalid("must be corp/service"))?;
        Ok(Self { corp: CorpId::parse(corp)?, name: ServiceName::parse(name)? })
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.corp, self.name)
    }
}

/// What is kept of a callback for a service: the form that the service's format needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// WeCom's query and the outer XML, exactly as they came.
    Raw { query: Arc<str>, body: Bytes },
    /// The inner XML.
    Plain(Bytes),
}

impl Content {
    /// Bytes that it takes in a backlog.
    pub fn size(&self) -> usize {
        match self {
            Self::Raw { query, body } => query.len() + body.len(),
            Self::Plain(xml) => xml.len(),
        }
    }
}

/// One event on its way to one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEvent {
    /// Made by [`EventId::in_order`]: a queue is sent in the order of its ids.
    pub id: EventId,
    pub service: ServiceKey,
    /// The same for every repeat of the callback.
    pub webhook_id: Arc<str>,
    /// WeCom's own name of it.
    pub name: Arc<str>,
    pub arrived_at: Timestamp,
    pub content: Content,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_a_url_shows_no_password() {
        let key = ServiceKey::parse("ww1/con-tacts_1").unwrap();
        assert_eq!(ServiceKey::parse(&key.to_string()), Ok(key));
        for wrong in ["ww1", "/x", "ww1/", "ww1/a/b", "ww 1/a"] {
            assert!(ServiceKey::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["http://user@h/", "http://u:p@h/", "http://h/#f", "ftp://h/", "h/x", "http://"] {
            assert!(ServiceUrl::parse(wrong).is_err(), "{wrong}");
        }
        let url = ServiceUrl::parse("https://h:8443/a/?q=1").unwrap();
        assert_eq!(url.to_string(), "https://h:8443/a/?q=1", "slash and query stay");
    }

    #[test]
    fn formats_are_read_back() {
        for format in [ServiceFormat::AsReceived, ServiceFormat::DecryptedXml, ServiceFormat::Json] {
            assert_eq!(ServiceFormat::parse(format.as_str()), Ok(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
        }
        assert!(ServiceFormat::parse("xml").is_err());
    }
}

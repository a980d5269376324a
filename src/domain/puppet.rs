//! A registered bot ("puppet").

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use super::{Account, App, CallbackCredential, CorpId, EncodingAesKey, Fingerprint, Invalid, OpenKfId, Secret};

/// Where a bot listens: `http(s)://host[:port][/path]`, kept without trailing slashes because bots'
/// routes are appended to it as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    text: Arc<str>,
    url: Url,
}

impl Endpoint {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const RULE: Invalid = Invalid("must be http(s)://host[:port][/path] without userinfo, query or fragment");
        let text = text.trim().trim_end_matches('/');
        let url = Url::parse(text).map_err(|_| RULE)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !plain || text.len() > 2048 {
            return Err(RULE);
        }
        Ok(Self { text: text.into(), url })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The address of one of the bot's routes, which the parts make together.
    pub fn below(&self, parts: &[&str]) -> String {
        let base = self.url.as_str().trim_end_matches('/');
        let mut address = String::with_capacity(base.len() + parts.iter().map(|part| part.len()).sum::<usize>());
        address.push_str(base);
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
    pub token: Secret,
    pub aes_key: EncodingAesKey,
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

    /// The id of the pair that this bot can open callbacks with.
    pub fn pair_id(&self) -> Fingerprint {
        CallbackCredential::pair_id(&self.token, &self.aes_key)
    }
}

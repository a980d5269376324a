//! How a call to WeCom fails, in words that hold neither a URL nor a secret.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::net::IpAddr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::errcode::{Api, Class, Errcode};
use crate::egress::{PassError, causes};

/// As much of WeCom's own text as is worth keeping.
const ERRMSG_LIMIT: usize = 512;
/// WeCom's secrets have 43 characters.
const SHORTEST_SECRET: usize = 8;

/// Three cases, because callers do three things: heed the errcode, try later, or tell the operator
/// that something in between is no WeCom.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WecomError {
    /// WeCom answered, with an errcode.
    #[error("WeCom answered errcode {}: {}", .0.errcode, .0.errmsg)]
    Refused(Refusal),
    /// No answer came.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable { host: String, reason: &'static str },
    /// What answered does not speak WeCom's protocol, or stands before a WeCom that is down.
    #[error("{host} gave no usable answer: {reason}")]
    BadAnswer { host: String, reason: String },
}

impl WecomError {
    /// What to do about it, where WeCom has spoken and the errcode is a known one.
    pub fn advice(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Refused(refusal) => refusal.advice(),
            Self::Unreachable { .. } | Self::BadAnswer { .. } => None,
        }
    }
}

/// WeCom's "no".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub errcode: Errcode,
    /// WeCom's text, without the secrets of the call, shortened.
    pub errmsg: String,
    pub api: Api,
}

impl Refusal {
    pub(super) fn new(errcode: i64, errmsg: &str, api: Api, secrets: &[&str]) -> Self {
        Self { errcode: Errcode(errcode), errmsg: scrubbed(errmsg, secrets), api }
    }

    pub fn class(&self) -> Class {
        self.errcode.class(self.api)
    }

    /// [`Errcode::advice`], with what only this answer tells: which address WeCom saw, and that a
    /// token was wrong and not a secret.
    pub fn advice(&self) -> Option<Cow<'static, str>> {
        match (self.errcode.0, self.api, self.seen_address()) {
            (60020, _, Some(address)) => Some(
                format!(
                    "WeCom saw this server as {address}, which is not among the app's trusted IPs: list {address} in \
                     the console, on the app's page, under trusted IPs, and wait a minute"
                )
                .into(),
            ),
            (40001, Api::WithToken, _) => Errcode(40014).advice().map(Cow::Borrowed),
            _ => self.errcode.advice().map(Cow::Borrowed),
        }
    }

    /// The address from which WeCom was called, as it tells with 60020: `…, from ip: 192.0.2.1, …`.
    pub fn seen_address(&self) -> Option<IpAddr> {
        let (_, rest) = self.errmsg.split_once("from ip:")?;
        rest.trim_start().split([',', ' ', ';', ']']).next()?.parse().ok()
    }
}

/// The text without the secrets, in case the other side echoes what it was sent. What is too short to
/// be a secret is left: striking it out would only mangle the text.
fn scrubbed(text: &str, secrets: &[&str]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
        for spelling in spellings(secret) {
            clean = clean.replace(&spelling, "***");
        }
    }
    let end = clean.floor_char_boundary(ERRMSG_LIMIT);
    clean.truncate(end);
    clean
}

/// As it is, as a form and a path write it, and as JSON does.
fn spellings(secret: &str) -> [String; 4] {
    let json = serde_json::Value::from(secret).to_string();
    [
        secret.to_owned(),
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        json.trim_matches('"').to_owned(),
    ]
}

/// Names the fault of a call; reqwest's own text holds the URL, and with it the secret.
pub fn fault_of(error: &reqwest::Error) -> &'static str {
    fault_among(error, error.is_timeout(), error.is_connect())
}

/// As [`fault_of`], of a call that is passed on.
pub fn fault_of_passing(error: &PassError) -> &'static str {
    fault_among(error, error.is_timeout(), error.is_connect())
}

fn fault_among(error: &(dyn Error + 'static), timed_out: bool, connecting: bool) -> &'static str {
    if timed_out {
        return "timed out";
    }
    for cause in causes(error) {
        if let Some(named) = cause.downcast_ref::<io::Error>().and_then(named_io_fault) {
            return named;
        }
        if cause.is::<rustls::Error>() {
            return "TLS failed (is the certificate trusted?)";
        }
        let text = cause.to_string();
        if text.contains("dns error") {
            return "its name does not resolve";
        }
        if let Some(named) = named_proxy_fault(&text).filter(|_| cause.source().is_none()) {
            return named;
        }
    }
    if connecting { "no connection" } else { "the connection broke" }
}

/// hyper-util's error of a tunnel has no public type.
fn named_proxy_fault(text: &str) -> Option<&'static str> {
    match text.strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Some("the outbound proxy asks for another user or password"),
        _ => Some("the outbound proxy does not lead there"),
    }
}

fn named_io_fault(error: &io::Error) -> Option<&'static str> {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        return Some("TLS failed (is the certificate trusted?)");
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some("connection refused"),
        io::ErrorKind::ConnectionReset => Some("connection reset"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Some("no route to it"),
        io::ErrorKind::TimedOut => Some("timed out"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echoed_secret_is_struck_out_in_every_spelling() {
        let echo = r#"s+1/wx\y, s%2B1%2Fwx%5Cy, s+1/wx\\y; a key_of-10, sent as key%5Fof%2D10"#;
        assert_eq!(scrubbed(echo, &[r"s+1/wx\y", "key_of-10"]), "***, ***, ***; a ***, sent as ***");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let clean = scrubbed(&"码".repeat(1000), &[]);
        assert!(clean.len() <= ERRMSG_LIMIT && clean.chars().all(|character| character == '码'));
    }

    #[test]
    fn names_the_address_that_wecom_saw() {
        let refusal = |errmsg: &str| Refusal::new(60020, errmsg, Api::WithToken, &[]);
        let real = refusal(
            "not allow to access from your ip, hint: [1600000000123456789012345], from ip: 203.0.113.7, \
             more info at https://open.work.weixin.qq.com/devtool/query?e=60020",
        );
        assert_eq!(real.seen_address(), "203.0.113.7".parse().ok());
        assert!(real.advice().unwrap().contains("list 203.0.113.7 in the console"));
        assert_eq!(refusal("from ip: 2001:db8::1").seen_address(), "2001:db8::1".parse().ok());
        for strange in ["", "from ip:", "from ip: everywhere, 1.2.3.4"] {
            assert_eq!(refusal(strange).seen_address(), None, "{strange}");
            assert!(refusal(strange).advice().unwrap().contains("trusted IPs"), "{strange}");
        }
    }
}

//! From text to values. An error says what the value should be; it repeats the value only where
//! that cannot hold a secret (URLs may hold passwords, so they are never repeated).

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::SignedDuration;
use mongodb::options::ConnectionString;
use redis::IntoConnectionInfo as _;
use tracing_subscriber::filter::Targets;
use url::Url;

use crate::domain::Secret;
use crate::egress::{AllowedHosts, DenyList};

/// Longer spans are a mistake, and adding them to a point in time might overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The value in one line, whatever it holds.
fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{} is no port: 0 to 65535, 0 for any free one", quoted(text)))
}

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{} is no IPv4 or IPv6 address; names are not looked up", quoted(text)))
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    Ok(text.into())
}

/// Any text.
pub(super) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// A span that may be nothing, such as a grace.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let signed: SignedDuration =
        text.parse().map_err(|_| format!("{} is no duration: a number with its unit, ms, s, m or h", quoted(text)))?;
    let span = Duration::try_from(signed).map_err(|_| format!("{} is negative", quoted(text)))?;
    if span > LONGEST { Err(format!("{} is longer than a year", quoted(text))) } else { Ok(span) }
}

/// A span that must not be nothing, such as a time limit.
pub(super) fn limit(text: &str) -> Result<Duration, String> {
    match span(text)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        span => Ok(span),
    }
}

/// A span in which whole seconds are counted.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match span(text)? {
        span if span < Duration::from_secs(1) => Err(format!("{} is shorter than a second", quoted(text))),
        span => Ok(span),
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|&(_, value)| value);
        found.ok_or_else(|| {
            let names: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            format!("{} is none of {}", quoted(text), names.join(", "))
        })
    }
}

/// An address whose paths are appended to: no query, no fragment, no user.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let url = web_url(text)?;
    let plain = url.query().is_none() && url.username().is_empty() && url.password().is_none();
    if plain { Ok(url) } else { Err("must be http(s)://host[:port][/path] without user or query".to_owned()) }
}

/// A whole address; it may hold a user and a query.
pub(super) fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "is no URL: http(s)://host[:port][/path]".to_owned())?;
    match url.scheme() {
        "http" | "https" if url.fragment().is_none() => Ok(url),
        "http" | "https" => Err("has a fragment (`#…`), which no server sees".to_owned()),
        _ => Err("must begin with http:// or https://".to_owned()),
    }
}

/// As other programs take it: without a scheme it is `http://`.
pub(super) fn proxy(text: &str) -> Result<Url, String> {
    if text.contains("://") { web_url(text) } else { web_url(&format!("http://{text}")) }
}

pub(super) fn networks(text: &str) -> Result<DenyList, String> {
    DenyList::parse(text).map_err(|entry| format!("{} is no network (address/bits) and no address", quoted(&entry)))
}

pub(super) fn hosts(text: &str) -> Result<AllowedHosts, String> {
    let shown = |entry: &str| if entry.contains('@') { "an entry".to_owned() } else { quoted(entry) };
    AllowedHosts::parse(text)
        .map_err(|entry| format!("{} is no host[:port]: a name or an address, without http://", shown(&entry)))
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    text.parse::<Targets>().map(|_| text.to_owned()).map_err(|_| {
        format!("{} is no filter: a level (error, warn, info, debug, trace) or target=level, …", quoted(text))
    })
}

/// Bearer tokens: what an HTTP header can carry.
pub(super) fn tokens(text: &str) -> Result<Vec<Secret>, String> {
    let fits = |entry: &str| entry.bytes().all(|byte| byte.is_ascii_graphic());
    entries(text, fits, "visible ASCII characters without spaces")
}

/// Passwords inside of URLs. Clients decode URLs differently, so only characters that nobody escapes.
pub(super) fn passwords(text: &str) -> Result<Vec<Secret>, String> {
    let fits = |entry: &str| entry.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte));
    entries(text, fits, "characters of A-Z a-z 0-9 . _ ~ - only")
}

/// Keys that seal the store, or `plain`. Kept as text: the store makes keys of it.
pub(super) fn master_keys(text: &str) -> Result<Secret, String> {
    let fits = |entry: &str| entry == "plain" || BASE64_STANDARD.decode(entry).is_ok_and(|key| key.len() == 32);
    entries(text, fits, "32 bytes in base64, or the word `plain`")?;
    Ok(Secret::new(text.trim()))
}

/// A connection string of MongoDB. Its hosts are not looked up here.
pub(super) fn mongo_uri(text: &str) -> Result<Secret, String> {
    const RULE: &str = "must be mongodb://[user:password@]host[:port],…/database or mongodb+srv://…; \
        special characters of user and password percent-encoded";
    // The driver's own reasons repeat parts of the text, which holds a password.
    ConnectionString::parse(text).map_err(|_| RULE.to_owned())?;
    Ok(Secret::new(text))
}

/// An address of Redis: one server, or the Sentinels that know which one is the master.
pub(super) fn redis_url(text: &str) -> Result<Secret, String> {
    const RULE: &str = "must be redis://[user:password@]host[:port][/db], rediss://… for TLS, or \
        redis-sentinel://[user:password@]host[:port],…/master-name; special characters percent-encoded";
    let good = match text.strip_prefix("redis-sentinel://") {
        Some(rest) => is_sentinel(rest),
        None => text.starts_with("redis") && text.into_connection_info().is_ok(),
    };
    if good { Ok(Secret::new(text)) } else { Err(RULE.to_owned()) }
}

/// `[user:password@]host[:port],…/master-name`
fn is_sentinel(rest: &str) -> bool {
    let Some((hosts, master)) = rest.rsplit_once('/') else { return false };
    let (credentials, hosts) = hosts.rsplit_once('@').map_or((None, hosts), |(user, hosts)| (Some(user), hosts));
    let one = |host: &str| {
        let user = credentials.map(|user| format!("{user}@")).unwrap_or_default();
        !host.is_empty() && format!("redis://{user}{host}").into_connection_info().is_ok()
    };
    !master.is_empty() && hosts.split(',').all(|host| one(host.trim()))
}

/// Comma-separated secrets, each checked; a fault counts entries instead of showing them.
fn entries(text: &str, fits: impl Fn(&str) -> bool, rule: &str) -> Result<Vec<Secret>, String> {
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    match entries.iter().position(|entry| entry.is_empty() || !fits(entry)) {
        None => Ok(entries.into_iter().map(Secret::new).collect()),
        Some(_) if entries.len() == 1 => Err(format!("must be {rule}")),
        Some(index) => Err(format!("entry {} of {} must be {rule}", index + 1, entries.len())),
    }
}

//! The declaration of a corp, as `CORPS_FILE` and the admin API write it. All faults are collected:
//! each by its path and the rule it breaks, never with the value, which may be a secret in the wrong
//! place.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};
use url::Url;

use super::declared_services;
use crate::domain::{CallbackCredential, Corp, CorpId, CorpSource, EncodingAesKey, Pair, Secret, Service, ServiceName};

pub(super) const NO_TEXT: &str = "must be a string";
pub(super) const NO_LIST: &str = "must be a list";
pub(super) const NO_OBJECT: &str = "must be an object";

/// What is wrong with a document; one fault a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<(String, String)>);

impl Faults {
    /// Path and rule of each fault.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, rule)| (path.as_str(), rule.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, path: impl Into<String>, rule: impl Into<String>) {
        self.0.push((path.into(), rule.into()));
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (path, rule)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            let colon = if path.is_empty() { "" } else { ": " };
            write!(f, "{separator}{path}{colon}{rule}")?;
        }
        Ok(())
    }
}

/// Where a declaration stands, and what it may refer to.
#[derive(Debug)]
pub struct Context<'c> {
    /// Before the names of fields in faults: `corps.ww1.`, or nothing.
    pub prefix: &'c str,
    pub source: CorpSource,
    /// What is declared now: `{"id"}` keeps one of its credentials.
    pub known: Option<&'c Corp>,
    pub now: Timestamp,
    pub rules: &'c dyn ServiceRules,
}

/// What the fields of a service must meet beyond their shape. Whoever serves it knows the names of events
/// and the form of secrets, and stands above this.
pub trait ServiceRules: fmt::Debug + Send + Sync {
    /// The field at fault with the rule it breaks, of each fault. No value of a secret.
    fn faults(&self, service: &Service) -> Vec<(&'static str, String)>;
}

/// Takes whatever has the shape of a service.
#[derive(Debug)]
pub struct AnyService;

impl ServiceRules for AnyService {
    fn faults(&self, _service: &Service) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// Reads `{"credentials": […], "wecomProxy"?, "services"?}`.
pub fn read_corp(id: CorpId, fields: &Map<String, Value>, context: &Context<'_>, faults: &mut Faults) -> Corp {
    let prefix = context.prefix;
    refuse_unknown(fields, prefix, &["credentials", "wecomProxy", "services"], faults);
    let credentials = read_credentials(fields, context, faults);
    let wecom_proxy = optional_text(fields, prefix, "wecomProxy", faults).and_then(|text| {
        let valid = is_proxy(text);
        if !valid {
            faults.add(format!("{prefix}wecomProxy"), "must be http(s)://[user:password@]host[:port]");
        }
        valid.then(|| Secret::new(text))
    });
    let services = declared_services::read_services(fields.get("services"), context, faults);
    Corp { id, source: context.source, credentials, wecom_proxy, services, updated_at: context.now }
}

/// Reads one service, `{url, events, format, secret?, ttl?}`.
pub fn read_service(
    name: ServiceName,
    fields: &Map<String, Value>,
    context: &Context<'_>,
    faults: &mut Faults,
) -> Option<Service> {
    declared_services::read_service(name, fields, context.prefix, context, faults)
}

fn read_credentials(
    fields: &Map<String, Value>,
    context: &Context<'_>,
    faults: &mut Faults,
) -> Vec<CallbackCredential> {
    let path = format!("{}credentials", context.prefix);
    let Some(value) = fields.get("credentials") else { return Vec::new() };
    let Some(list) = value.as_array() else {
        faults.add(path, NO_LIST);
        return Vec::new();
    };
    let read = |(at, value): (usize, &Value)| {
        let prefix = format!("{path}[{at}]");
        let Some(fields) = value.as_object() else {
            faults.add(prefix, NO_OBJECT);
            return None;
        };
        let prefix = format!("{prefix}.");
        match fields.get("id") {
            Some(id) => read_kept(id, fields, &prefix, context.known, faults),
            None => read_credential(fields, &prefix, faults),
        }
    };
    let credentials: Vec<CallbackCredential> = list.iter().enumerate().filter_map(read).collect();
    for (at, credential) in credentials.iter().enumerate() {
        if credentials[..at].iter().any(|earlier| earlier.pair == credential.pair) {
            faults.add(&path, format!("holds the pair of token and key {} twice", credential.pair.id()));
        }
    }
    credentials
}

/// `{id, receiveIds?, label?}`: the pair stays, and so does what is not named.
fn read_kept(
    id: &Value,
    fields: &Map<String, Value>,
    prefix: &str,
    known: Option<&Corp>,
    faults: &mut Faults,
) -> Option<CallbackCredential> {
    refuse_unknown(fields, prefix, &["id", "receiveIds", "label"], faults);
    let receive_ids = fields.contains_key("receiveIds").then(|| receive_ids(fields, prefix, faults));
    let label = fields.contains_key("label").then(|| optional_text(fields, prefix, "label", faults).map(str::to_owned));
    let mut credentials = known.into_iter().flat_map(|corp| &corp.credentials);
    let Some(found) = credentials.find(|credential| Some(credential.pair.id().as_str()) == id.as_str()).cloned() else {
        faults.add(format!("{prefix}id"), "names no credential that this corp has");
        return None;
    };
    let receive_ids = receive_ids.unwrap_or(found.receive_ids);
    Some(CallbackCredential { receive_ids, label: label.unwrap_or(found.label), ..found })
}

/// `{token, encodingAESKey, receiveIds?, label?}`
fn read_credential(fields: &Map<String, Value>, prefix: &str, faults: &mut Faults) -> Option<CallbackCredential> {
    refuse_unknown(fields, prefix, &["token", "encodingAESKey", "receiveIds", "label"], faults);
    let token = required_text(fields, prefix, "token", faults);
    if token.is_some_and(str::is_empty) {
        faults.add(format!("{prefix}token"), "must not be empty");
    }
    let key = required_text(fields, prefix, "encodingAESKey", faults);
    let key = key
        .map(EncodingAesKey::parse)
        .and_then(|parsed| parsed.map_err(|rule| faults.add(format!("{prefix}encodingAESKey"), rule.to_string())).ok());
    let receive_ids = receive_ids(fields, prefix, faults);
    let label = optional_text(fields, prefix, "label", faults).map(str::to_owned);
    Some(CallbackCredential { pair: Pair::new(Secret::new(token?), key?), receive_ids, label })
}

fn receive_ids(fields: &Map<String, Value>, prefix: &str, faults: &mut Faults) -> Vec<String> {
    let path = format!("{prefix}receiveIds");
    let list = match fields.get("receiveIds") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => {
            faults.add(path, NO_LIST);
            return Vec::new();
        }
    };
    let mut text = |(at, value): (usize, &Value)| {
        let text = value.as_str();
        if text.is_none() {
            faults.add(format!("{path}[{at}]"), NO_TEXT);
        }
        text.map(str::to_owned)
    };
    list.iter().enumerate().filter_map(&mut text).collect()
}

/// A name that is no plain word is not repeated: it may be a secret in the wrong place.
pub(super) fn refuse_unknown(fields: &Map<String, Value>, prefix: &str, known: &[&str], faults: &mut Faults) {
    fields.keys().for_each(|name| refuse_field(name, prefix, known, faults));
}

pub(super) fn refuse_field(name: &str, prefix: &str, known: &[&str], faults: &mut Faults) {
    if known.contains(&name) {
        return;
    }
    let plain = name.len() <= 24 && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    let shown = if plain { name } else { "(a field)" };
    faults.add(format!("{prefix}{shown}"), format!("is unknown; known are {}", known.join(", ")));
}

pub(super) fn required_text<'a>(
    fields: &'a Map<String, Value>,
    prefix: &str,
    name: &str,
    faults: &mut Faults,
) -> Option<&'a str> {
    if fields.get(name).is_none_or(Value::is_null) {
        faults.add(format!("{prefix}{name}"), "is missing");
    }
    optional_text(fields, prefix, name, faults)
}

pub(super) fn optional_text<'a>(
    fields: &'a Map<String, Value>,
    prefix: &str,
    name: &str,
    faults: &mut Faults,
) -> Option<&'a str> {
    let value = fields.get(name).filter(|value| !value.is_null())?;
    if !value.is_string() {
        faults.add(format!("{prefix}{name}"), NO_TEXT);
    }
    value.as_str()
}

fn is_proxy(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

//! The services of a declaration: `{"name": {url, events, format, secret?, ttl?}}`.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::declaration::{Context, Faults, NO_LIST, NO_OBJECT, NO_TEXT, optional_text, refuse_unknown, required_text};
use crate::domain::{Secret, Service, ServiceFormat, ServiceName, ServiceUrl};

/// How long an event is retried unless a service says otherwise, and the limits of what it may say.
const TTL: Duration = Duration::from_secs(24 * 3600);
const SHORTEST_TTL: Duration = Duration::from_secs(1);
const LONGEST_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// By name. Where the field lacks, those that are declared now stay.
pub(super) fn read_services(value: Option<&Value>, context: &Context<'_>, faults: &mut Faults) -> Vec<Service> {
    let path = format!("{}services", context.prefix);
    let declared = match value {
        None => return context.known.map(|corp| corp.services.clone()).unwrap_or_default(),
        Some(Value::Object(declared)) => declared,
        Some(_) => {
            faults.add(path, NO_OBJECT);
            return Vec::new();
        }
    };
    let mut services = Vec::new();
    for (name, value) in declared {
        let parsed = ServiceName::parse(name).map_err(|rule| faults.add(&path, format!("each name {rule}"))).ok();
        let path = format!("{path}.{}", parsed.as_ref().map_or("(a name)", ServiceName::as_str));
        let Some(fields) = value.as_object() else {
            faults.add(path, NO_OBJECT);
            continue;
        };
        // Read all the same where the name is wrong, to find the other faults.
        let Some(stand_in) = parsed.or_else(|| ServiceName::parse("unnamed").ok()) else { continue };
        services.extend(read_service(stand_in, fields, &format!("{path}."), context, faults));
    }
    services.sort_by(|one, other| one.name.cmp(&other.name));
    services
}

/// Reads `{url, events, format, secret?, ttl?}`. A secret that lacks is the one that is declared now; `null`
/// is none.
pub(super) fn read_service(
    name: ServiceName,
    fields: &Map<String, Value>,
    prefix: &str,
    context: &Context<'_>,
    faults: &mut Faults,
) -> Option<Service> {
    refuse_unknown(fields, prefix, &["url", "events", "format", "secret", "ttl"], faults);
    let mut fault = |field: &str, rule: String| faults.add(format!("{prefix}{field}"), rule);
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    let url = text("url").and_then(|text| ServiceUrl::parse(text).map_err(|rule| fault("url", rule.to_string())).ok());
    let format = text("format")
        .and_then(|text| ServiceFormat::parse(text).map_err(|rule| fault("format", rule.to_string())).ok());
    let ttl = text("ttl").map(|text| ttl(text).map_err(|rule| fault("ttl", rule)));
    required_text(fields, prefix, "url", faults);
    required_text(fields, prefix, "format", faults);
    let events = read_events(fields, prefix, faults);
    optional_text(fields, prefix, "ttl", faults);
    let secret = match fields.get("secret") {
        None => known_secret(&name, context),
        Some(_) => optional_text(fields, prefix, "secret", faults).map(Secret::new),
    };
    let ttl = ttl.transpose().ok().map(|ttl| ttl.unwrap_or(TTL));
    // What is wrong has a stand-in, to find the faults of the rest.
    let service = Service {
        name,
        url: url.clone().or_else(|| ServiceUrl::parse("http://unnamed").ok())?,
        events: events.clone().unwrap_or_else(|| vec!["*".to_owned()]),
        format: format.unwrap_or(ServiceFormat::Json),
        secret,
        ttl: ttl.unwrap_or(TTL),
    };
    for (field, rule) in context.rules.faults(&service) {
        faults.add(format!("{prefix}{field}"), rule);
    }
    (url.is_some() && events.is_some() && format.is_some() && ttl.is_some()).then_some(service)
}

fn known_secret(name: &ServiceName, context: &Context<'_>) -> Option<Secret> {
    let mut known = context.known.into_iter().flat_map(|corp| &corp.services);
    known.find(|service| service.name == *name).and_then(|service| service.secret.clone())
}

fn read_events(fields: &Map<String, Value>, prefix: &str, faults: &mut Faults) -> Option<Vec<String>> {
    let path = format!("{prefix}events");
    let Some(value) = fields.get("events") else {
        faults.add(path, "is missing");
        return None;
    };
    let Some(list) = value.as_array() else {
        faults.add(path, NO_LIST);
        return None;
    };
    let mut texts = Vec::with_capacity(list.len());
    for (at, value) in list.iter().enumerate() {
        match value.as_str() {
            Some(text) => texts.push(text.to_owned()),
            None => faults.add(format!("{path}[{at}]"), NO_TEXT),
        }
    }
    (texts.len() == list.len()).then_some(texts)
}

fn ttl(text: &str) -> Result<Duration, String> {
    let span = text.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    span.filter(|span| (SHORTEST_TTL..=LONGEST_TTL).contains(span) && span.subsec_nanos() == 0)
        .ok_or_else(|| "must be whole seconds, 1s to 720h, such as 30m or 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::domain::{Corp, CorpId, CorpSource};
    use crate::store::declaration::{AnyService, read_corp};

    fn read(document: &Value, known: Option<&Corp>) -> (Corp, Vec<String>) {
        let now = Timestamp::UNIX_EPOCH;
        let context = Context { prefix: "", source: CorpSource::Admin, known, now, rules: &AnyService };
        let mut faults = Faults::default();
        let corp = read_corp(CorpId::parse("ww1").unwrap(), document.as_object().unwrap(), &context, &mut faults);
        (corp, faults.iter().map(|(path, rule)| format!("{path}: {rule}")).collect())
    }

    #[test]
    fn reads_every_field_and_keeps_what_is_not_named() {
        let crm = json!({ "url": "http://crm/hook?a=1", "events": ["*", "!click"], "format": "json",
            "secret": "whsec_c2VjcmV0", "ttl": "90m" });
        let erp = json!({ "url": "http://erp", "events": ["click"], "format": "as-received" });
        let (corp, faults) = read(&json!({ "services": { "erp": erp, "crm": crm } }), None);
        assert_eq!(faults, Vec::<String>::new());
        let [crm, erp] = &corp.services[..] else { panic!("two, by name: {corp:?}") };
        assert_eq!((crm.url.to_string().as_str(), crm.format), ("http://crm/hook?a=1", ServiceFormat::Json));
        assert_eq!((crm.events.clone(), crm.ttl), (vec!["*".into(), "!click".into()], Duration::from_secs(5_400)));
        assert_eq!((&erp.secret, erp.ttl), (&None, TTL));

        let (again, _) = read(&json!({}), Some(&corp));
        assert_eq!(again.services, corp.services, "a declaration that does not speak of services changes none");
        let kept = json!({ "url": "http://crm2", "events": [], "format": "json" });
        let (again, _) = read(&json!({ "services": { "crm": kept } }), Some(&corp));
        assert_eq!(again.services.len(), 1);
        assert_eq!(again.services[0].secret, crm.secret);
        let mut none = kept;
        none["secret"] = Value::Null;
        assert_eq!(read(&json!({ "services": { "crm": none } }), Some(&corp)).0.services[0].secret, None);
    }

    #[test]
    fn names_all_faults_at_once_and_no_value() {
        let document = json!({ "services": {
            "a b": {}, "one": 7, "two": {},
            "three": { "url": "ftp://s3cret", "events": ["a", 1], "format": "s3cret", "secret": 1, "ttl": "s3cret", "x": 1 },
            "four": { "url": 1, "events": "s3cret", "format": [], "ttl": 5 },
            "five": { "url": "http://h", "events": [], "format": "json", "ttl": "1ms" },
        } });
        let (_, faults) = read(&document, None);
        assert!(faults.iter().all(|fault| !fault.contains("s3cret")), "{faults:?}");
        let paths: Vec<&str> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
        let expected = [
            "services",
            "services.(a name).url",
            "services.(a name).format",
            "services.(a name).events",
            "services.one",
            "services.two.url",
            "services.two.format",
            "services.two.events",
            "services.three.x",
            "services.three.url",
            "services.three.format",
            "services.three.ttl",
            "services.three.events[1]",
            "services.three.secret",
            "services.four.url",
            "services.four.format",
            "services.four.events",
            "services.four.ttl",
            "services.five.ttl",
        ];
        assert_eq!(paths, expected, "{faults:#?}");
    }
}

//! Services in words: spans as they are declared, and what a declaration changes.

use std::time::Duration;

use crate::domain::Service;

/// In the largest unit that leaves nothing over.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// For the record; of the secret only that it changed. `None`: nothing.
pub(super) fn between(before: Option<&Service>, after: &Service) -> Option<String> {
    let Some(before) = before else {
        let events = after.events.join(", ");
        return Some(format!("declared: {events} as {} to {}", after.format.as_str(), after.url));
    };
    let mut changes = Vec::new();
    if before.url != after.url {
        changes.push(format!("url {} -> {}", before.url, after.url));
    }
    if before.events != after.events {
        changes.push(format!("events {} -> {}", before.events.join(", "), after.events.join(", ")));
    }
    if before.format != after.format {
        changes.push(format!("format {} -> {}", before.format.as_str(), after.format.as_str()));
    }
    if before.ttl != after.ttl {
        changes.push(format!("ttl {} -> {}", span(before.ttl), span(after.ttl)));
    }
    changes.extend(match (&before.secret, &after.secret) {
        (None, Some(_)) => Some("secret set".to_owned()),
        (Some(_), None) => Some("secret removed".to_owned()),
        (before, after) => (before != after).then(|| "secret changed".to_owned()),
    });
    (!changes.is_empty()).then(|| changes.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Secret, ServiceFormat, ServiceName, ServiceUrl};

    fn service(secret: Option<&str>) -> Service {
        Service {
            name: ServiceName::parse("crm").unwrap(),
            url: ServiceUrl::parse("http://crm/").unwrap(),
            events: vec!["*".to_owned()],
            format: ServiceFormat::Json,
            secret: secret.map(Secret::new),
            ttl: Duration::from_secs(5_400),
        }
    }

    #[test]
    fn names_what_changed_and_no_secret() {
        assert_eq!(between(None, &service(Some("a"))).unwrap(), "declared: * as json to http://crm/");
        assert_eq!(between(Some(&service(Some("a"))), &service(Some("b"))).unwrap(), "secret changed");
        assert_eq!(between(Some(&service(None)), &service(Some("b"))).unwrap(), "secret set");
        assert_eq!(between(Some(&service(None)), &service(None)), None);
        let other = Service { ttl: Duration::from_secs(61), format: ServiceFormat::AsReceived, ..service(None) };
        assert_eq!(between(Some(&service(None)), &other).unwrap(), "format json -> as-received; ttl 90m -> 61s");
    }
}

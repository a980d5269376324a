//! What a declared service must meet beyond the shape of its fields.

use super::filter::Filter;
use super::signature::SigningSecret;
use crate::domain::Service;
use crate::egress::DenyList;
use crate::store::declaration::ServiceRules;

/// Filters and secrets by their own rules, addresses by `DISPATCH_DENY_NETWORKS`. Names are resolved where
/// that can be waited for, and at each call.
#[derive(Debug)]
pub struct Rules {
    denied: DenyList,
}

impl Rules {
    pub fn new(denied: DenyList) -> Self {
        Self { denied }
    }
}

impl ServiceRules for Rules {
    fn faults(&self, service: &Service) -> Vec<(&'static str, String)> {
        let address = self.denied.denies_literal(service.url.url());
        let url = address.map(|address| ("url", format!("leads to {address}: DISPATCH_DENY_NETWORKS forbids that")));
        let events = events_fault(&service.events).map(|rule| ("events", rule));
        let secret = service.secret.as_ref().and_then(|secret| SigningSecret::parse(secret.expose()).err());
        url.into_iter().chain(events).chain(secret.map(|rule| ("secret", rule))).collect()
    }
}

/// What is wrong with the events. An entry that looks like no name is not repeated: it may be a secret in
/// the wrong place.
fn events_fault(events: &[String]) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.!*".contains(&byte);
    match events.iter().position(|entry| entry.len() > 64 || !entry.bytes().all(plain)) {
        Some(at) => Some(format!("entry {} is no name of an event such as text or change_contact.create_user", at + 1)),
        None => Filter::parse(events).err(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_no_name_is_not_repeated() {
        let fault = |events: &[&str]| events_fault(&events.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>());
        assert_eq!(fault(&["*", "!click", "change_contact.create_user"]), None);
        assert!(fault(&["click", "s3cret/of=the-app"]).is_some_and(|rule| rule.starts_with("entry 2 is no name")));
        assert!(fault(&[]).is_some());
    }
}

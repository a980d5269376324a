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
        let events = Filter::parse(&service.events).err().map(|rule| ("events", rule));
        let secret = service.secret.as_ref().and_then(|secret| SigningSecret::parse(secret.expose()).err());
        url.into_iter().chain(events).chain(secret.map(|rule| ("secret", rule))).collect()
    }
}

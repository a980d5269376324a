//! Which services of a corp take what: their filters, read once for as long as the corp stays as it is.

use std::sync::Arc;

use moka::sync::Cache;
use tracing::warn;

use super::filter::Filter;
use crate::domain::{CorpId, Service};
use crate::store::CorpKeys;

/// Corps whose filters are kept.
const CAPACITY: u64 = 20_000;

#[derive(Debug)]
pub(super) struct Taker {
    pub service: Service,
    pub filter: Filter,
}

/// The takers, and what they were read from.
type Known = (Arc<CorpKeys>, Arc<[Taker]>);

#[derive(Debug)]
pub(super) struct Takers(Cache<CorpId, Known>);

impl Takers {
    pub(super) fn new() -> Self {
        Self(Cache::new(CAPACITY))
    }

    pub(super) fn of(&self, corp: &CorpId, keys: &Arc<CorpKeys>) -> Arc<[Taker]> {
        if let Some((read_from, takers)) = self.0.get(corp)
            && Arc::ptr_eq(&read_from, keys)
        {
            return takers;
        }
        let takers: Arc<[Taker]> = keys.services.iter().filter_map(|service| taker(corp, service)).collect();
        self.0.insert(corp.clone(), (keys.clone(), takers.clone()));
        takers
    }
}

/// What is declared was checked; what a newer release wrote into a shared store may be news to this one.
fn taker(corp: &CorpId, service: &Service) -> Option<Taker> {
    match Filter::parse(&service.events) {
        Ok(filter) => Some(Taker { service: service.clone(), filter }),
        Err(rule) => {
            warn!(corp.id = %corp, service = %service.name, rule, "a service takes nothing: its events cannot be read");
            None
        }
    }
}

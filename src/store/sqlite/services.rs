//! Services of a corp, as a part of its declaration.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::rows::{change, damaged, parsed, select, unsigned};
use crate::domain::{CorpId, Service, ServiceFormat, ServiceName, ServiceUrl};
use crate::store::Result;
use crate::store::sealed::{MasterKeys, Place};

const SERVICES: &str = "SELECT * FROM service WHERE corp_id = ? ORDER BY name";

/// A service as it is stored.
pub(super) struct SealedService {
    name: ServiceName,
    url: String,
    events: String,
    format: ServiceFormat,
    secret: Option<String>,
    ttl: Duration,
}

impl SealedService {
    pub(super) fn seal(keys: &MasterKeys, corp: &CorpId, service: &Service) -> Result<Self> {
        let row = row_name(corp, &service.name);
        let events = serde_json::to_string(&service.events);
        Ok(Self {
            name: service.name.clone(),
            url: service.url.to_string(),
            events: events.map_err(|error| damaged("events", &error.to_string()))?,
            format: service.format,
            secret: service.secret.as_ref().map(|secret| keys.seal(&place(&row), secret)).transpose()?,
            ttl: service.ttl,
        })
    }

    fn insert(&self, db: &Connection, corp: &CorpId) -> Result<()> {
        let Self { name, url, events, format, secret, ttl } = self;
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let values = params![corp.as_str(), name.as_str(), url, events, format.as_str(), secret, ttl];
        change(db, "INSERT INTO service VALUES (?, ?, ?, ?, ?, ?, ?)", values).map(drop)
    }
}

/// Puts these in the place of all that the corp has.
pub(super) fn replace(db: &Connection, corp: &CorpId, services: &[SealedService]) -> Result<()> {
    change(db, "DELETE FROM service WHERE corp_id = ?", [corp.as_str()])?;
    services.iter().try_for_each(|service| service.insert(db, corp))
}

pub(super) fn select_of(db: &Connection, keys: &MasterKeys, corp: &CorpId) -> Result<Vec<Service>> {
    select(db, SERVICES, [corp.as_str()], |row| read_service(keys, corp, row))
}

fn read_service(keys: &MasterKeys, corp: &CorpId, row: &Row<'_>) -> Result<Service> {
    let name = parsed(row, "name", ServiceName::parse)?;
    let named = row_name(corp, &name);
    let secret: Option<String> = row.get("secret")?;
    let events: String = row.get("events")?;
    Ok(Service {
        name,
        url: parsed(row, "url", ServiceUrl::parse)?,
        events: serde_json::from_str(&events).map_err(|error| damaged(&named, &error.to_string()))?,
        format: parsed(row, "format", ServiceFormat::parse)?,
        secret: secret.map(|secret| keys.open(&place(&named), &secret)).transpose()?,
        ttl: Duration::from_secs(unsigned(row, "ttl")?),
    })
}

fn row_name(corp: &CorpId, name: &ServiceName) -> String {
    format!("{corp}/{name}")
}

fn place(row: &str) -> Place<'_> {
    Place { table: "service", row, field: "secret" }
}

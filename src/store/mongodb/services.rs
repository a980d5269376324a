//! Services of a corp, as a part of its document.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};

use super::documents::{damaged, number, opened, optional, parsed};
use crate::domain::{Service, ServiceFormat, ServiceName, ServiceUrl};
use crate::store::Result;
use crate::store::sealed::{MasterKeys, Place};

/// What the secret of a service is bound to.
pub(super) fn service_row(corp: &str, name: &str) -> String {
    format!("{corp}/{name}")
}

fn place(row: &str) -> Place<'_> {
    Place { table: "service", row, field: "secret" }
}

pub(super) fn write_service(keys: &MasterKeys, corp: &str, service: &Service) -> Result<Bson> {
    let row = service_row(corp, service.name.as_str());
    let secret = service.secret.as_ref().map(|secret| keys.seal(&place(&row), secret)).transpose()?;
    Ok(Bson::Document(doc! {
        "name": service.name.as_str(),
        "url": service.url.to_string(),
        "events": &service.events,
        "format": service.format.as_str(),
        "secret": secret,
        "ttl": i64::try_from(service.ttl.as_secs()).unwrap_or(i64::MAX),
    }))
}

/// None where the document was written before there were any.
pub(super) fn read_services(keys: &MasterKeys, corp: &str, document: &Document) -> Result<Vec<Service>> {
    let services = document.get_array("services").map(Vec::as_slice).unwrap_or_default();
    let read = |service: &Bson| {
        let service = service.as_document().ok_or_else(|| damaged("services", "one is no document"))?;
        read_service(keys, corp, service)
    };
    services.iter().map(read).collect()
}

fn read_service(keys: &MasterKeys, corp: &str, document: &Document) -> Result<Service> {
    let name = parsed(document, "name", ServiceName::parse)?;
    let row = service_row(corp, name.as_str());
    let events = document.get_array("events").map_err(|_| damaged("events", "it is no list"))?;
    let event = |event: &Bson| event.as_str().map(str::to_owned).ok_or_else(|| damaged("events", "one is no text"));
    Ok(Service {
        name,
        url: parsed(document, "url", ServiceUrl::parse)?,
        events: events.iter().map(event).collect::<Result<_>>()?,
        format: parsed(document, "format", ServiceFormat::parse)?,
        secret: optional(document, "secret", |document, field| opened(document, field, keys, &place(&row)))?,
        ttl: Duration::from_secs(number(document, "ttl")?),
    })
}

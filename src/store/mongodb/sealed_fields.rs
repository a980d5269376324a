//! Every sealed field of every collection, with what its value is bound to.

use mongodb::bson::{Bson, Document};

use super::corps::{CORPS, credential_row};
use super::documents::text;
use super::puppets::PUPPETS;
use super::services::service_row;
use super::tokens::TOKENS;
use crate::store::sealed::Place;

/// One stored secret: the path of its field, what it is bound to, and its text.
pub(super) struct Value {
    pub path: String,
    table: &'static str,
    row: String,
    field: &'static str,
    pub text: String,
}

impl Value {
    /// `None` where the field lacks, or is no text: reading the document will say so.
    fn read(
        document: &Document,
        (name, path): (&str, String),
        table: &'static str,
        row: &str,
        field: &'static str,
    ) -> Option<Self> {
        let text = text(document, name).ok()?.to_owned();
        Some(Self { path, table, row: row.to_owned(), field, text })
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place { table: self.table, row: &self.row, field: self.field }
    }
}

/// A collection with sealed fields.
pub(super) struct Sealed {
    pub name: &'static str,
    /// Top-level fields by which the server finds what to look at; none: all documents are.
    pub fields: &'static [&'static str],
    pub values: fn(&Document) -> Vec<Value>,
}

pub(super) const ALL: [Sealed; 3] = [
    Sealed { name: CORPS, fields: &[], values: values_of_corp },
    Sealed { name: PUPPETS, fields: &["corpSecret", "token", "encodingAESKey"], values: values_of_puppet },
    Sealed { name: TOKENS, fields: &["accessToken", "corpSecret"], values: values_of_token },
];

fn values_of_corp(document: &Document) -> Vec<Value> {
    let Ok(id) = text(document, "_id") else { return Vec::new() };
    let proxy = Value::read(document, ("wecomProxy", "wecomProxy".to_owned()), "corp", id, "wecom_proxy");
    let credentials = document.get_array("credentials").map(Vec::as_slice).unwrap_or_default();
    let of_credential = |(position, credential): (usize, &Bson)| {
        let row = credential_row(id, position);
        let read = |name: &str, field| {
            let path = format!("credentials.{position}.{name}");
            Value::read(credential.as_document()?, (name, path), "corp_credential", &row, field)
        };
        [read("token", "token"), read("encodingAESKey", "aes_key")]
    };
    let services = document.get_array("services").map(Vec::as_slice).unwrap_or_default();
    let of_service = |(position, service): (usize, &Bson)| {
        let service = service.as_document()?;
        let row = service_row(id, text(service, "name").ok()?);
        Value::read(service, ("secret", format!("services.{position}.secret")), "service", &row, "secret")
    };
    let of_credentials = credentials.iter().enumerate().flat_map(of_credential).flatten();
    let of_services = services.iter().enumerate().filter_map(of_service);
    proxy.into_iter().chain(of_credentials).chain(of_services).collect()
}

fn values_of_puppet(document: &Document) -> Vec<Value> {
    let Ok(kf) = text(document, "kfOpenId") else { return Vec::new() };
    let fields = [("corpSecret", "corp_secret"), ("token", "token"), ("encodingAESKey", "aes_key")];
    let read = |(name, field): (&str, _)| Value::read(document, (name, name.to_owned()), "puppet", kf, field);
    fields.into_iter().filter_map(read).collect()
}

fn values_of_token(document: &Document) -> Vec<Value> {
    let Ok(id) = text(document, "_id") else { return Vec::new() };
    let read = |name: &str, field| Value::read(document, (name, name.to_owned()), "access_token", id, field);
    [read("accessToken", "access_token"), read("corpSecret", "corp_secret")].into_iter().flatten().collect()
}

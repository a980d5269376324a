//! Reading documents: fields into values of the domain.

use jiff::Timestamp;
use mongodb::bson::{Binary, Bson, DateTime, Document, spec::BinarySubtype};

use crate::domain::{Invalid, Secret};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Result, StoreError};

pub(super) fn damaged(field: &str, reason: &str) -> StoreError {
    StoreError::Damaged { place: field.to_owned(), reason: reason.to_owned() }
}

/// A text field.
pub(super) fn text<'d>(document: &'d Document, field: &str) -> Result<&'d str> {
    document.get_str(field).map_err(|_| damaged(field, "it is no text"))
}

/// A field that may lack, or be null.
pub(super) fn optional<'d, T>(
    document: &'d Document,
    field: &str,
    read: impl FnOnce(&'d Document, &str) -> Result<T>,
) -> Result<Option<T>> {
    match document.get(field) {
        None | Some(Bson::Null) => Ok(None),
        Some(_) => read(document, field).map(Some),
    }
}

/// A text field by its parser.
pub(super) fn parsed<T>(document: &Document, field: &str, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> Result<T> {
    parse(text(document, field)?).map_err(|rule| damaged(field, rule.0))
}

pub(super) fn time(document: &Document, field: &str) -> Result<Timestamp> {
    let date = document.get_datetime(field).map_err(|_| damaged(field, "it is no date"))?;
    Timestamp::from_millisecond(date.timestamp_millis()).map_err(|error| damaged(field, &error.to_string()))
}

/// A whole number, of whatever width the server keeps it in.
pub(super) fn number<T: TryFrom<i64>>(document: &Document, field: &str) -> Result<T> {
    let number = match document.get(field) {
        Some(Bson::Int64(number)) => *number,
        Some(Bson::Int32(number)) => i64::from(*number),
        _ => return Err(damaged(field, "it is no whole number")),
    };
    T::try_from(number).map_err(|_| damaged(field, "it is out of range"))
}

/// False where the field lacks.
pub(super) fn flag(document: &Document, field: &str) -> bool {
    document.get_bool(field).unwrap_or(false)
}

pub(super) fn bytes<'d>(document: &'d Document, field: &str) -> Result<&'d [u8]> {
    document.get_binary_generic(field).map(Vec::as_slice).map_err(|_| damaged(field, "it is not binary"))
}

/// A sealed field, which is bound to its place.
pub(super) fn opened(document: &Document, field: &str, keys: &MasterKeys, place: &Place<'_>) -> Result<Secret> {
    keys.open(place, text(document, field)?)
}

pub(super) fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millisecond())
}

pub(super) fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

/// Servers count rows in 32 bits.
pub(super) fn limit(rows: usize) -> i64 {
    i32::try_from(rows).unwrap_or(i32::MAX).into()
}

/// All readable documents. A damaged one is logged and left out: it must not hide the others.
pub(super) fn readable<T>(documents: &[Document], read: impl Fn(&Document) -> Result<T>) -> Result<Vec<T>> {
    let mut found = Vec::with_capacity(documents.len());
    for document in documents {
        match read(document) {
            Ok(value) => found.push(value),
            Err(error @ StoreError::Damaged { .. }) => {
                let id = document.get("_id").map(Bson::to_string);
                tracing::error!(%error, document.id = id, "a stored document is left out");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

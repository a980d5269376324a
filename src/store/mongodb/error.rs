//! The driver's errors as the store's.
//!
//! The one decision a reader would question: what the server says about a refused command is reduced
//! to the code and its name, because servers quote commands, and ours carry secrets.

use mongodb::error::{Error, ErrorKind, InsertManyError, WriteFailure};

use crate::store::StoreError;

/// Of every unique index.
const DUPLICATE_KEY: i32 = 11_000;

/// Whether a server answered at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// None was found, or the connection broke.
    NoAnswer,
    /// The server, or the driver, refused what was asked.
    Refusal,
}

pub(super) fn cause(error: &Error) -> Cause {
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Authentication { .. } => Cause::NoAnswer,
        _ => Cause::Refusal,
    }
}

pub(super) fn unavailable(error: &Error) -> StoreError {
    StoreError::Unavailable(text(error))
}

pub(super) fn is_duplicate_key(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// Of an unordered insertion: the place of each document that was refused, with the reason. Those that
/// were there already are none of them.
pub(super) fn refused(error: &InsertManyError) -> impl Iterator<Item = (usize, StoreError)> {
    let errors = error.write_errors.iter().flatten().filter(|error| error.code != DUPLICATE_KEY);
    errors.map(|error| (error.index, StoreError::Unavailable(coded("write", error.code, error.code_name.as_deref()))))
}

fn text(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Io(error) => format!("connection to MongoDB: {error}"),
        ErrorKind::ServerSelection { message, .. } => {
            format!("no MongoDB server can be used: {}", first_reason(message))
        }
        ErrorKind::ConnectionPoolCleared { message, .. } => {
            format!("connection to MongoDB: {}", first_reason(message))
        }
        ErrorKind::Authentication { message, .. } => format!("MongoDB: {message}"),
        ErrorKind::DnsResolve { message, .. } | ErrorKind::InvalidTlsConfig { message, .. } => {
            format!("MongoDB: {message}")
        }
        ErrorKind::Command(error) => coded("command", error.code, Some(&error.code_name)),
        ErrorKind::Write(WriteFailure::WriteError(error)) => coded("write", error.code, error.code_name.as_deref()),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => {
            coded("write concern", error.code, Some(&error.code_name))
        }
        ErrorKind::InsertMany(InsertManyError { write_concern_error: Some(error), .. }) => {
            coded("write concern", error.code, Some(&error.code_name))
        }
        ErrorKind::InsertMany(error) => match error.write_errors.iter().flatten().next() {
            Some(error) => coded("write", error.code, error.code_name.as_deref()),
            None => "MongoDB refused a write".to_owned(),
        },
        _ => "MongoDB's driver failed".to_owned(),
    }
}

fn coded(what: &str, code: i32, name: Option<&str>) -> String {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("error");
    format!("MongoDB refused a {what}: {name} (code {code})")
}

/// The first error that the driver's description of servers tells, without its labels.
fn first_reason(message: &str) -> &str {
    match message.split_once("Kind: ") {
        Some((_, rest)) => rest.split_once(", labels").map_or(rest, |(reason, _)| reason),
        None if message.contains("Topology: ") => "none has answered yet",
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_servers_error_is_the_reason() {
        let message = "Server selection timeout: No available servers. Topology: { Type: Unknown, Servers: [ { Address: \
                       h:1, Type: Unknown, Error: Kind: I/O error: Connection refused (os error 111), labels: {} } ] }";
        assert_eq!(first_reason(message), "I/O error: Connection refused (os error 111)");
        assert_eq!(first_reason("timeout. Topology: { Address: h:1, Type: Unknown }"), "none has answered yet");
        assert_eq!(first_reason("Server at h:1 reports wire version 8"), "Server at h:1 reports wire version 8");
    }

    #[test]
    fn a_refusal_has_its_code_even_without_a_name() {
        assert_eq!(
            coded("write", 14_031, Some("OutOfDiskSpace")),
            "MongoDB refused a write: OutOfDiskSpace (code 14031)"
        );
        assert_eq!(coded("write", 14_031, None), "MongoDB refused a write: error (code 14031)");
    }
}

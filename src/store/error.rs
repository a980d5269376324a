//! How a store fails.

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Only cases that callers treat differently: try again later, say which key is missing, look at one
/// value, or send the operator to the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The back end is away, full, locked or slow. The text is for the log, never for an answer.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A value is sealed with a key that was not given; key id `plain`: it is readable, and readable
    /// values were not allowed.
    #[error("a value in the store ({place}) is sealed with key {key_id}, which MASTER_KEY does not hold")]
    KeyMissing { place: String, key_id: String },
    /// A stored value cannot be understood: damaged, moved to another row, or written by a newer version.
    #[error("a value in the store ({place}) cannot be read: {reason}")]
    Damaged { place: String, reason: String },
    /// The row is declared elsewhere and is not the store's to change.
    #[error("{what} is declared in CORPS_FILE and is changed there")]
    ReadOnly { what: String },
}

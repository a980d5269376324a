//! How a store fails.

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Two cases, because callers do two things: try again later, or stop and say which key is missing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The back end is away, full, locked or slow. The text is for the log, never for an answer.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A value is sealed with a key that was not given.
    #[error("a value in the store ({place}) is sealed with key {key_id}, which MASTER_KEY does not hold")]
    KeyMissing { place: String, key_id: String },
    /// A stored value cannot be understood: damaged, moved to another row, or written by a newer version.
    #[error("a value in the store ({place}) cannot be read: {reason}")]
    Damaged { place: String, reason: String },
}

//! Secrets that cannot be printed, serialized or compared carelessly.

use std::fmt;
use std::sync::Arc;

use constant_time_eq::constant_time_eq;
use sha2::{Digest as _, Sha256};

/// A value that must never reach a log, an answer or a metric. Cloning shares the text.
#[derive(Clone, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every caller is a place where the secret leaves the process on purpose:
    /// to WeCom, to the caller who owns it, or sealed to the store.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be shown instead of the secret: tells two secrets apart, gives neither away.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&[self.0.as_bytes()])
    }
}

/// Equality in constant time (for equal lengths), so that a comparison tells nothing; a clone is known by its place.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || constant_time_eq(self.0.as_bytes(), other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The first 64 bits of a SHA-256, in hex: enough to tell a company's secrets apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Arc<str>);

impl Fingerprint {
    /// Hashes the parts one after another, each with its length, so that no two lists collide.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut hex = String::with_capacity(16);
        for byte in hash.finalize().iter().take(8) {
            for digit in [byte >> 4, byte & 15] {
                hex.extend(char::from_digit(digit.into(), 16));
            }
        }
        Self(hex.into())
    }

    /// A fingerprint read back from a store or a path.
    pub fn from_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_start_of_a_sha256() {
        // sha256 of eight bytes of length 3 and "abc"
        let mut whole = Sha256::new();
        whole.update([0, 0, 0, 0, 0, 0, 0, 3]);
        whole.update(b"abc");
        let start: String = whole.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Secret::new("abc").fingerprint().as_str(), start);
        assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    }

    #[test]
    fn a_secret_prints_as_stars() {
        assert_eq!(format!("{:?}", Some(Secret::new("hidden"))), "Some(***)");
    }
}

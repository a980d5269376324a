//! What opens callbacks: WeCom's token and AES key.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Fingerprint, Invalid, Secret};

/// WeCom's `EncodingAESKey`: 43 characters that are base64 of the 32 key bytes.
///
/// The 43 characters carry 258 bits; WeCom does not clear the two unused ones, and most published
/// keys fail a strict decoder. They are ignored here.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodingAesKey {
    text: Secret,
    key: [u8; 32],
}

impl EncodingAesKey {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const RULE: Invalid = Invalid("must be the 43 characters of EncodingAESKey as WeCom shows it");
        if text.len() != 43 {
            return Err(RULE);
        }
        let config = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone);
        let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
        let bytes = engine.decode(text).map_err(|_| RULE)?;
        let key = bytes.try_into().map_err(|_| RULE)?;
        Ok(Self { text: Secret::new(text), key })
    }

    /// The 43 characters, for the store.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Debug for EncodingAesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A token and an AES key, which verify and open callbacks together. All bots of a corp have the same, mostly: clones
/// share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    id: Fingerprint,
    token: Secret,
    aes_key: EncodingAesKey,
}

impl Pair {
    pub fn new(token: Secret, aes_key: EncodingAesKey) -> Self {
        let id = Fingerprint::of(&[b"callback", token.expose().as_bytes(), aes_key.text().expose().as_bytes()]);
        Self(Arc::new(Parts { id, token, aes_key }))
    }

    /// Names the pair to operators: the same pair has the same id wherever it comes from.
    pub fn id(&self) -> &Fingerprint {
        &self.0.id
    }

    pub fn token(&self) -> &Secret {
        &self.0.token
    }

    pub fn aes_key(&self) -> &EncodingAesKey {
        &self.0.aes_key
    }
}

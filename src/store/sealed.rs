//! Secrets at rest: seals single values with `MASTER_KEY`, for every store and the shared cache.
//!
//! The one decision a reader would question: a readable value opens only where `plain` is among the
//! keys (or no key is configured at all). Otherwise whoever can write to the database could put a
//! secret of his own in the place of a sealed one.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};

use super::error::{Result, StoreError};
use crate::domain::{Fingerprint, Invalid, Secret};

/// The key id of readable values.
pub const PLAIN: &str = "plain";

const SEALED: &str = "v1.";
/// Goes before a readable value that would otherwise look like one of ours.
const ESCAPED: &str = "v0.";
const KEY_ID_LEN: usize = 16;
const NONCE_LEN: usize = 24;

/// Where a value lies. Sealing binds the value to it, so that it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub table: &'a str,
    pub row: &'a str,
    pub field: &'a str,
}

impl Place<'_> {
    /// Each part with its length, so that no two places are bound alike.
    fn associated_data(&self) -> Vec<u8> {
        let parts = [self.table, self.row, self.field];
        parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes(), part.as_bytes()].concat()).collect()
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} {}", self.field, self.table, self.row)
    }
}

#[derive(Clone)]
enum MasterKey {
    Plain,
    Sealing { id: Fingerprint, cipher: XChaCha20Poly1305 },
}

impl MasterKey {
    fn parse(text: &str) -> Result<Self, Invalid> {
        const RULE: Invalid = Invalid(
            "must be 32 bytes in base64 (openssl rand -base64 32), or several, comma-separated; \
             `plain` stands for readable",
        );
        if text == PLAIN {
            return Ok(Self::Plain);
        }
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let bytes = GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(text).map_err(|_| RULE)?;
        let key: [u8; 32] = bytes.try_into().map_err(|_| RULE)?;
        Ok(Self::Sealing { id: Fingerprint::of(&[b"master key", &key]), cipher: XChaCha20Poly1305::new(&key.into()) })
    }

    fn id(&self) -> &str {
        match self {
            Self::Plain => PLAIN,
            Self::Sealing { id, .. } => id.as_str(),
        }
    }
}

/// The keys of `MASTER_KEY`: the first seals, all open.
#[derive(Clone)]
pub struct MasterKeys {
    first: MasterKey,
    others: Vec<MasterKey>,
}

impl MasterKeys {
    /// Reads the comma-separated list.
    pub fn parse(list: &Secret) -> Result<Self, Invalid> {
        let mut keys = list.expose().split(',').map(|key| MasterKey::parse(key.trim()));
        let first = keys.next().unwrap_or_else(|| MasterKey::parse(""))?;
        Ok(Self { first, others: keys.collect::<Result<_, _>>()? })
    }

    /// No key is configured: values are stored readable.
    pub fn none() -> Self {
        Self { first: MasterKey::Plain, others: Vec::new() }
    }

    /// A new random key, as `MASTER_KEY` takes it.
    pub fn generate() -> Secret {
        let key: [u8; 32] = rand::random();
        Secret::new(base64::engine::general_purpose::STANDARD.encode(key))
    }

    /// The id of the key that seals.
    pub fn sealing_id(&self) -> &str {
        self.first.id()
    }

    pub fn holds(&self, key_id: &str) -> bool {
        self.key(key_id).is_some()
    }

    /// The id of the key that a stored value needs.
    pub fn id_of(stored: &str) -> &str {
        split(stored).map_or(PLAIN, |(key_id, _)| key_id)
    }

    /// The text to store for a secret at this place.
    pub fn seal(&self, place: &Place<'_>, secret: &Secret) -> Result<String> {
        let text = secret.expose();
        let MasterKey::Sealing { id, cipher } = &self.first else {
            let ambiguous = text.starts_with(ESCAPED) || split(text).is_some();
            return Ok(if ambiguous { format!("{ESCAPED}{text}") } else { text.to_owned() });
        };
        let nonce: [u8; NONCE_LEN] = rand::random();
        let payload = Payload { msg: text.as_bytes(), aad: &place.associated_data() };
        let sealed =
            cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| damaged(place, "it is too long to be sealed"))?;
        Ok(format!("{SEALED}{id}.{}", BASE64.encode([&nonce[..], &sealed].concat())))
    }

    /// The secret that is stored at this place.
    pub fn open(&self, place: &Place<'_>, stored: &str) -> Result<Secret> {
        let key_id = Self::id_of(stored);
        let key = self
            .key(key_id)
            .ok_or_else(|| StoreError::KeyMissing { place: place.to_string(), key_id: key_id.to_owned() })?;
        let (MasterKey::Sealing { cipher, .. }, Some((_, body))) = (key, split(stored)) else {
            return Ok(Secret::new(stored.strip_prefix(ESCAPED).unwrap_or(stored)));
        };
        let bytes = BASE64.decode(body).map_err(|_| damaged(place, "it is not base64"))?;
        let (nonce, sealed) = bytes.split_first_chunk().ok_or_else(|| damaged(place, "it is cut short"))?;
        let payload = Payload { msg: sealed, aad: &place.associated_data() };
        let text = cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| damaged(place, "it was changed, or sealed for another row"))?;
        let text = String::from_utf8(text).map_err(|_| damaged(place, "it is no text"))?;
        Ok(Secret::new(text))
    }

    fn key(&self, key_id: &str) -> Option<&MasterKey> {
        std::iter::once(&self.first).chain(&self.others).find(|key| key.id() == key_id)
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = std::iter::once(&self.first).chain(&self.others).map(MasterKey::id);
        f.debug_list().entries(ids).finish()
    }
}

fn damaged(place: &Place<'_>, reason: &str) -> StoreError {
    StoreError::Damaged { place: place.to_string(), reason: reason.to_owned() }
}

/// Key id and body of a sealed value; `None` for a readable one.
fn split(stored: &str) -> Option<(&str, &str)> {
    let (key_id, body) = stored.strip_prefix(SEALED)?.split_once('.')?;
    let is_id = key_id.len() == KEY_ID_LEN && key_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some((key_id, body))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACE: Place<'_> = Place { table: "puppet", row: "wk1", field: "token" };

    fn keys(list: &[&Secret]) -> MasterKeys {
        let list: Vec<_> = list.iter().map(|key| key.expose()).collect();
        MasterKeys::parse(&Secret::new(list.join(","))).unwrap()
    }

    #[test]
    fn opens_what_it_sealed_and_shows_nothing_of_it() {
        let keys = keys(&[&MasterKeys::generate()]);
        let secret = Secret::new("a secret");
        let stored = keys.seal(&PLACE, &secret).unwrap();
        assert!(!stored.contains("secret"));
        assert_eq!(keys.open(&PLACE, &stored), Ok(secret.clone()));
        assert_ne!(keys.seal(&PLACE, &secret).unwrap(), stored, "the nonce is new each time");
    }

    #[test]
    fn a_value_opens_at_its_own_place_only() {
        let keys = keys(&[&MasterKeys::generate()]);
        let stored = keys.seal(&PLACE, &Secret::new("x")).unwrap();
        let elsewhere = [
            Place { table: "corp", ..PLACE },
            Place { row: "wk2", ..PLACE },
            Place { field: "aes_key", ..PLACE },
            Place { table: "puppetw", row: "k1", field: "token" },
        ];
        for place in elsewhere {
            assert!(matches!(keys.open(&place, &stored), Err(StoreError::Damaged { .. })), "{place}");
        }
    }

    #[test]
    fn a_changed_value_is_damaged() {
        let keys = keys(&[&MasterKeys::generate()]);
        let stored = keys.seal(&PLACE, &Secret::new("x")).unwrap();
        let (head, body) = stored.rsplit_once('.').unwrap();
        let mut bytes = BASE64.decode(body).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            let changed = format!("{head}.{}", BASE64.encode(&bytes));
            assert!(matches!(keys.open(&PLACE, &changed), Err(StoreError::Damaged { .. })), "byte {at}");
            bytes[at] ^= 1;
        }
        for short in [format!("{head}."), format!("{head}.AAAA"), format!("{head}.%")] {
            assert!(matches!(keys.open(&PLACE, &short), Err(StoreError::Damaged { .. })));
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, new) = (MasterKeys::generate(), MasterKeys::generate());
        let stored = keys(&[&old]).seal(&PLACE, &Secret::new("x")).unwrap();
        let both = keys(&[&new, &old]);
        assert_eq!(both.open(&PLACE, &stored), Ok(Secret::new("x")));
        assert_eq!(both.sealing_id(), keys(&[&new]).sealing_id());
        let missing =
            StoreError::KeyMissing { place: "token of puppet wk1".into(), key_id: keys(&[&old]).sealing_id().into() };
        assert_eq!(keys(&[&new]).open(&PLACE, &stored), Err(missing));
    }

    #[test]
    fn a_readable_value_needs_plain() {
        let key = MasterKeys::generate();
        let plain = Secret::new(PLAIN);
        let stored = MasterKeys::none().seal(&PLACE, &Secret::new("x")).unwrap();
        assert_eq!(stored, "x");
        let missing = StoreError::KeyMissing { place: "token of puppet wk1".into(), key_id: PLAIN.into() };
        assert_eq!(keys(&[&key]).open(&PLACE, &stored), Err(missing));
        assert_eq!(keys(&[&key, &plain]).open(&PLACE, &stored), Ok(Secret::new("x")));
        assert_eq!(keys(&[&plain, &key]).seal(&PLACE, &Secret::new("x")).unwrap(), "x");
    }

    #[test]
    fn a_wrong_list_is_refused() {
        for list in ["", "abc", "plain,", "cGxhaW4=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="] {
            assert!(MasterKeys::parse(&Secret::new(list)).is_err(), "{list}");
        }
        let spaced = format!(" {} , plain\n", MasterKeys::generate().expose());
        assert!(MasterKeys::parse(&Secret::new(spaced)).is_ok());
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "(v0\\.|v1\\.|v1\\.0123456789abcdef\\.)?.{0,80}") {
            let secret = Secret::new(text);
            for keys in [MasterKeys::none(), keys(&[&MasterKeys::generate()])] {
                let stored = keys.seal(&PLACE, &secret).unwrap();
                prop_assert_eq!(keys.open(&PLACE, &stored), Ok(secret.clone()));
            }
        }

        #[test]
        fn no_stored_text_panics(text in "(v1\\.[0-9a-f]{16}\\.)?.{0,80}") {
            let _ = keys(&[&MasterKeys::generate()]).open(&PLACE, &text);
        }
    }
}

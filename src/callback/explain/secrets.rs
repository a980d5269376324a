//! The faults that tokens and AES keys have when they are typed or pasted.

use super::Typed;
use super::cause::{Cause, Flaw};
use crate::domain::EncodingAesKey;

/// What people, shells and files put around a secret.
const AROUND: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];

/// A credential whose AES key is one.
pub(super) struct Opener<'a> {
    pub(super) typed: Typed<'a>,
    pub(super) key: [u8; 32],
}

pub(super) fn openers<'a>(credentials: &[Typed<'a>]) -> Result<Vec<Opener<'a>>, Cause> {
    let opener = |typed: &Typed<'a>| match EncodingAesKey::parse(typed.aes_key) {
        Ok(key) => Ok(Opener { typed: *typed, key: *key.key() }),
        Err(_) if EncodingAesKey::parse(clean(typed.token)).is_ok() => Err(Cause::Swapped),
        Err(_) => Err(Cause::AesKeyFlaw(key_flaw(typed.aes_key))),
    };
    credentials.iter().map(opener).collect()
}

/// What is around a token or in it that WeCom's tokens never have; with the token as it may be meant.
pub(super) fn token_flaw(token: &str) -> Option<(Flaw, &str)> {
    let flaw = flaw_of_any(token)?;
    Some((flaw, clean(token)))
}

fn key_flaw(key: &str) -> Flaw {
    match flaw_of_any(key) {
        Some(flaw) => flaw,
        None if key.ends_with('=') => Flaw::Equals,
        None if key.chars().count() != 43 => Flaw::Length(key.chars().count()),
        None => Flaw::Characters,
    }
}

fn flaw_of_any(secret: &str) -> Option<Flaw> {
    match secret {
        "" => Some(Flaw::Empty),
        _ if secret.contains(char::is_whitespace) => Some(Flaw::Spaces),
        _ if secret.starts_with(AROUND) || secret.ends_with(AROUND) => Some(Flaw::Quotes),
        _ => None,
    }
}

fn clean(secret: &str) -> &str {
    secret.trim_matches(|character: char| character.is_whitespace() || AROUND.contains(&character))
}

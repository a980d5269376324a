//! The changes that proxies, logs and people are known to make to a callback, each undone.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::cause::{Cause, ParameterFault, Place, TextFault};
use crate::callback::crypto;

/// Digits of a signature that may differ while it is still the same one, mistyped. Of two unrelated
/// ones some 37 of 40 differ.
const MISTYPED: usize = 12;
/// Shorter pieces of a signature may be anybody's.
const SHORTEST_PIECE: usize = 8;

/// The four strings that make a signature.
#[derive(Clone)]
pub(super) struct Reading<'a> {
    pub(super) signature: Cow<'a, str>,
    pub(super) timestamp: Cow<'a, str>,
    pub(super) nonce: Cow<'a, str>,
    pub(super) encrypted: Cow<'a, str>,
}

impl Reading<'_> {
    pub(super) fn is_signed_with(&self, token: &str) -> bool {
        crypto::verify(&self.signature, token, &self.timestamp, &self.nonce, &self.encrypted)
    }
}

/// Each reading with one change undone, and what that change is.
pub(super) fn undone<'a>(reading: &Reading<'a>, place: Place) -> Vec<(Cause, Reading<'a>)> {
    let mut all: Vec<_> = of_everything(reading, place).into_iter().collect();
    all.extend(of_parameters(reading));
    all.extend(of_text(reading, place));
    all
}

/// Decoded once more, whole: a proxy encodes all or nothing.
fn of_everything<'a>(reading: &Reading<'a>, place: Place) -> Option<(Cause, Reading<'a>)> {
    let decoded = Reading {
        signature: decoded(&reading.signature),
        timestamp: decoded(&reading.timestamp),
        nonce: decoded(&reading.nonce),
        encrypted: match place {
            Place::Echostr => decoded(&reading.encrypted),
            Place::Encrypt => reading.encrypted.clone(),
        },
    };
    let cause = if decoded.encrypted != reading.encrypted {
        Cause::Text(place, TextFault::EncodedTwice)
    } else if decoded.nonce != reading.nonce {
        Cause::Parameter("nonce", ParameterFault::EncodedTwice)
    } else if decoded.timestamp != reading.timestamp {
        Cause::Parameter("timestamp", ParameterFault::EncodedTwice)
    } else if decoded.signature != reading.signature {
        Cause::Parameter("msg_signature", ParameterFault::EncodedTwice)
    } else {
        return None;
    };
    Some((cause, decoded))
}

fn of_parameters<'a>(reading: &Reading<'a>) -> Vec<(Cause, Reading<'a>)> {
    let mut all = Vec::new();
    let bare = |text: &str| -> Cow<'a, str> {
        text.trim_matches([' ', '\t', '\r', '\n', '"', '\'', ',', ';']).to_owned().into()
    };
    let mut add = |name, fault, changed: Reading<'a>| all.push((Cause::Parameter(name, fault), changed));
    let upper = reading.signature.to_ascii_lowercase();
    add("msg_signature", ParameterFault::Uppercase, Reading { signature: upper.into(), ..reading.clone() });
    for (name, text) in
        [("msg_signature", &reading.signature), ("timestamp", &reading.timestamp), ("nonce", &reading.nonce)]
    {
        if bare(text) != **text {
            add(name, ParameterFault::Padded, with(reading, name, bare(text)));
        }
    }
    // Milliseconds, as most languages have them.
    if let Some(seconds) = reading.timestamp.get(..10).filter(|_| reading.timestamp.len() > 10) {
        add("timestamp", ParameterFault::Altered, with(reading, "timestamp", seconds.to_owned().into()));
    }
    if reading.nonce.contains(' ') {
        add("nonce", ParameterFault::PlusBecameSpace, with(reading, "nonce", reading.nonce.replace(' ', "+").into()));
    }
    let encoded: String = form_urlencoded::byte_serialize(reading.nonce.as_bytes()).collect();
    if encoded != reading.nonce {
        add("nonce", ParameterFault::DecodedTwice, with(reading, "nonce", encoded.into()));
    }
    all
}

fn with<'a>(reading: &Reading<'a>, name: &str, value: Cow<'a, str>) -> Reading<'a> {
    let mut changed = reading.clone();
    match name {
        "msg_signature" => changed.signature = value,
        "timestamp" => changed.timestamp = value,
        _ => changed.nonce = value,
    }
    changed
}

fn of_text<'a>(reading: &Reading<'a>, place: Place) -> Vec<(Cause, Reading<'a>)> {
    let text = &*reading.encrypted;
    let dense: String = text.split_whitespace().collect();
    let standard = text.replace('-', "+").replace('_', "/");
    let padded = format!("{text}{}", ["", "", "==", "="][text.len() % 4]);
    let unescaped = text.replace("\\/", "/").replace("\\n", "").replace("&#43;", "+").replace("&#x2B;", "+");
    let tries = [
        (TextFault::PlusBecameSpace, text.replace(' ', "+")),
        (TextFault::EncodedTwice, decoded(text).into_owned()),
        (TextFault::EncodedTwice, decoded(&decoded(text)).into_owned()),
        (TextFault::Respelled, dense),
        (TextFault::Respelled, standard.clone()),
        (TextFault::Respelled, format!("{standard}{}", ["", "", "==", "="][standard.len() % 4])),
        (TextFault::Respelled, padded),
        (TextFault::Respelled, unescaped),
    ];
    let changed = tries.into_iter().filter(|(_, tried)| tried != text);
    let reading = |encrypted: String| Reading { encrypted: encrypted.into(), ..reading.clone() };
    changed.map(|(fault, tried)| (Cause::Text(place, fault), reading(tried))).collect()
}

/// A signature that is this token's, cut or mistyped.
pub(super) fn of_signature(reading: &Reading<'_>, token: &str) -> Option<Cause> {
    let right = crypto::signature(token, &reading.timestamp, &reading.nonce, &reading.encrypted);
    let given = reading.signature.as_bytes();
    let is_piece = |given: &[u8]| right.windows(given.len()).any(|piece| piece == given);
    let fault = match given.len() {
        40 if right.iter().zip(given).filter(|(right, given)| right != given).count() <= MISTYPED => {
            ParameterFault::Altered
        }
        SHORTEST_PIECE..40 if is_piece(given) => ParameterFault::Cut,
        41.. if given.windows(40).any(|piece| piece == right) => ParameterFault::Altered,
        _ => return None,
    };
    Some(Cause::Parameter("msg_signature", fault))
}

/// A parameter that cannot have come from WeCom, whatever the token.
pub(super) fn malformed(reading: &Reading<'_>) -> Option<Cause> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if reading.signature.len() != 40 || !reading.signature.bytes().all(is_hex) {
        return Some(Cause::Parameter("msg_signature", ParameterFault::Malformed));
    }
    // From 2001 to 2286.
    let is_time = reading.timestamp.len() == 10 && reading.timestamp.bytes().all(|byte| byte.is_ascii_digit());
    (!is_time).then_some(Cause::Parameter("timestamp", ParameterFault::Malformed))
}

fn decoded<'a>(text: &str) -> Cow<'a, str> {
    percent_decode_str(text).decode_utf8_lossy().into_owned().into()
}

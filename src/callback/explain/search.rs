//! A timestamp or a nonce that was changed a little: the right one is looked for nearby. Only asked
//! when the AES key opens the text, so that nobody can have it done without a text of the corp's.

use std::ops::RangeInclusive;

use super::change::Reading;
use crate::callback::crypto;

/// Seconds to either side: a program that sets the time anew is off by little.
const SECONDS: RangeInclusive<i64> = -600..=600;
/// WeCom's nonces have some ten characters.
const LONGEST: usize = 24;

/// Which of the two was changed, if the right one is found.
pub(super) fn changed_parameter(reading: &Reading<'_>, token: &str) -> Option<&'static str> {
    let fits =
        |timestamp: &str, nonce: &str| crypto::verify(&reading.signature, token, timestamp, nonce, &reading.encrypted);
    let (timestamp, nonce) = (&*reading.timestamp, &*reading.nonce);
    if let Ok(seconds) = timestamp.parse::<i64>() {
        let mut near = SECONDS.map(|by| seconds.saturating_add(by).to_string());
        if near.any(|tried| fits(&tried, nonce)) {
            return Some("timestamp");
        }
    }
    if mistyped(timestamp, b"0123456789").iter().any(|tried| fits(tried, nonce)) {
        return Some("timestamp");
    }
    let alphabet: Vec<u8> = (b'0'..=b'9').chain(b'a'..=b'z').chain(b'A'..=b'Z').collect();
    mistyped(nonce, &alphabet).iter().any(|tried| fits(timestamp, tried)).then_some("nonce")
}

/// The text with one character changed, one left out, or one more.
fn mistyped(text: &str, alphabet: &[u8]) -> Vec<String> {
    if !text.is_ascii() || text.len() > LONGEST {
        return Vec::new();
    }
    let mut all = Vec::new();
    for at in 0..=text.len() {
        let (before, after) = text.split_at(at);
        let rest = after.get(1..);
        all.extend(rest.map(|rest| format!("{before}{rest}")));
        for character in alphabet.iter().copied().map(char::from) {
            all.push(format!("{before}{character}{after}"));
            all.extend(rest.map(|rest| format!("{before}{character}{rest}")));
        }
    }
    all
}

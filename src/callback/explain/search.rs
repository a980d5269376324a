//! A timestamp or a nonce that was changed a little: the right one is looked for nearby. Only asked
//! when the AES key opens the text, so that nobody can have it done without a text of the corp's.

use super::Effort;
use super::change::Reading;
use crate::callback::crypto;
use crate::callback::xml;

/// WeCom's nonces have some ten characters.
const LONGEST: usize = 24;
/// WeCom stamps a message seconds after it was created.
const AFTER_CREATION: i64 = 600;

pub(super) struct Search<'s> {
    pub(super) reading: &'s Reading<'s>,
    pub(super) token: &'s str,
    pub(super) effort: Effort,
}

impl Search<'_> {
    /// Which of the two was changed, if the right one is found.
    pub(super) fn changed_parameter(&self, message: &[u8]) -> Option<&'static str> {
        let (timestamp, nonce) = (&*self.reading.timestamp, &*self.reading.nonce);
        let far = match self.effort {
            Effort::Small => 600,
            Effort::Thorough => 24 * 3600,
        };
        let near = |seconds: Option<i64>, far| seconds.is_some_and(|seconds| self.is_signed_near(seconds, far));
        let is_changed = near(timestamp.parse().ok(), far) || near(created_at(message), AFTER_CREATION);
        if is_changed || mistyped(timestamp, b"0123456789").iter().any(|tried| self.fits(tried, nonce)) {
            return Some("timestamp");
        }
        let alphabet: Vec<u8> = (b'0'..=b'9').chain(b'a'..=b'z').chain(b'A'..=b'Z').collect();
        mistyped(nonce, &alphabet).iter().any(|tried| self.fits(timestamp, tried)).then_some("nonce")
    }

    fn is_signed_near(&self, seconds: i64, far: i64) -> bool {
        (-far..=far).any(|by| self.fits(&seconds.saturating_add(by).to_string(), &self.reading.nonce))
    }

    fn fits(&self, timestamp: &str, nonce: &str) -> bool {
        crypto::verify(&self.reading.signature, self.token, timestamp, nonce, &self.reading.encrypted)
    }
}

fn created_at(message: &[u8]) -> Option<i64> {
    let [created] = xml::read(message, ["CreateTime"]).ok()?.texts;
    created?.trim().parse().ok()
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

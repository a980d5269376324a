//! Access tokens that came before an app's latest, by their hashes: bots may hold one for a while.

use jiff::Timestamp;

use crate::domain::Fingerprint;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    pub token: Fingerprint,
    /// How long it is known whose it was.
    pub until: Timestamp,
}

/// As one column or field: `hash until` of each, in milliseconds since 1970.
pub(super) fn to_text(tokens: &[Superseded]) -> String {
    let one = |Superseded { token, until }: &Superseded| format!("{token} {}", until.as_millisecond());
    tokens.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// What is none is left out: without it the latest token is of use all the same.
pub(super) fn from_text(text: &str) -> Vec<Superseded> {
    let words: Vec<&str> = text.split(' ').collect();
    let one = |pair: &[&str]| {
        let until = Timestamp::from_millisecond(pair.get(1)?.parse().ok()?).ok()?;
        Some(Superseded { token: Fingerprint::from_text(pair.first()?.to_owned()), until })
    };
    words.chunks(2).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    #[test]
    fn all_come_back_and_what_is_none_is_left_out() {
        let one = |text: &str, second| Superseded {
            token: Secret::new(text).fingerprint(),
            until: Timestamp::from_second(second).unwrap(),
        };
        for tokens in [vec![], vec![one("a", 1)], vec![one("a", 1), one("b", 2)]] {
            assert_eq!(from_text(&to_text(&tokens)), tokens);
        }
        assert_eq!(from_text("aa soon bb 1000 cc"), from_text("bb 1000"));
    }
}

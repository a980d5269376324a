//! Times as people say them: "3 s ago", "in 12 min". The element carries the time itself, for the title
//! and for the script that counts on.

use jiff::Timestamp;

use super::text::Words;

/// A unit with its length in seconds, the largest first.
const UNITS: [i64; 3] = [86_400, 3_600, 60];

/// What a distance is, in words.
pub(super) fn distance(t: &Words, at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    let (number, unit) = match UNITS.iter().position(|&unit| seconds.abs() >= unit) {
        Some(unit) => (seconds.abs() / UNITS[unit], unit),
        None => (seconds.abs(), UNITS.len()),
    };
    let patterns = if seconds >= 0 { &t.ago } else { &t.ahead };
    patterns[unit].replace("{}", &number.to_string())
}

/// A `time` element. What is no time is shown as it is; it comes from our own API, so that it needs no
/// escaping.
pub(super) fn element(t: &Words, at: &str, now: Timestamp) -> String {
    let Ok(moment) = at.parse::<Timestamp>() else { return String::new() };
    let text = distance(t, moment, now);
    let shown = moment.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!(r#"<time datetime="{moment}" title="{shown}" data-ago>{text}</time>"#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::text::Language;

    #[test]
    fn says_the_largest_whole_unit_in_both_directions() {
        let say = |language: Language, at| {
            let moment = Timestamp::from_second(at).unwrap();
            distance(language.words(), moment, Timestamp::from_second(1_000_000).unwrap())
        };
        assert_eq!(say(Language::English, 1_000_000 - 3), "3 s ago");
        assert_eq!(say(Language::English, 1_000_000 - 61), "1 min ago");
        assert_eq!(say(Language::English, 1_000_000 - 7_300), "2 h ago");
        assert_eq!(say(Language::English, 1_000_000 - 200_000), "2 d ago");
        assert_eq!(say(Language::English, 1_000_000 + 90), "in 1 min");
        assert_eq!(say(Language::Chinese, 1_000_000 - 3), "3 秒前");
    }
}

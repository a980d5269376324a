//! How a call ended that has no answer, in words for operators that hold no URL.

use super::causes;

/// Why `whom` did not answer. The outermost text names the URL, whose query is nobody's business; the
/// innermost one says why.
pub fn fault_in_words(error: &reqwest::Error, whom: &str) -> String {
    let reason = causes(error).last().map(ToString::to_string).unwrap_or_default();
    words(&reason, error.is_connect(), error.is_timeout(), whom)
}

pub(super) fn words(reason: &str, is_connect: bool, is_timeout: bool, whom: &str) -> String {
    match (is_connect, is_timeout) {
        (true, true) => "no connection in time".to_owned(),
        (true, false) => format!("no connection: {reason}"),
        (false, true) => format!("{whom} did not answer in time"),
        (false, false) => format!("{whom} broke off: {reason}"),
    }
}

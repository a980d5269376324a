//! How a call of a bot or a service ended, in words for operators that hold no URL.

use std::error::Error;
use std::time::Duration;

use reqwest::{Response, StatusCode};

use super::{Denied, causes};

/// The status of an answer whose body says nothing that is needed. A connection with more to read is
/// dropped instead of drained.
pub async fn status_of(mut response: Response) -> StatusCode {
    const READ: usize = 16 * 1024;
    let mut read = 0;
    while read < READ
        && let Ok(Ok(Some(chunk))) = tokio::time::timeout(Duration::from_millis(100), response.chunk()).await
    {
        read += chunk.len();
    }
    response.status()
}

/// Why the name of the other side gave no address, when `DISPATCH_DENY_NETWORKS` forbids them all.
pub fn denied(error: &reqwest::Error) -> Option<&Denied> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// Why `whom` did not answer. The outermost text names the URL, whose query is nobody's business; the
/// innermost one says why.
pub fn fault_in_words(error: &reqwest::Error, whom: &str) -> String {
    let mut reason: &dyn Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => "no connection in time".to_owned(),
        (true, false) => format!("no connection: {reason}"),
        (false, true) => format!("{whom} did not answer in time"),
        (false, false) => format!("{whom} broke off: {reason}"),
    }
}

//! What an answer to a URL verification means: the right text, or the likeliest cause of another one.
//!
//! The gateway's own refusals are told from those of an ingress by their words.

use super::ask::Answer;

/// What is wrong, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub seen: String,
    pub advice: &'static str,
}

/// Compares the answer with the plaintext, to the byte, as WeCom does.
pub(super) fn judge(answer: &Result<Answer, String>, expected: &str) -> Result<(), Fault> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return Err(Fault { seen: fault.clone(), advice: unreached(fault) }),
    };
    let seen = || format!("{} and {:?}", answer.status, answer.excerpt());
    let body = String::from_utf8_lossy(&answer.body);
    match answer.status.as_u16() {
        200 if body == expected => Ok(()),
        200 if body.contains(expected) => Err(Fault {
            seen: seen(),
            advice: "something on the way changes the answer (a rewriting proxy): switch it off, every byte counts",
        }),
        200 => Err(Fault {
            seen: seen(),
            advice: "something else answers at this address: route /callback/ to the gateway",
        }),
        300..=399 => Err(Fault {
            seen: format!("{} to {}", answer.status, answer.header("location").unwrap_or_default()),
            advice: "WeCom follows no redirect: give PUBLIC_URL its final address (https, host, path)",
        }),
        status => Err(Fault { seen: seen(), advice: refused(status, body.trim()) }),
    }
}

fn unreached(fault: &str) -> &'static str {
    match fault {
        "its name does not resolve" => "make the DNS entry of PUBLIC_URL's host, or mend PUBLIC_URL",
        "connection refused" => {
            "nothing listens there: start what stands before the gateway, or mend PUBLIC_URL's port"
        }
        fault if fault.contains("TLS") => {
            "its certificate must be valid, for this host and with all intermediate ones: WeCom checks it too"
        }
        "timed out" => {
            "open the firewall on the way to it; from inside of a network its public address may not be reached"
        }
        _ => "see what stands before the gateway, and its log",
    }
}

/// The words are those of `callback::routes`.
fn refused(status: u16, body: &str) -> &'static str {
    match (status, body) {
        (404, "unknown corp") => {
            "the gateway that answers does not know the corp: it has another store or CORPS_FILE than is named here"
        }
        (404, _) => "an ingress before the gateway does not route it: send /callback/ on, with the path as it is",
        (400, body) if body.starts_with("query incomplete") => {
            "a proxy on the way drops or repeats the query string: forward it as it is"
        }
        (400 | 403, "wrong signature" | "wrong receive id" | "not base64 or not decryptable") => {
            "the gateway that answers has other credentials for the corp (another store), or a proxy alters the query \
             (a decoded %2B or %3D)"
        }
        (401 | 403 | 407, _) => {
            "something before the gateway asks for a login or forbids it: let /callback/ through to everybody"
        }
        (405, _) => "something before the gateway forbids GET: allow GET and POST",
        (503, "try again") => "the gateway cannot look the corp up: mend its store",
        (502..=504, _) => "what stands before the gateway does not reach it: mend its upstream address and port",
        _ => "see the log of what stands before the gateway, and the gateway's own",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Result<Answer, String> {
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Answer { status, headers: HeaderMap::new(), body: body.into(), took: Duration::ZERO })
    }

    #[test]
    fn only_the_very_text_is_right() {
        assert_eq!(judge(&answer(200, "text"), "text"), Ok(()));
        for other in ["text\n", "\"text\"", "<html>welcome</html>", ""] {
            assert!(judge(&answer(200, other), "text").is_err(), "{other:?}");
        }
    }

    #[test]
    fn the_gateways_refusals_are_told_from_an_ingresss() {
        let advice = |status, body| judge(&answer(status, body), "text").unwrap_err().advice;
        assert_ne!(advice(404, "unknown corp"), advice(404, "<h1>404 Not Found</h1>"));
        assert_ne!(advice(403, "wrong signature"), advice(403, "Forbidden"));
        assert_ne!(advice(503, "try again"), advice(503, "no healthy upstream"));
    }
}

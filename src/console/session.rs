//! Who is signed in: a cookie that every replica with the same `ADMIN_TOKEN` believes.
//!
//! The one decision a reader would question: a session is kept nowhere. The cookie says when it ends, with
//! an HMAC by a key derived from the token that opened it. So replicas need nothing in common but the
//! token, and withdrawing a token ends its sessions; but signing out only makes this browser forget, and
//! whoever copied a cookie before may use it until it ends.
//!
//! `Secure` follows the browser, not `PUBLIC_URL`: that is the address WeCom calls, and a console reached by a
//! forwarded port on plain http would otherwise never keep its cookie. No `Path` is set, because nobody
//! tells the gateway its path prefix: the browser takes the folder of the page that set it.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use super::origin::{self, Origin};
use super::shell::{self, Shell, Way};
use crate::domain::{Actor, Clock, Secret};
use crate::http::auth::{Door, Keyring};

const COOKIE: &str = "wxkf_console";
/// A working day.
const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
const PURPOSE: &[u8] = b"wxkf-gateway console session 1";

/// Opens and checks sessions.
#[derive(Debug, Clone)]
pub struct Sessions {
    pub(super) door: Door,
    clock: Clock,
}

impl Sessions {
    pub fn new(door: Door, clock: Clock) -> Self {
        Self { door, clock }
    }

    /// `Set-Cookie` for whoever showed this token.
    pub(super) fn begin(&self, token: &str, headers: &HeaderMap) -> HeaderValue {
        let ends = (self.clock.now() + LIFE).as_second();
        cookie(&seal(&Secret::new(token), ends), LIFE.as_secs(), headers)
    }

    /// `Set-Cookie` that makes the browser forget.
    pub(super) fn end(headers: &HeaderMap) -> HeaderValue {
        cookie("", 0, headers)
    }

    pub(super) fn is_signed_in(&self, headers: &HeaderMap) -> bool {
        let now = self.clock.now();
        // Of several gateways at one host there may be several.
        shell::cookies(headers, COOKIE).any(|value| holds(self.door.keys(), value, now))
    }
}

fn cookie(value: &str, seconds: u64, headers: &HeaderMap) -> HeaderValue {
    let secure = if origin::is_https(headers) { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn mac(token: &Secret, ends: i64) -> Option<Hmac<Sha256>> {
    let mut key = Hmac::<Sha256>::new_from_slice(token.expose().as_bytes()).ok()?;
    key.update(PURPOSE);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.finalize().into_bytes()).ok()?;
    mac.update(&ends.to_be_bytes());
    Some(mac)
}

fn seal(token: &Secret, ends: i64) -> String {
    let mac = mac(token, ends).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    format!("{ends}.{}", mac.unwrap_or_default())
}

/// Whether one of the keys made it, and it lasts.
fn holds(keys: &Keyring, value: &str, now: Timestamp) -> bool {
    let Some((ends, given)) = value.split_once('.') else { return false };
    let (Ok(ends), Ok(given)) = (ends.parse::<i64>(), URL_SAFE_NO_PAD.decode(given)) else { return false };
    let made = |key: &Secret| mac(key, ends).is_some_and(|mac| mac.verify_slice(&given).is_ok());
    ends > now.as_second() && keys.iter().fold(false, |holds, key| holds | made(key))
}

/// Without `ADMIN_TOKEN` there is no console.
pub async fn require_token(State(sessions): State<Sessions>, request: Request, next: Next) -> Response {
    if sessions.door.keys().is_empty() {
        return StatusCode::NOT_FOUND.into_response();
    }
    if !request.method().is_safe() && Origin::of(request.headers()) == Origin::Foreign {
        return shell::refuse(&request, |text| text.foreign_page);
    }
    next.run(request).await
}

/// Lets those in who are signed in; others are shown where they can.
pub async fn require_session(State(sessions): State<Sessions>, mut request: Request, next: Next) -> Response {
    if !sessions.is_signed_in(request.headers()) {
        let way = Way::of(request.uri());
        return Shell::see_other(&format!("{}console/sign-in?next={}", way.up, way.below));
    }
    if !request.method().is_safe() && Origin::of(request.headers()) != Origin::Ours {
        return shell::refuse(&request, |text| text.foreign_page);
    }
    request.extensions_mut().insert(Actor::Admin);
    next.run(request).await
}

/// `Set-Cookie` for a choice that is no secret.
pub(super) fn choice(name: &str, value: &str) -> (header::HeaderName, HeaderValue) {
    let text = format!("{name}={value}; Max-Age=31536000; SameSite=Strict");
    (header::SET_COOKIE, HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ring(tokens: &[&str]) -> Keyring {
        Keyring::new(tokens.iter().map(|token| Secret::new(*token)))
    }

    #[test]
    fn a_session_lasts_as_long_as_its_token_and_its_time() {
        let value = seal(&Secret::new("old"), 1_000);
        assert!(holds(&ring(&["old"]), &value, at(999)));
        assert!(holds(&ring(&["new", "old"]), &value, at(999)), "while the token is being replaced");
        assert!(!holds(&ring(&["new"]), &value, at(999)), "the token was withdrawn");
        assert!(!holds(&ring(&["old"]), &value, at(1_000)), "it is over");
        assert!(!holds(&ring(&[]), &value, at(999)));
    }

    #[test]
    fn nothing_else_is_a_session() {
        let value = seal(&Secret::new("old"), 1_000);
        let mac = value.split_once('.').unwrap().1;
        let later = format!("2000.{mac}");
        for wrong in ["", ".", "1000", "1000.", "1000.AAAA", "x.y", &later, &value[..value.len() - 1], "old"] {
            assert!(!holds(&ring(&["old"]), wrong, at(10)), "{wrong}");
        }
    }

    #[test]
    fn the_cookie_is_for_this_browser_and_no_script() {
        let plain = cookie("v", 60, &HeaderMap::new());
        assert_eq!(plain, "wxkf_console=v; Max-Age=60; HttpOnly; SameSite=Strict");
        let https = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("https://c.example.com"))]);
        assert_eq!(cookie("", 0, &https), "wxkf_console=; Max-Age=0; HttpOnly; SameSite=Strict; Secure");
    }
}

//! What the tests of the load generator share.

use std::time::Duration;

use super::{Length, LoadOptions, Pace, Registration, Shares};
use crate::domain::{EncodingAesKey, Secret};

/// A short run against nobody.
pub(super) fn options(corps: usize, accounts: usize) -> LoadOptions {
    LoadOptions {
        gateways: vec!["http://127.0.0.1:1".parse().unwrap()],
        registration: Registration::None,
        name: "load".to_owned(),
        corps,
        accounts,
        token: Secret::new("QDG6eK"),
        aes_key: EncodingAesKey::parse("jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C").unwrap(),
        pace: Pace::Callers(4),
        length: Length::Callbacks(50),
        bots: Shares::ALL_UP,
        listen: "127.0.0.1:0".parse().unwrap(),
        host: None,
        spell: None,
        slow: Duration::from_millis(1),
        repeats: 0,
        connections: 16,
        pause: Duration::ZERO,
        settle: Duration::from_secs(30),
    }
}

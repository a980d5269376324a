//! The corps, their accounts and the bots behind them: names, callbacks, and a place to remember.

use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;

use super::ledger::Ledger;
use super::{Condition, LoadOptions};
use crate::callback::crypto;
use crate::callback::envelope::{Envelope, Message};
use crate::callback::query::SignedQuery;
use crate::domain::{EncodingAesKey, Secret};
use crate::simulator::wecom::{Credential, EventFields, inner_xml};

/// The app's secret in every corp.
pub(super) const SECRET: &str = "the-secret-of-every-simulated-app";

/// How far a bot has come since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    Ready,
    /// It listens, and its registration is on its way.
    Starting,
    /// It registered and cannot take a poke yet.
    Registered,
}

/// One account and its bot.
#[derive(Debug)]
pub(super) struct Member {
    pub condition: Condition,
    stage: AtomicU8,
    pub ledger: Mutex<Ledger>,
}

impl Member {
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Ready,
            1 => Stage::Starting,
            _ => Stage::Registered,
        }
    }

    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }
}

/// Everybody.
#[derive(Debug)]
pub(super) struct Crowd {
    /// Tells this run's events from those that an earlier run left behind.
    run: u32,
    name: String,
    corps: Box<[Credential]>,
    members: Box<[Member]>,
}

/// The event that a poke is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub account: usize,
    pub sequence: u32,
}

/// What a poke turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Poke {
    News(Named),
    /// It carries no sync token, or none of this run.
    Anonymous,
    /// No bot could read it.
    Unreadable,
}

impl Crowd {
    pub fn new(options: &LoadOptions) -> Self {
        let credential = |token: &Secret, aes_key: &EncodingAesKey, corp| Credential {
            token: token.clone(),
            aes_key: aes_key.clone(),
            receive_id: format!("ww_{}_{corp}", options.name),
        };
        let member = |index| Member {
            condition: options.bots.of(index),
            stage: AtomicU8::new(Stage::Ready as u8),
            ledger: Mutex::default(),
        };
        Self {
            run: rand::random(),
            name: options.name.clone(),
            corps: (0..options.corps.max(1)).map(|corp| credential(&options.token, &options.aes_key, corp)).collect(),
            members: (0..options.accounts.max(1)).map(member).collect(),
        }
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn member(&self, account: usize) -> Option<&Member> {
        self.members.get(account)
    }

    pub fn members(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.members.iter().enumerate()
    }

    pub fn corps(&self) -> &[Credential] {
        &self.corps
    }

    /// The corp that the account belongs to; its id is the receive id.
    pub fn corp_of(&self, account: usize) -> &Credential {
        &self.corps[account % self.corps.len()]
    }

    pub fn open_kf_id(&self, account: usize) -> String {
        format!("wk_{}_{account}", self.name)
    }

    /// The inner XML of an account's callback.
    pub fn event(&self, named: Named, create_time: i64) -> String {
        let Named { account, sequence } = named;
        let token = format!("ENC-load-{:08x}-{account}-{sequence}", self.run);
        let fields = EventFields {
            corp: &self.corp_of(account).receive_id,
            open_kf_id: &self.open_kf_id(account),
            token: &token,
            create_time,
            ..EventFields::default()
        };
        inner_xml("kf_msg_or_event", &fields)
    }

    /// Reads `{"token","openKfId"}`, what a bot gets at `/callback/decrypted`.
    pub fn read_decrypted(&self, body: &[u8]) -> Poke {
        let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(body) else { return Poke::Unreadable };
        if !fields.contains_key("openKfId") {
            return Poke::Unreadable;
        }
        self.poke(fields.get("token").and_then(|token| token.as_str()))
    }

    /// Reads a raw callback as its bot does: signature, envelope, inner XML.
    pub fn read_raw(&self, account: usize, query: &str, body: &[u8]) -> Poke {
        let corp = self.corp_of(account);
        let (Ok(query), Ok(envelope)) = (SignedQuery::parse(query), Envelope::parse(body)) else {
            return Poke::Unreadable;
        };
        let SignedQuery { msg_signature, timestamp, nonce, .. } = query;
        if !crypto::verify(&msg_signature, corp.token.expose(), &timestamp, &nonce, &envelope.encrypted) {
            return Poke::Unreadable;
        }
        let Ok(opened) = crypto::decrypt(corp.aes_key.key(), &envelope.encrypted) else { return Poke::Unreadable };
        match Message::parse(&opened.message) {
            Ok(message) => self.poke(message.token.as_deref()),
            Err(_) => Poke::Unreadable,
        }
    }

    fn poke(&self, token: Option<&str>) -> Poke {
        token.and_then(|token| self.named(token)).map_or(Poke::Anonymous, Poke::News)
    }

    fn named(&self, token: &str) -> Option<Named> {
        let mut parts = token.strip_prefix("ENC-load-")?.split('-');
        let run = u32::from_str_radix(parts.next()?, 16).ok()?;
        let named = Named { account: parts.next()?.parse().ok()?, sequence: parts.next()?.parse().ok()? };
        (run == self.run).then_some(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::load::testkit::options;
    use crate::simulator::wecom::signed_callback;

    #[test]
    fn a_poke_names_its_event_in_either_form() {
        let crowd = Crowd::new(&options(2, 5));
        let named = Named { account: 3, sequence: 7 };
        let callback = signed_callback(crowd.corp_of(3), &crowd.event(named, 1_700_000_000));
        assert_eq!(crowd.read_raw(3, &callback.query, callback.body.as_bytes()), Poke::News(named));
        assert_eq!(crowd.read_raw(3, "nonce=1", callback.body.as_bytes()), Poke::Unreadable);
        let token = format!("ENC-load-{:08x}-3-7", crowd.run);
        let body = format!(r#"{{"token":"{token}","openKfId":"wk_load_3"}}"#);
        assert_eq!(crowd.read_decrypted(body.as_bytes()), Poke::News(named));
    }

    #[test]
    fn what_an_earlier_run_left_behind_proves_nothing() {
        let (crowd, earlier) = (Crowd::new(&options(1, 5)), Crowd { run: 1, ..Crowd::new(&options(1, 5)) });
        let callback = signed_callback(crowd.corp_of(0), &earlier.event(Named { account: 0, sequence: 1 }, 0));
        assert_eq!(crowd.read_raw(0, &callback.query, callback.body.as_bytes()), Poke::Anonymous);
        assert_eq!(crowd.read_decrypted(br#"{"openKfId":"wk_load_0"}"#), Poke::Anonymous);
        assert_eq!(crowd.read_decrypted(b"{}"), Poke::Unreadable);
    }
}

//! What a test or a script does with a running WeCom: set it up, let customers write, break things.

use std::time::Duration;

use super::api::messages;
use super::callbacks::{Delivery, Verification};
use super::events::{EventFields, inner_xml};
use super::faults::{Fault, Rule, Target, When};
use super::setup::CorpSetup;
use super::{Api, Happening, Wecom};
use crate::domain::Clock;
use crate::simulator::Journal;

impl Wecom {
    /// Sets up a corp, or changes one.
    pub fn corp(&self, id: &str) -> CorpSetup<'_> {
        self.shared.world.lock().corps.entry(id.to_owned()).or_default();
        CorpSetup::new(self, id)
    }

    /// Where the corp's callbacks go from now on.
    pub fn set_callback_url(&self, corp: &str, url: &str) {
        drop(self.corp(corp).callback_url(url));
    }

    pub fn clock(&self) -> &Clock {
        &self.shared.options.clock
    }

    pub fn journal(&self) -> &Journal<Happening> {
        &self.shared.journal
    }

    /// A customer writes a text: it is stored, and the account's callback goes out with a fresh sync
    /// token. Returns when the callback was accepted or given up.
    pub async fn customer_writes(&self, corp: &str, open_kf_id: &str, customer: &str, text: &str) -> Delivery {
        let event = self.shared.store_message(corp, open_kf_id, customer, text);
        self.shared.call_back(corp, &event).await
    }

    /// A customer writes and no callback goes out, as if it were lost for good.
    pub fn customer_writes_silently(&self, corp: &str, open_kf_id: &str, customer: &str, text: &str) {
        self.shared.store_message(corp, open_kf_id, customer, text);
    }

    /// The sync token of a fresh event, for tests that dispatch by themselves.
    pub fn sync_token(&self, corp: &str, open_kf_id: &str) -> String {
        messages::sync_token(&mut self.shared.world.lock(), corp, open_kf_id, self.clock().now())
    }

    /// A customer opens the conversation: stored as `enter_session`, whose welcome code is returned.
    /// No callback goes out.
    pub fn customer_enters(&self, corp: &str, open_kf_id: &str, customer: &str) -> String {
        self.shared.store_entrance(corp, open_kf_id, customer).0
    }

    /// Sends an inner XML to the corp's callback URL, with WeCom's repeats.
    pub async fn call_back(&self, corp: &str, inner_xml: &str) -> Delivery {
        self.shared.call_back(corp, inner_xml).await
    }

    /// Sends an event of the given kind (see [`inner_xml`]).
    pub async fn send_event(&self, corp: &str, name: &str, open_kf_id: &str, content: &str) -> Delivery {
        let fields = EventFields {
            corp,
            open_kf_id,
            token: &self.sync_token(corp, open_kf_id),
            create_time: self.clock().now().as_second(),
            suite: "dk_simulated_suite",
            content,
        };
        self.shared.call_back(corp, &inner_xml(name, &fields)).await
    }

    /// The administrator presses "save": the URL is verified.
    pub async fn verify_url(&self, corp: &str) -> Verification {
        self.shared.verify_url(corp).await
    }

    /// How often `gettoken` was called with this pair, refused calls and faults included.
    pub fn gettoken_calls(&self, corp: &str, secret: &str) -> u64 {
        let world = self.shared.world.lock();
        world.corps.get(corp).and_then(|corp| corp.apps.get(secret)).map_or(0, |app| app.calls)
    }

    /// How often an API was called by anybody, faults included.
    pub fn calls(&self, api: Api) -> usize {
        let called = |what: &Happening| matches!(what, Happening::ApiCalled { api: path, .. } if path == api.path());
        self.journal().entries().iter().filter(|entry| called(&entry.what)).count()
    }

    /// Every token of the corp becomes invalid ahead of its time (document 91039 reserves that right).
    pub fn revoke_tokens(&self, corp: &str) {
        self.shared.revoke_tokens(corp);
    }

    /// Undoes [`Wecom::revoke_tokens`], which the real WeCom never does.
    pub fn restore_tokens(&self, corp: &str) {
        self.shared.restore_tokens(corp);
    }

    /// Lifts every restriction of callers (60020).
    pub fn trust_every_address(&self) {
        self.shared.trust_every_address();
    }

    /// The administrator resets the secret: the old one and its tokens are refused.
    pub fn reset_secret(&self, corp: &str, old: &str, new: &str) {
        self.shared.reset_secret(corp, old, new);
    }

    /// The next `count` calls go wrong.
    pub fn fail_next(&self, target: impl Into<Target>, fault: Fault, count: u64) {
        self.add_fault(target, fault, When::Next(count));
    }

    /// Adds a rule behind those that exist.
    pub fn add_fault(&self, target: impl Into<Target>, fault: Fault, when: When) {
        self.shared.faults.lock().add(target.into(), fault, when);
    }

    /// Removes every rule; [`Wecom::trust_every_address`] and [`Wecom::restore_tokens`] undo the rest.
    pub fn heal(&self) {
        self.shared.faults.lock().clear();
    }

    pub fn faults(&self) -> Vec<Rule> {
        self.shared.faults.lock().rules()
    }

    /// What the customer was sent, in order.
    pub fn answers(&self, open_kf_id: &str, customer: &str) -> Vec<String> {
        let to_customer = |what: Happening| match what {
            Happening::CustomerAnswered { open_kf_id: kf, customer: to, text, .. }
                if kf == open_kf_id && to == customer =>
            {
                Some(text)
            }
            _ => None,
        };
        self.journal().entries().into_iter().filter_map(|entry| to_customer(entry.what)).collect()
    }

    /// The first message to the customer that contains `part`, past or future.
    pub async fn wait_for_answer(&self, customer: &str, part: &str, limit: Duration) -> Option<String> {
        let answered = |what: &Happening| matches!(what, Happening::CustomerAnswered { customer: to, text, .. } if to == customer && text.contains(part));
        match self.journal().wait_for(limit, answered).await?.what {
            Happening::CustomerAnswered { text, .. } => Some(text),
            _ => None,
        }
    }
}

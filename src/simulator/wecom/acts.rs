//! What customers, administrators and WeCom itself do to the world: what the handle and the control API
//! both ask for.

use std::time::Instant;

use serde_json::{Value, json};

use super::api::messages;
use super::events::{EventFields, inner_xml};
use super::world::App;
use super::{Happening, Shared};

impl Shared {
    pub(super) fn revoke_tokens(&self, corp: &str) {
        let mut world = self.world.lock();
        world.tokens.values_mut().filter(|token| token.corp == corp).for_each(|token| token.revoked = true);
        if let Some(corp) = world.corps.get_mut(corp) {
            corp.apps.values_mut().for_each(|app| app.current = None);
        }
    }

    /// Tokens that were revoked, less those whose secret was reset: their app is gone.
    pub(super) fn restore_tokens(&self, corp: &str) {
        self.world
            .lock()
            .tokens
            .values_mut()
            .filter(|token| token.corp == corp)
            .for_each(|token| token.revoked = false);
    }

    pub(super) fn trust_every_address(&self) {
        let mut world = self.world.lock();
        world.corps.values_mut().flat_map(|corp| corp.apps.values_mut()).for_each(|app| app.trusted.clear());
    }

    pub(super) fn reset_secret(&self, corp: &str, old: &str, new: &str) {
        let mut world = self.world.lock();
        let outdated = world.tokens.values_mut().filter(|token| token.corp == corp && token.secret == old);
        outdated.for_each(|token| token.revoked = true);
        if let Some(corp) = world.corps.get_mut(corp) {
            let app = corp.apps.remove(old).unwrap_or_default();
            corp.apps.insert(new.to_owned(), App { current: None, calls: 0, ..app });
        }
    }

    /// Stores a customer's text and returns the inner XML of its event.
    pub(super) fn store_message(&self, corp: &str, open_kf_id: &str, customer: &str, text: &str) -> String {
        let content = json!({ "msgtype": "text", "text": { "content": text } });
        self.store_content(corp, open_kf_id, customer, text, content)
    }

    /// The same of any kind of message: `content` is what `kf/sync_msg` returns of it, `text` what the
    /// journal says.
    pub(super) fn store_content(
        &self,
        corp: &str,
        open_kf_id: &str,
        customer: &str,
        text: &str,
        content: Value,
    ) -> String {
        let began = Instant::now();
        let now = self.options.clock.now();
        messages::store(&mut self.world.lock(), corp, open_kf_id, customer, content, now);
        let happening = Happening::CustomerWrote {
            corp: corp.to_owned(),
            open_kf_id: open_kf_id.to_owned(),
            customer: customer.to_owned(),
            text: text.to_owned(),
        };
        self.journal.record(happening, began);
        self.news_of(corp, open_kf_id)
    }

    /// Stores that a customer opened the conversation; returns the welcome code and the event's inner XML.
    pub(super) fn store_entrance(&self, corp: &str, open_kf_id: &str, customer: &str) -> (String, String) {
        let began = Instant::now();
        let now = self.options.clock.now();
        let code = messages::enter_session(&mut self.world.lock(), corp, open_kf_id, customer, now);
        let happening = Happening::CustomerEntered {
            corp: corp.to_owned(),
            open_kf_id: open_kf_id.to_owned(),
            customer: customer.to_owned(),
        };
        self.journal.record(happening, began);
        (code, self.news_of(corp, open_kf_id))
    }

    /// A `kf_msg_or_event` with a fresh sync token.
    fn news_of(&self, corp: &str, open_kf_id: &str) -> String {
        let now = self.options.clock.now();
        let token = messages::sync_token(&mut self.world.lock(), corp, open_kf_id, now);
        let create_time = now.as_second();
        inner_xml(
            "kf_msg_or_event",
            &EventFields { corp, open_kf_id, token: &token, create_time, ..EventFields::default() },
        )
    }
}

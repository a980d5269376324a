//! What customers wrote, as `kf/sync_msg` returns it, and the tokens it is fetched with.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::session::ENDED;
use crate::simulator::wecom::world::{Message, World, later};

/// A sync token lives ten minutes (document 94670).
const SYNC_TOKEN_LIFE: Duration = Duration::from_secs(600);
/// A welcome code lives 20 seconds (document 94677).
const WELCOME_CODE_LIFE: Duration = Duration::from_secs(20);

/// Origin 3 of document 94670: from a customer.
const FROM_CUSTOMER: u8 = 3;
/// Origin 4: from the system.
const FROM_SYSTEM: u8 = 4;

/// Stores a customer's message; unknown corps and accounts come into being.
pub(in crate::simulator::wecom) fn store(
    world: &mut World,
    corp: &str,
    open_kf_id: &str,
    customer: &str,
    content: Value,
    now: Timestamp,
) {
    let id = world.identifier(32);
    let head = json!({
        "msgid": id,
        "open_kfid": open_kf_id,
        "external_userid": customer,
        "send_time": now.as_second(),
        "origin": FROM_CUSTOMER,
    });
    let corp = world.corps.entry(corp.to_owned()).or_default();
    let account = corp.accounts.entry(open_kf_id.to_owned()).or_default();
    let state = account.customers.entry(customer.to_owned()).or_default();
    state.seen_at = Some(now);
    state.wrote_at = Some(now);
    state.answers = 0;
    if state.service_state == ENDED {
        state.service_state = 0;
    }
    corp.messages.push(Message { open_kf_id: open_kf_id.to_owned(), sent_at: now, content: joined(head, content) });
}

/// The customer opened the conversation: an event message with a welcome code.
pub(in crate::simulator::wecom) fn enter_session(
    world: &mut World,
    corp: &str,
    open_kf_id: &str,
    customer: &str,
    now: Timestamp,
) -> String {
    let (id, code) = (world.identifier(32), world.identifier(43));
    let content = json!({
        "msgid": id,
        "open_kfid": open_kf_id,
        "send_time": now.as_second(),
        "origin": FROM_SYSTEM,
        "msgtype": "event",
        "event": {
            "event_type": "enter_session",
            "open_kfid": open_kf_id,
            "external_userid": customer,
            "scene": "simulator",
            "welcome_code": code,
        },
    });
    let corp = world.corps.entry(corp.to_owned()).or_default();
    let account = corp.accounts.entry(open_kf_id.to_owned()).or_default();
    account.customers.entry(customer.to_owned()).or_default().seen_at = Some(now);
    account.event_codes.insert(code.clone(), (customer.to_owned(), later(now, WELCOME_CODE_LIFE)));
    corp.messages.push(Message { open_kf_id: open_kf_id.to_owned(), sent_at: now, content });
    code
}

/// A fresh token for the account's `kf_msg_or_event`.
pub(in crate::simulator::wecom) fn sync_token(
    world: &mut World,
    corp: &str,
    open_kf_id: &str,
    now: Timestamp,
) -> String {
    // As long and with the same head as the published ones.
    let token = format!("ENC{}", world.identifier(44));
    let corp = world.corps.entry(corp.to_owned()).or_default();
    corp.sync_tokens.retain(|_, (_, until)| *until > now);
    corp.sync_tokens.insert(token.clone(), (open_kf_id.to_owned(), later(now, SYNC_TOKEN_LIFE)));
    token
}

fn joined(mut head: Value, tail: Value) -> Value {
    if let (Value::Object(head), Value::Object(tail)) = (&mut head, tail) {
        head.extend(tail);
    }
    head
}

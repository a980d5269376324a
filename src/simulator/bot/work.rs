//! What a dispatch sets going: fetch what is new, answer it.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::client::{call, refused};
use super::{Answer, BotHappening, Shared};

/// Reads until nothing is left, by `has_more` alone, and answers every customer's text.
pub(super) async fn sync(shared: &Arc<Shared>, token: Option<&str>) {
    let mut cursor = shared.cursor.lock().await;
    if !shared.options.keeps_token {
        *shared.token.lock() = None;
    }
    loop {
        let began = Instant::now();
        let body = json!({
            "cursor": *cursor,
            "token": token.unwrap_or_default(),
            "limit": 1000,
            "open_kfid": shared.options.open_kf_id,
        });
        let page = match call(shared, "kf/sync_msg", &body).await.and_then(|page| refused(&page).map(|()| page)) {
            Ok(page) => page,
            Err(why) => return failed(shared, "kf/sync_msg", why, began),
        };
        if let Some(next) = page["next_cursor"].as_str() {
            next.clone_into(&mut cursor);
        }
        let messages = page["msg_list"].as_array().map(Vec::as_slice).unwrap_or_default();
        let happening = BotHappening::Synced { messages: messages.len(), tokenless: token.is_none() };
        shared.journal.record(happening, began);
        for message in messages {
            answer(shared, message).await;
        }
        if page["has_more"].as_i64() != Some(1) {
            return;
        }
    }
}

/// Origin 3: written by a customer (document 94670).
async fn answer(shared: &Arc<Shared>, message: &Value) {
    let (Some(customer), Some(text)) = (message["external_userid"].as_str(), message["text"]["content"].as_str())
    else {
        return;
    };
    if message["origin"].as_i64() != Some(3) {
        return;
    }
    let reply = match &shared.options.answer {
        Answer::Echo => format!("you wrote: {text}"),
        Answer::Canned(reply) => reply.clone(),
        Answer::Silent => return,
    };
    let began = Instant::now();
    let body = json!({
        "touser": customer,
        "open_kfid": shared.options.open_kf_id,
        "msgtype": "text",
        "text": { "content": reply },
    });
    match call(shared, "kf/send_msg", &body).await.and_then(|answer| refused(&answer)) {
        Ok(()) => {
            shared.journal.record(BotHappening::Answered { customer: customer.to_owned(), text: reply }, began);
        }
        Err(why) => failed(shared, "kf/send_msg", why, began),
    }
}

fn failed(shared: &Shared, api: &str, why: String, began: Instant) {
    shared.journal.record(BotHappening::CallFailed { api: api.to_owned(), why }, began);
}

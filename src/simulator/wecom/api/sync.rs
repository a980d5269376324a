//! `kf/sync_msg` (document 94670).

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, MINUTE};
use crate::simulator::wecom::Limits;
use crate::simulator::wecom::errcode::{self, Refusal};
use crate::simulator::wecom::world::{Corp, age};

/// Older messages are gone, whatever the cursor says.
const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
/// What a cursor starts with; its end is the place in the corp's messages.
const CURSOR: &str = "4gw7MepFLfgF2VC5n";

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    token: String,
    limit: Option<usize>,
    #[serde(default)]
    open_kfid: String,
}

pub(super) fn sync(corp: &mut Corp, limits: &Limits, call: &Call) -> Result<Value, Refusal> {
    let request: Request = call.json()?;
    let limit = request.limit.unwrap_or(1000);
    if limit == 0 || limit > 1000 {
        return Err(Refusal::new(errcode::BAD_PARAMETER, "limit must be 1 to 1000"));
    }
    if !request.open_kfid.is_empty() {
        corp.account(&request.open_kfid)?;
    }
    check_token(corp, limits, call, &request)?;
    let start = place(&request.cursor)?;
    let wanted = |kf: &str| request.open_kfid.is_empty() || kf == request.open_kfid;
    let mut found = corp
        .messages
        .iter()
        .enumerate()
        .skip(start)
        .filter(|(_, message)| wanted(&message.open_kf_id) && age(message.sent_at, call.now) < KEPT);
    let page: Vec<(usize, &Value)> = found.by_ref().take(limit).map(|(at, message)| (at, &message.content)).collect();
    let has_more = u8::from(found.next().is_some());
    let next = page.last().map_or(start, |(at, _)| at + 1);
    let messages: Vec<&Value> = page.iter().map(|(_, content)| *content).collect();
    Ok(json!({ "next_cursor": format!("{CURSOR}{next:010}"), "has_more": has_more, "msg_list": messages }))
}

/// A valid token frees the call from the penalty. One without a token is served, ten times a minute
/// and then not (staff answer, forum 0006e047caca30ab50ec916195b800); a wrong or expired one is
/// refused and counts as well.
fn check_token(corp: &mut Corp, limits: &Limits, call: &Call, request: &Request) -> Result<(), Refusal> {
    let known = corp.sync_tokens.get(&request.token);
    let valid = known
        .is_some_and(|(kf, until)| *until > call.now && (request.open_kfid.is_empty() || *kf == request.open_kfid));
    if valid {
        return Ok(());
    }
    let most = limits.tokenless_syncs_per_minute;
    if corp.tokenless_syncs.count(call.now, MINUTE) >= most {
        return Err(Refusal::new(errcode::TOO_OFTEN, format!("more than {most} calls a minute without a sync token")));
    }
    corp.tokenless_syncs.add(call.now);
    if request.token.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(errcode::BAD_SYNC_TOKEN, "the sync token is wrong, another account's, or older than 10 minutes"))
}

fn place(cursor: &str) -> Result<usize, Refusal> {
    if cursor.is_empty() {
        return Ok(0);
    }
    let place = cursor.strip_prefix(CURSOR).and_then(|digits| digits.parse().ok());
    place.ok_or_else(|| Refusal::new(errcode::BAD_PARAMETER, "no cursor of this WeCom"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulator::wecom::testkit::wecom;
    use crate::simulator::wecom::{Api, Fault, Wecom, WecomOptions};

    async fn sync(wecom: &Wecom, cursor: &str, token: &str) -> Value {
        let body = json!({ "open_kfid": "wk1", "cursor": cursor, "token": token, "limit": 2 });
        wecom.post("kf/sync_msg", body).await
    }

    #[tokio::test]
    async fn pages_by_cursor_until_nothing_is_left() {
        let wecom = wecom(WecomOptions::default()).await;
        for text in ["a", "b", "c"] {
            wecom.customer_writes_silently("ww1", "wk1", "customer", text);
            wecom.customer_writes_silently("ww1", "wk2", "customer", "of another account");
        }
        let token = wecom.sync_token("ww1", "wk1");
        let first = sync(&wecom, "", &token).await;
        let texts = |page: &Value| -> Vec<String> {
            let list = page["msg_list"].as_array().unwrap().iter();
            list.map(|message| message["text"]["content"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!((texts(&first), &first["has_more"]), (vec!["a".to_owned(), "b".to_owned()], &json!(1)));
        let cursor = first["next_cursor"].as_str().unwrap();
        let second = sync(&wecom, cursor, &token).await;
        assert_eq!((texts(&second), &second["has_more"]), (vec!["c".to_owned()], &json!(0)));
        let third = sync(&wecom, second["next_cursor"].as_str().unwrap(), &token).await;
        assert_eq!(third["msg_list"], json!([]));
        assert_eq!(sync(&wecom, "invented", &token).await["errcode"], 40058);
    }

    #[tokio::test]
    async fn a_sync_token_lives_ten_minutes_and_belongs_to_its_account() {
        let wecom = wecom(WecomOptions::default()).await;
        wecom.corp("ww1").account("wk2");
        let (own, other) = (wecom.sync_token("ww1", "wk1"), wecom.sync_token("ww1", "wk2"));
        assert_eq!(sync(&wecom, "", &own).await["errcode"], 0);
        assert_eq!(sync(&wecom, "", &other).await["errcode"], 95007);
        wecom.clock().advance(Duration::from_secs(600));
        assert_eq!(sync(&wecom, "", &own).await["errcode"], 95007);
    }

    #[tokio::test]
    async fn ten_calls_a_minute_without_a_token() {
        let wecom = wecom(WecomOptions::default()).await;
        for _ in 0..5 {
            assert_eq!(sync(&wecom, "", "").await["errcode"], 0);
            assert_eq!(sync(&wecom, "", "wrong").await["errcode"], 95007);
        }
        assert_eq!(sync(&wecom, "", "").await["errcode"], 45009);
        let token = wecom.sync_token("ww1", "wk1");
        assert_eq!(sync(&wecom, "", &token).await["errcode"], 0);
        wecom.clock().advance(MINUTE);
        assert_eq!(sync(&wecom, "", "").await["errcode"], 0);
    }

    #[tokio::test]
    async fn forgets_after_three_days() {
        let wecom = wecom(WecomOptions::default()).await;
        wecom.customer_writes_silently("ww1", "wk1", "customer", "old");
        wecom.clock().advance(KEPT);
        wecom.customer_writes_silently("ww1", "wk1", "customer", "new");
        let page = sync(&wecom, "", "").await;
        assert_eq!(page["msg_list"].as_array().unwrap().len(), 1);
        assert_eq!(page["msg_list"][0]["text"]["content"], "new");
    }

    #[tokio::test]
    async fn an_empty_page_may_have_more() {
        let wecom = wecom(WecomOptions::default()).await;
        wecom.customer_writes_silently("ww1", "wk1", "customer", "a");
        wecom.fail_next(Api::SyncMsg, Fault::EmptyPage, 1);
        let empty = sync(&wecom, "", "").await;
        assert_eq!((&empty["has_more"], &empty["msg_list"]), (&json!(1), &json!([])));
        assert_eq!(sync(&wecom, "", "").await["msg_list"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn serves_so_many_at_once() {
        let limits = Limits { syncs_at_once: 1, ..Limits::default() };
        let one = wecom(WecomOptions { limits, ..WecomOptions::default() }).await;
        for _ in 0..3 {
            assert_eq!(sync(&one, "", &one.sync_token("ww1", "wk1")).await["errcode"], 0);
        }
        let limits = Limits { syncs_at_once: 0, ..Limits::default() };
        let none = wecom(WecomOptions { limits, ..WecomOptions::default() }).await;
        assert_eq!(sync(&none, "", &none.sync_token("ww1", "wk1")).await["errcode"], 45033);
    }
}

//! `kf/send_msg` (document 94677) and `kf/send_msg_on_event` (document 95122).

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Call, Reply};
use crate::simulator::wecom::errcode::{self, Refusal};
use crate::simulator::wecom::world::{World, age};

/// After a customer's message, this long and this many (document 94677).
const ANSWER_WITHIN: Duration = Duration::from_secs(48 * 3600);
const ANSWERS: usize = 5;

/// Who got a message, and what it says.
pub(super) struct Addressee {
    pub corp: String,
    pub open_kf_id: String,
    pub customer: String,
    pub text: String,
}

pub(super) fn to_customer(world: &mut World, corp_id: &str, call: &Call) -> Result<Reply, Refusal> {
    let request: Map<String, Value> = call.json()?;
    let (customer, open_kf_id) = (field(&request, "touser")?, field(&request, "open_kfid")?);
    let text = content(&request)?;
    let given_id = given_id(&request)?;
    let account = world.corp(corp_id)?.account(&open_kf_id)?;
    let state = account.customers.get_mut(&customer);
    let wrote_at = state.as_ref().and_then(|state| state.wrote_at);
    let (Some(state), Some(wrote_at)) = (state, wrote_at) else {
        return Err(Refusal::new(errcode::OUTSIDE_48_HOURS, format!("{customer} never wrote to {open_kf_id}")));
    };
    if age(wrote_at, call.now) >= ANSWER_WITHIN {
        return Err(Refusal::new(errcode::OUTSIDE_48_HOURS, "the customer last wrote more than 48 hours ago"));
    }
    if state.answers >= ANSWERS {
        return Err(Refusal::new(errcode::FIVE_MESSAGES_SENT, "5 messages since the customer last wrote"));
    }
    state.answers += 1;
    let id = given_id.unwrap_or_else(|| world.identifier(32));
    let to = Addressee { corp: corp_id.to_owned(), open_kf_id, customer, text };
    Ok(Reply::Sent { answer: json!({ "msgid": id }), to })
}

/// A code is good for one message within its life, to whom it was given for.
pub(super) fn on_event(world: &mut World, corp_id: &str, call: &Call) -> Result<Reply, Refusal> {
    let request: Map<String, Value> = call.json()?;
    let code = field(&request, "code")?;
    let (text, given_id) = (content(&request)?, given_id(&request)?);
    let accounts = &mut world.corp(corp_id)?.accounts;
    let found = accounts.iter_mut().find_map(|(id, account)| {
        account.event_codes.remove(&code).map(|(customer, until)| (id.clone(), customer, until))
    });
    let Some((open_kf_id, customer, until)) = found else {
        return Err(Refusal::new(errcode::BAD_EVENT_CODE, "no such code, or it was used"));
    };
    if until <= call.now {
        return Err(Refusal::new(errcode::BAD_EVENT_CODE, "the code has expired"));
    }
    let id = given_id.unwrap_or_else(|| world.identifier(32));
    let to = Addressee { corp: corp_id.to_owned(), open_kf_id, customer, text };
    Ok(Reply::Sent { answer: json!({ "msgid": id }), to })
}

/// Up to 32 of `[0-9a-zA-Z_-]`, returned as it is (documents 94677 and 95122).
fn given_id(request: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    let Some(id) = request.get("msgid").and_then(Value::as_str).filter(|id| !id.is_empty()) else { return Ok(None) };
    if id.len() > 32 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return Err(Refusal::new(errcode::BAD_PARAMETER, "msgid must be up to 32 of 0-9, a-z, A-Z, _ and -"));
    }
    Ok(Some(id.to_owned()))
}

fn field(request: &Map<String, Value>, name: &str) -> Result<String, Refusal> {
    let text = request.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| Refusal::new(errcode::BAD_PARAMETER, format!("{name} is missing")))
}

/// What the customer sees: a text's content, else the kind of the message.
fn content(request: &Map<String, Value>) -> Result<String, Refusal> {
    let kind = field(request, "msgtype")?;
    let body = request.get(&kind).and_then(Value::as_object);
    let body = body.ok_or_else(|| Refusal::new(errcode::BAD_PARAMETER, format!("no object named {kind}")))?;
    match (kind.as_str(), body.get("content").and_then(Value::as_str)) {
        ("text", Some(text)) if !text.is_empty() => Ok(text.to_owned()),
        ("text", _) => Err(Refusal::new(errcode::BAD_PARAMETER, "text.content is missing")),
        (kind, _) => Ok(format!("[{kind}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::wecom::testkit::wecom;
    use crate::simulator::wecom::{Wecom, WecomOptions};

    async fn send(wecom: &Wecom, text: &str) -> Value {
        let body = json!({ "touser": "customer", "open_kfid": "wk1", "msgtype": "text", "text": { "content": text } });
        wecom.post("kf/send_msg", body).await
    }

    #[tokio::test]
    async fn five_messages_after_each_of_the_customers() {
        let wecom = wecom(WecomOptions::default()).await;
        assert_eq!(send(&wecom, "unasked").await["errcode"], 95002);
        wecom.customer_writes_silently("ww1", "wk1", "customer", "hello");
        for number in 0..5 {
            let sent = send(&wecom, &number.to_string()).await;
            assert_eq!(sent["errcode"], 0);
            assert_eq!(sent["msgid"].as_str().unwrap().len(), 32);
        }
        assert_eq!(send(&wecom, "sixth").await["errcode"], 95001);
        wecom.customer_writes_silently("ww1", "wk1", "customer", "go on");
        assert_eq!(send(&wecom, "again").await["errcode"], 0);
        assert_eq!(wecom.answers("wk1", "customer"), ["0", "1", "2", "3", "4", "again"]);
    }

    #[tokio::test]
    async fn takes_an_id_of_the_senders() {
        let wecom = wecom(WecomOptions::default()).await;
        wecom.customer_writes_silently("ww1", "wk1", "customer", "hello");
        let send = async |id: &str| {
            let text = json!({ "content": "hi" });
            let body =
                json!({ "touser": "customer", "open_kfid": "wk1", "msgid": id, "msgtype": "text", "text": text });
            wecom.post("kf/send_msg", body).await
        };
        assert_eq!(send("my-own_1").await["msgid"], "my-own_1");
        assert_eq!(send("").await["msgid"].as_str().unwrap().len(), 32);
        for bad in ["not this!", &"a".repeat(33)] {
            assert_eq!(send(bad).await["errcode"], 40058);
        }
        assert_eq!(wecom.answers("wk1", "customer").len(), 2, "a refused one is not sent");
    }

    #[tokio::test]
    async fn within_48_hours() {
        let wecom = wecom(WecomOptions::default()).await;
        wecom.customer_writes_silently("ww1", "wk1", "customer", "hello");
        wecom.clock().advance(ANSWER_WITHIN);
        assert_eq!(send(&wecom, "late").await["errcode"], 95002);
    }

    #[tokio::test]
    async fn a_welcome_code_is_good_once_and_for_20_seconds() {
        let wecom = wecom(WecomOptions::default()).await;
        let welcome = |code: String| json!({ "code": code, "msgtype": "text", "text": { "content": "welcome" } });
        let code = wecom.customer_enters("ww1", "wk1", "customer");
        assert_eq!(wecom.post("kf/send_msg_on_event", welcome(code.clone())).await["errcode"], 0);
        assert_eq!(wecom.post("kf/send_msg_on_event", welcome(code)).await["errcode"], 95013);
        let late = wecom.customer_enters("ww1", "wk1", "customer");
        wecom.clock().advance(Duration::from_secs(20));
        assert_eq!(wecom.post("kf/send_msg_on_event", welcome(late)).await["errcode"], 95013);
        assert_eq!(wecom.answers("wk1", "customer"), ["welcome"]);
    }

    #[tokio::test]
    async fn names_what_is_missing() {
        let wecom = wecom(WecomOptions::default()).await;
        for body in [json!({}), json!({ "touser": "customer" }), json!([])] {
            let code = wecom.post("kf/send_msg", body).await["errcode"].as_i64().unwrap();
            assert!(code == 40058 || code == 47001);
        }
        wecom.corp("ww1").unmanaged_account("wk1");
        assert_eq!(send(&wecom, "hello").await["errcode"], 95000);
    }
}

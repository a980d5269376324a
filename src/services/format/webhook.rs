//! What a service with the format `json` is sent.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::CorpId;
use crate::services::filter::EventName;

/// An event in the format `json`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "id": "msg_4355a46b19d348dc2f57c046f8ef63d4",
    "corpId": "ww1234567890abcdef",
    "event": "change_contact.create_user",
    "receivedAt": "2026-01-31T12:00:00.123Z",
    "message": {
        "ToUserName": "ww1234567890abcdef",
        "FromUserName": "sys",
        "CreateTime": "1769860800",
        "MsgType": "event",
        "Event": "change_contact",
        "ChangeType": "create_user",
        "UserID": "zhangsan",
        "ExtAttr": { "Item": [
            { "Name": "hobby", "Type": "0", "Text": { "Value": "travel" } },
            { "Name": "card", "Type": "0", "Text": { "Value": "" } },
        ] },
    },
}))]
pub struct Webhook {
    /// The header `webhook-id`: the same whenever WeCom or the gateway repeats the event.
    pub id: String,
    #[schema(value_type = String)]
    pub corp_id: CorpId,
    /// WeCom's own name: `Event`, else `MsgType`, else `InfoType`; with `ChangeType` behind a dot. Empty where it has
    /// none.
    pub event: String,
    /// When the gateway took it.
    #[schema(format = DateTime)]
    pub received_at: String,
    /// WeCom's XML: the root's children by name.
    #[schema(value_type = HashMap<String, Element>)]
    pub message: Map<String, Value>,
}

impl Webhook {
    pub fn new(
        id: &str,
        corp: &CorpId,
        event: &EventName,
        received_at: Timestamp,
        message: Map<String, Value>,
    ) -> Self {
        Self {
            id: id.to_owned(),
            corp_id: corp.clone(),
            event: event.to_string(),
            received_at: received_at.to_string(),
            message,
        }
    }

    /// The body: what is signed is what is sent, so it is made once.
    pub fn to_body(&self) -> Vec<u8> {
        // Strings, maps of them and lists of them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// An element of WeCom's XML: its text, its children, or all elements of one name in their order. Text is
/// never read as a number. Of a name that can repeat, one alone is no list.
// For the document alone: the values are made without it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(no_recursion)]
pub enum Element {
    Text(String),
    Children(HashMap<String, Element>),
    Repeated(Vec<Element>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::format;

    #[test]
    fn the_body_is_the_documented_one() {
        let xml =
            b"<xml><Event>change_contact</Event><ChangeType>create_user</ChangeType><CreateTime>7</CreateTime></xml>";
        let (corp, event) = (CorpId::parse("ww1").unwrap(), EventName::of(xml).unwrap());
        let at = Timestamp::from_millisecond(1_769_860_800_120).unwrap();
        let webhook = Webhook::new("msg_1", &corp, &event, at, format::json(xml).unwrap());
        let body = r#"{"id":"msg_1","corpId":"ww1","event":"change_contact.create_user","receivedAt":"2026-01-31T12:00:00.12Z","message":{"Event":"change_contact","ChangeType":"create_user","CreateTime":"7"}}"#;
        assert_eq!(String::from_utf8(webhook.to_body()).unwrap(), body);
    }
}

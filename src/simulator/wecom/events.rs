//! The inner XML of every kind of callback that reaches a callback URL (reference 4.2).
//!
//! Kinds are named by WeCom's own words, so that a script can ask for any of them, those without a
//! shape of their own here included: an unknown name becomes an app event of that name.

/// What an event is about; a kind uses the fields it has.
#[derive(Debug, Clone, Default)]
pub struct EventFields<'a> {
    /// `ToUserName`, or `AuthCorpId` of a suite's event.
    pub corp: &'a str,
    pub open_kf_id: &'a str,
    /// The sync token of a `kf_msg_or_event`.
    pub token: &'a str,
    /// Seconds since 1970.
    pub create_time: i64,
    /// `SuiteId` of a suite's event.
    pub suite: &'a str,
    /// The text of a message, the key of a click, the ticket of a suite.
    pub content: &'a str,
}

/// The kinds with a shape of their own; [`inner_xml`] takes further names as app events.
pub const SHAPED: &[&str] = &[
    "kf_msg_or_event",
    "kf_msg_or_event_without_open_kf_id",
    "kf_account_auth_change",
    "text",
    "image",
    "voice",
    "video",
    "location",
    "link",
    "change_contact",
    "change_external_contact",
    "click",
    "view",
    "LOCATION",
    "batch_job_result",
    "suite_ticket",
    "create_auth",
    "change_auth",
    "cancel_auth",
    "reset_permanent_code",
];

/// The inner XML of an event, by its name.
pub fn inner_xml(name: &str, fields: &EventFields<'_>) -> String {
    match name {
        "kf_msg_or_event" => kf_msg_or_event(fields, true),
        // WeCom's documents of 2021 and a log of 2022 (w7corp/easywechat #2620) show it so.
        "kf_msg_or_event_without_open_kf_id" => kf_msg_or_event(fields, false),
        "kf_account_auth_change" => kf_account_auth_change(fields),
        "text" | "image" | "voice" | "video" | "location" | "link" => message(name, fields),
        "suite_ticket" | "create_auth" | "change_auth" | "cancel_auth" | "reset_permanent_code" => suite(name, fields),
        _ => app_event(name, fields),
    }
}

/// Document 94670: no `FromUserName`, no `MsgId`, no `AgentID`.
fn kf_msg_or_event(fields: &EventFields<'_>, with_open_kf_id: bool) -> String {
    let account = if with_open_kf_id { element("OpenKfId", fields.open_kf_id) } else { String::new() };
    format!(
        "<xml>{}<CreateTime>{}</CreateTime>{}{}{}{account}</xml>",
        element("ToUserName", fields.corp),
        fields.create_time,
        element("MsgType", "event"),
        element("Event", "kf_msg_or_event"),
        element("Token", fields.token),
    )
}

/// Document 97713: repeated elements, none of which is `OpenKfId`.
fn kf_account_auth_change(fields: &EventFields<'_>) -> String {
    let details = [
        element("AuthAddOpenKfId", fields.open_kf_id),
        element("AuthAddOpenKfId", &format!("{}_second", fields.open_kf_id)),
        element("AuthDelOpenKfId", &format!("{}_former", fields.open_kf_id)),
    ];
    from_a_user("sys", "event", fields, &format!("{}{}", element("Event", "kf_account_auth_change"), details.concat()))
}

/// Document 90239 (messages of an app's users): an id, no `Event`.
fn message(kind: &str, fields: &EventFields<'_>) -> String {
    let media = element("MediaId", "MEDIA_ID");
    let details = match kind {
        "text" => element("Content", fields.content),
        "image" => element("PicUrl", "https://example.com/picture") + &media,
        "voice" => media + &element("Format", "amr"),
        "video" => media + &element("ThumbMediaId", "THUMB_MEDIA_ID"),
        "location" => format!(
            "<Location_X>23.134</Location_X><Location_Y>113.358</Location_Y><Scale>20</Scale>{}{}",
            element("Label", "Guangzhou"),
            element("AppType", "wxwork"),
        ),
        _ => format!(
            "{}{}{}",
            element("Title", fields.content),
            element("Description", "a link"),
            element("Url", "https://example.com/")
        ),
    };
    let details = format!("{details}<MsgId>{}</MsgId><AgentID>1</AgentID>", fields.create_time);
    from_a_user("a-colleague", kind, fields, &details)
}

/// Documents 90240 and 90376: what an app gets of its users and of the address book.
fn app_event(name: &str, fields: &EventFields<'_>) -> String {
    let details = match name {
        "change_contact" => element("ChangeType", "create_user") + &element("UserID", "a-colleague"),
        "change_external_contact" => {
            element("ChangeType", "add_external_contact") + &element("ExternalUserID", "a-customer")
        }
        "click" | "view" => element("EventKey", fields.content) + "<AgentID>1</AgentID>",
        "LOCATION" => "<Latitude>23.104</Latitude><Longitude>113.320</Longitude><Precision>65.000</Precision>\
             <AgentID>1</AgentID>"
            .to_owned(),
        "batch_job_result" => format!(
            "<BatchJob>{}{}<ErrCode>0</ErrCode>{}</BatchJob>",
            element("JobId", "job"),
            element("JobType", "sync_user"),
            element("ErrMsg", "ok")
        ),
        _ => "<AgentID>1</AgentID>".to_owned(),
    };
    from_a_user("a-colleague", "event", fields, &(element("Event", name) + &details))
}

/// Documents 90628, 97175 and 99401: `InfoType` in place of `MsgType` and `Event`; the official
/// example of `suite_ticket` has a blank before the CDATA; `create_auth` of a kf component nests
/// its `OpenKfId`.
fn suite(name: &str, fields: &EventFields<'_>) -> String {
    let details = match name {
        "suite_ticket" => format!("<SuiteTicket> {}</SuiteTicket>", cdata(fields.content)),
        "create_auth" | "reset_permanent_code" => format!(
            "{}<ExtraInfo><AuthOpenKfIdList>{}</AuthOpenKfIdList></ExtraInfo>",
            element("AuthCode", "AUTH_CODE"),
            element("OpenKfId", fields.open_kf_id)
        ),
        _ => element("AuthCorpId", fields.corp),
    };
    format!(
        "<xml>{}{}<TimeStamp>{}</TimeStamp>{details}</xml>",
        element("SuiteId", fields.suite),
        element("InfoType", name),
        fields.create_time,
    )
}

fn from_a_user(user: &str, kind: &str, fields: &EventFields<'_>, details: &str) -> String {
    format!(
        "<xml>{}{}<CreateTime>{}</CreateTime>{}{details}</xml>",
        element("ToUserName", fields.corp),
        element("FromUserName", user),
        fields.create_time,
        element("MsgType", kind),
    )
}

fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", cdata(text))
}

/// The end mark of a section is the one thing that it cannot hold: the text is split there.
pub(super) fn cdata(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_the_published_kf_event() {
        let fields = EventFields {
            corp: "ww12345678910",
            open_kf_id: "wkxxxxxxx",
            token: "ENCApHxnGDNAVNY4AaSJKj4Tb5mwsEMzxhFmHVGcra996NR",
            create_time: 1_348_831_860,
            ..EventFields::default()
        };
        // Document 94670, whose line breaks are layout.
        let published = "<xml><ToUserName><![CDATA[ww12345678910]]></ToUserName><CreateTime>1348831860</CreateTime>\
            <MsgType><![CDATA[event]]></MsgType><Event><![CDATA[kf_msg_or_event]]></Event>\
            <Token><![CDATA[ENCApHxnGDNAVNY4AaSJKj4Tb5mwsEMzxhFmHVGcra996NR]]></Token>\
            <OpenKfId><![CDATA[wkxxxxxxx]]></OpenKfId></xml>";
        assert_eq!(inner_xml("kf_msg_or_event", &fields), published);
        let without = inner_xml("kf_msg_or_event_without_open_kf_id", &fields);
        assert!(!without.contains("OpenKfId") && without.contains("<![CDATA[kf_msg_or_event]]>"));
    }

    #[test]
    fn every_kind_is_well_formed_whatever_its_fields_hold() {
        let fields = EventFields { corp: "]]>", content: "<&]]>\"", open_kf_id: "wk", ..EventFields::default() };
        for name in SHAPED.iter().chain(&["subscribe", "sys_approval_change"]) {
            let xml = inner_xml(name, &fields);
            let mut reader = quick_xml::Reader::from_str(&xml);
            loop {
                match reader.read_event() {
                    Ok(quick_xml::events::Event::Eof) => break,
                    Ok(_) => {}
                    Err(error) => panic!("{name}: {error}: {xml}"),
                }
            }
        }
    }
}

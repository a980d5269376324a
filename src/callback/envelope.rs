//! The two layers of a callback: the outer XML that anybody can send, and the inner XML that was
//! encrypted in it.

use std::borrow::Cow;

use super::xml::{self, XmlFault};

/// The largest body an unmodified bot accepts (its parser's limit), in bytes.
const BOT_BODY_LIMIT: usize = 100 * 1024;

/// Why a body is no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeFault {
    #[error("the body is {0}")]
    Xml(#[from] XmlFault),
    #[error("the body has no Encrypt element directly below its root")]
    NoEncrypt,
}

/// The outer XML. Its other elements (`ToUserName`, `AgentID`) carry no signature and are not read.
#[derive(Debug)]
pub struct Envelope<'b> {
    /// Base64, without the white space around it.
    pub encrypted: Cow<'b, str>,
    /// Whether an unmodified bot reads this body as we do: it dies on one that it cannot read.
    pub readable_by_bots: bool,
}

impl<'b> Envelope<'b> {
    pub fn parse(body: &'b [u8]) -> Result<Self, EnvelopeFault> {
        let document = xml::read(body, ["Encrypt"])?;
        let [encrypted] = document.texts;
        let text = encrypted.unwrap_or_default();
        let length = text.len();
        let encrypted = trimmed(text);
        if encrypted.is_empty() {
            return Err(EnvelopeFault::NoEncrypt);
        }
        // A bot checks the signature over what stands in the element, white space and all.
        let as_it_stands = encrypted.len() == length;
        Ok(Self { encrypted, readable_by_bots: document.plain && as_it_stands && body.len() <= BOT_BODY_LIMIT })
    }
}

/// WeCom's own examples have white space before a CDATA section.
fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// The inner XML, as far as dispatching needs it.
#[derive(Debug)]
pub struct Message<'m> {
    pub to_user_name: Option<Cow<'m, str>>,
    /// WeCom's own name of what happened: `Event`, else `MsgType`, else `InfoType`.
    pub kind: Option<Cow<'m, str>>,
    pub is_event: bool,
    pub create_time: Option<i64>,
    pub token: Option<Cow<'m, str>>,
    pub open_kf_id: Option<Cow<'m, str>>,
    plain: bool,
}

impl<'m> Message<'m> {
    pub fn parse(plaintext: &'m [u8]) -> Result<Self, XmlFault> {
        let names = ["ToUserName", "Event", "MsgType", "InfoType", "CreateTime", "Token", "OpenKfId"];
        let document = xml::read(plaintext, names)?;
        let filled = |text: Option<Cow<'m, str>>| text.map(trimmed).filter(|text| !text.is_empty());
        let [to, event, message_type, info_type, create_time, token, open_kf_id] = document.texts.map(filled);
        Ok(Self {
            to_user_name: to,
            is_event: event.is_some(),
            kind: event.or(message_type).or(info_type),
            create_time: create_time.and_then(|text| text.parse().ok()),
            token,
            open_kf_id,
            plain: document.plain,
        })
    }

    /// News of a customer-service account.
    pub fn is_kf_news(&self) -> bool {
        self.is_event && self.kind.as_deref() == Some("kf_msg_or_event")
    }

    /// Whether an unmodified bot of this corp survives the raw callback: it needs these elements.
    pub fn readable_by_bots(&self, corp_id: &str) -> bool {
        self.plain && self.is_event && self.open_kf_id.is_some() && self.to_user_name.as_deref() == Some(corp_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_needs_encrypt() {
        let envelope = Envelope::parse(b"<xml><AgentID/><Encrypt><![CDATA[abc=]]></Encrypt></xml>").unwrap();
        assert_eq!(envelope.encrypted, "abc=");
        assert!(envelope.readable_by_bots);
        let spaced = Envelope::parse(b"<xml><Encrypt>\n abc= </Encrypt></xml>").unwrap();
        assert_eq!(spaced.encrypted, "abc=");
        assert!(!spaced.readable_by_bots);
        for body in ["<xml/>", "<xml><Encrypt> </Encrypt></xml>", "<xml><A><Encrypt>x</Encrypt></A></xml>"] {
            assert_eq!(Envelope::parse(body.as_bytes()).unwrap_err(), EnvelopeFault::NoEncrypt, "{body}");
        }
        let large = format!("<xml><Encrypt>{}</Encrypt></xml>", "a".repeat(BOT_BODY_LIMIT));
        assert!(!Envelope::parse(large.as_bytes()).unwrap().readable_by_bots);
    }

    #[test]
    fn a_message_names_itself_by_event_type_or_info_type() {
        let kind = |xml: &str| Message::parse(xml.as_bytes()).unwrap().kind.map(Cow::into_owned);
        assert_eq!(kind("<xml><MsgType>event</MsgType><Event>click</Event></xml>").as_deref(), Some("click"));
        assert_eq!(kind("<xml><MsgType>text</MsgType></xml>").as_deref(), Some("text"));
        assert_eq!(kind("<xml><InfoType> <![CDATA[suite_ticket]]></InfoType></xml>").as_deref(), Some("suite_ticket"));
    }
}

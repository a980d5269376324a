//! The callback as it arrived: the signed parameters of its URL and the text that they sign.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::cause::{BodyFault, Cause, ParameterFault, Place};
use super::change::Reading;
use crate::callback::envelope::{Envelope, EnvelopeFault};
use crate::callback::query::{QueryFault, SignedQuery};
use crate::callback::xml::{self, XmlFault};
use crate::domain::CorpId;

/// What a message in the clear has, and an envelope lacks.
const INNER_ELEMENTS: [&str; 3] = ["MsgType", "Event", "InfoType"];

pub(super) struct Arrived<'a> {
    pub(super) reading: Reading<'a>,
    /// Where the signed text stands.
    pub(super) place: Place,
    /// The echostr had spaces, which were read as `+`.
    pub(super) had_spaces: bool,
    pub(super) echostr_beside_body: Option<Cow<'a, str>>,
    /// The corp that the URL's path names, where a path was given.
    pub(super) corp: Option<CorpId>,
}

impl<'a> Arrived<'a> {
    pub(super) fn read(url: &'a str, body: Option<&'a [u8]>) -> Result<Self, Cause> {
        let url = url.trim();
        let url = url.split_once('#').map_or(url, |(url, _fragment)| url);
        let (path, query) = url.split_once('?').unwrap_or(if url.contains('=') { ("", url) } else { (url, "") });
        let signed = SignedQuery::parse(query).map_err(|fault| query_fault(fault, query))?;
        let echostr = signed.echostr.clone();
        let (place, encrypted) = match body {
            Some(body) => (Place::Encrypt, encrypted(body)?),
            None => (Place::Echostr, echostr.clone().ok_or(Cause::NoEchostr)?),
        };
        let had_spaces = place == Place::Echostr && encrypted.contains(' ');
        let encrypted = if had_spaces { encrypted.replace(' ', "+").into() } else { encrypted };
        let SignedQuery { msg_signature: signature, timestamp, nonce, .. } = signed;
        Ok(Self {
            reading: Reading { signature, timestamp, nonce, encrypted },
            place,
            had_spaces,
            echostr_beside_body: echostr.filter(|_| body.is_some()),
            corp: corp_in(path),
        })
    }
}

fn query_fault(fault: QueryFault, query: &str) -> Cause {
    let has = |name: &str| form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == name);
    match fault {
        QueryFault::Repeated(name) => Cause::Parameter(name, ParameterFault::Repeated),
        QueryFault::Missing(name) if has(&format!("amp;{name}")) => Cause::HtmlEscaped,
        QueryFault::Missing("msg_signature") if has("signature") => Cause::OfficialAccount,
        QueryFault::Missing(name) => Cause::Parameter(name, ParameterFault::Missing),
    }
}

/// The corp of `…/callback/{corpId}`.
fn corp_in(path: &str) -> Option<CorpId> {
    let (_, rest) = path.rsplit_once("/callback/")?;
    let corp = percent_decode_str(rest.trim_end_matches('/')).decode_utf8().ok()?;
    CorpId::parse(&corp).ok()
}

fn encrypted(body: &[u8]) -> Result<Cow<'_, str>, Cause> {
    match Envelope::parse(body) {
        Ok(envelope) => Ok(envelope.encrypted),
        Err(fault) => Err(Cause::Body(body_fault(fault, body))),
    }
}

fn body_fault(fault: EnvelopeFault, body: &[u8]) -> BodyFault {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    match fault {
        _ if text.is_empty() => BodyFault::Empty,
        EnvelopeFault::Xml(XmlFault::Dtd) => BodyFault::Dtd,
        EnvelopeFault::NoEncrypt if is_in_the_clear(body) => BodyFault::InTheClear,
        EnvelopeFault::NoEncrypt => BodyFault::NoEncrypt,
        EnvelopeFault::Xml(XmlFault::NotXml) if text.starts_with(['{', '[', '"']) => BodyFault::Json,
        EnvelopeFault::Xml(XmlFault::NotXml) if text.starts_with("&lt;") => BodyFault::Escaped,
        EnvelopeFault::Xml(XmlFault::NotXml) if is_cut(text) => BodyFault::Cut,
        EnvelopeFault::Xml(XmlFault::NotXml) => BodyFault::NotXml,
    }
}

fn is_in_the_clear(body: &[u8]) -> bool {
    xml::read(body, INNER_ELEMENTS).is_ok_and(|document| document.texts.iter().any(Option::is_some))
}

/// It begins as XML, and the root that it opened is never closed.
fn is_cut(text: &str) -> bool {
    let root = text.split_once("?>").filter(|_| text.starts_with("<?")).map_or(text, |(_, root)| root.trim_start());
    let Some(name) = root.strip_prefix('<') else { return false };
    let name: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
    !text.ends_with(&format!("</{name}>"))
}

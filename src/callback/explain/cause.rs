//! The causes, each with the one input that is wrong.

use std::fmt;

use super::Case;
use crate::callback::crypto::Opened;
use crate::callback::xml;
use crate::domain::CorpId;

/// The one input that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Token,
    AesKey,
    CorpId,
    Url,
    Body,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::AesKey => "aes-key",
            Self::CorpId => "corp-id",
            Self::Url => "url",
            Self::Body => "body",
        })
    }
}

/// Why a callback is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A signed parameter of the URL.
    Parameter(&'static str, ParameterFault),
    /// `&amp;` between the parameters.
    HtmlEscaped,
    /// `signature` where WeCom sends `msg_signature`.
    OfficialAccount,
    /// Neither a verification's `echostr` nor a body.
    NoEchostr,
    /// A body was posted to the URL of a verification.
    UrlOfAVerification,
    /// Genuine, but the URL's path names this corp.
    OtherPath(CorpId),
    /// The encrypted text.
    Text(Place, TextFault),
    Body(BodyFault),
    NoCredential,
    TokenFlaw(Flaw),
    TokenWrong,
    /// Neither token nor AES key is the app's.
    BothWrong,
    /// The pair that fits is declared for this corp.
    DeclaredElsewhere(CorpId),
    AesKeyFlaw(Flaw),
    AesKeyWrong,
    Swapped,
    /// One credential's token and another's AES key.
    PairsMixed,
    ReceiveId(Receiver),
    /// A callback of this corp.
    AnotherCorps(CorpId),
    /// Nothing fits, and the body is addressed to this corp.
    AddressedTo(CorpId),
    /// Nobody declared the corp.
    UnknownCorp,
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterFault {
    Missing,
    Repeated,
    EncodedTwice,
    DecodedTwice,
    PlusBecameSpace,
    /// White space or quotes around it.
    Padded,
    Uppercase,
    Cut,
    Malformed,
    Altered,
}

/// Where the encrypted text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Echostr,
    Encrypt,
}

/// What is wrong with the encrypted text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFault {
    PlusBecameSpace,
    EncodedTwice,
    /// The same text in another spelling.
    Respelled,
    Cut,
    Altered,
    /// Rightly signed, and no text that WeCom encrypts.
    SealedWrongly,
}

/// What is wrong with the outer XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    Empty,
    Json,
    Escaped,
    Dtd,
    Cut,
    NotXml,
    InTheClear,
    NoEncrypt,
    TooLarge,
    BrokeOff,
}

/// How a secret was typed or pasted wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    Empty,
    Spaces,
    Quotes,
    Equals,
    Length(usize),
    Characters,
}

/// For whom a text was encrypted that was not for the corp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    pub whom: Whom,
    pub expected: CorpId,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// An individual provider's app.
    Nobody,
    /// The same id in other letters.
    OtherCase(CorpId),
    /// A suite, or the template of a provider's custom apps.
    Suite(CorpId),
    /// Another corp that is known here.
    Neighbour(CorpId),
    Other(CorpId),
    /// No id at all.
    Unreadable,
}

impl Receiver {
    pub(super) fn of(opened: &Opened, case: &Case<'_>) -> Self {
        Self { whom: whom(opened, case), expected: case.corp.clone() }
    }
}

fn whom(opened: &Opened, case: &Case<'_>) -> Whom {
    let Ok(text) = std::str::from_utf8(&opened.receive_id) else { return Whom::Unreadable };
    if text.is_empty() {
        return Whom::Nobody;
    }
    let Ok(id) = CorpId::parse(text) else { return Whom::Unreadable };
    let is_named = xml::read(&opened.message, ["SuiteId"])
        .is_ok_and(|document| document.texts[0].as_deref().is_some_and(|suite| suite.trim() == text));
    match id {
        id if text.eq_ignore_ascii_case(case.corp.as_str()) => Whom::OtherCase(id),
        // Templates of custom apps alone have ids that begin so.
        id if is_named || text.starts_with("dk") => Whom::Suite(id),
        id if case.neighbours.iter().any(|neighbour| neighbour.corp == id) => Whom::Neighbour(id),
        id => Whom::Other(id),
    }
}

impl Cause {
    /// The one input that is wrong.
    pub fn wrong(&self) -> Input {
        match self {
            Self::Parameter(..)
            | Self::HtmlEscaped
            | Self::OfficialAccount
            | Self::NoEchostr
            | Self::UrlOfAVerification
            | Self::OtherPath(_)
            | Self::Text(Place::Echostr, _) => Input::Url,
            Self::Text(Place::Encrypt, _) | Self::Body(_) => Input::Body,
            Self::NoCredential
            | Self::TokenFlaw(_)
            | Self::TokenWrong
            | Self::BothWrong
            | Self::DeclaredElsewhere(_) => Input::Token,
            Self::AesKeyFlaw(_) | Self::AesKeyWrong | Self::Swapped | Self::PairsMixed => Input::AesKey,
            Self::ReceiveId(_) | Self::AnotherCorps(_) | Self::AddressedTo(_) | Self::UnknownCorp => Input::CorpId,
        }
    }
}

//! Why a callback fails verification, in the administrator's words: which one input is wrong, and what
//! to do about it.
//!
//! A pure function of what arrived and what it is checked with: the command line, the log and the admin
//! API say the same. The one decision a reader would question: it does not reason about how a callback
//! may have been changed, it tries. Each change that proxies, logs and people are known to make is
//! undone in turn, and a signature that then fits is proof, because 160 bits do not fit by chance.

mod arrived;
mod cause;
mod change;
mod search;
mod secrets;
mod text;
mod words;

pub use cause::{BodyFault, Cause, Flaw, Input, ParameterFault, Place, Receiver, TextFault, Whom};

use std::fmt;

use super::credentials::receives;
use super::crypto::{self, Opened};
use super::xml;
use crate::domain::{CallbackCredential, CorpId};

use arrived::Arrived;
use change::Reading;
use secrets::Opener;
use text::Opening;

/// Beyond this, only the plain reading of a text is looked at: WeCom's have a few hundred bytes, and
/// whoever sends more shall not make the gateway work more.
const UNDONE: usize = 64 * 1024;
/// The same for what hashes a text a thousand times.
const SEARCHED: usize = 4 * 1024;

/// What arrived, and what it is checked with.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub corp: &'a CorpId,
    /// The callback URL as WeCom called it, or its query alone.
    pub url: &'a str,
    /// What was posted; `None`: a verification.
    pub body: Option<&'a [u8]>,
    /// The corp's own credentials.
    pub credentials: &'a [Typed<'a>],
    /// Whoever else is known: a callback of theirs may have come to the wrong URL.
    pub neighbours: &'a [Neighbour],
    pub effort: Effort,
}

/// How far a changed timestamp is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Ten minutes to either side: some milliseconds of work, for a gateway that others keep busy.
    Small,
    /// A day to either side: for a person who waits a moment.
    Thorough,
}

/// A token and an AES key as somebody typed them in, right or wrong.
#[derive(Clone, Copy)]
pub struct Typed<'a> {
    pub token: &'a str,
    pub aes_key: &'a str,
    /// Empty: the corp id alone.
    pub receive_ids: &'a [String],
}

impl fmt::Debug for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("receive_ids", &self.receive_ids).finish_non_exhaustive()
    }
}

impl<'a> From<&'a CallbackCredential> for Typed<'a> {
    fn from(credential: &'a CallbackCredential) -> Self {
        Self {
            token: credential.pair.token().expose(),
            aes_key: credential.pair.aes_key().text().expose(),
            receive_ids: &credential.receive_ids,
        }
    }
}

/// Another corp that is known here.
#[derive(Debug, Clone)]
pub struct Neighbour {
    pub corp: CorpId,
    pub credentials: Vec<CallbackCredential>,
}

/// `Ok`: the callback is genuine, and nothing is wrong with the way it came.
pub fn explain(case: &Case<'_>) -> Result<(), Cause> {
    let arrived = Arrived::read(case.url, case.body)?;
    let openers = secrets::openers(case.credentials)?;
    let looks = openers.iter().map(|opener| Look::at(&arrived.reading, opener)).collect();
    Inquiry { case, arrived, looks }.verdict()
}

/// What one credential makes of the callback.
struct Look<'o, 'c> {
    opener: &'o Opener<'c>,
    signed: bool,
    opening: Opening,
}

impl<'o, 'c> Look<'o, 'c> {
    fn at(reading: &Reading<'_>, opener: &'o Opener<'c>) -> Self {
        let opening = Opening::of(&opener.key, &reading.encrypted);
        Self { opener, signed: reading.is_signed_with(opener.typed.token), opening }
    }

    fn opened(&self) -> Option<&Opened> {
        match &self.opening {
            Opening::Whole(opened) => Some(opened),
            Opening::Partly | Opening::Nothing => None,
        }
    }
}

struct Inquiry<'i, 'c> {
    case: &'i Case<'c>,
    arrived: Arrived<'c>,
    looks: Vec<Look<'i, 'c>>,
}

impl Inquiry<'_, '_> {
    /// From what is certain to what is likely.
    fn verdict(&self) -> Result<(), Cause> {
        if self.is_taken() {
            return self.on_its_way();
        }
        let cause = self
            .signed_but_shut()
            .or_else(|| self.changed())
            .or_else(|| self.a_neighbours())
            .or_else(|| self.without_credential())
            .or_else(|| self.opened_but_unsigned())
            .or_else(|| self.spoiled())
            .or_else(|| self.addressed_elsewhere());
        Err(cause.unwrap_or(Cause::BothWrong))
    }

    /// As `credentials::open` decides.
    fn is_taken(&self) -> bool {
        self.looks.iter().any(|look| {
            let receive_ids = look.opener.typed.receive_ids;
            look.signed && look.opened().is_some_and(|it| receives(receive_ids, self.case.corp, &it.receive_id))
        })
    }

    /// The gateway takes it, but what brought it is not in order.
    fn on_its_way(&self) -> Result<(), Cause> {
        if self.arrived.had_spaces {
            return Err(Cause::Text(Place::Echostr, TextFault::PlusBecameSpace));
        }
        match &self.arrived.corp {
            Some(named) if named != self.case.corp => Err(Cause::OtherPath(named.clone())),
            _ => Ok(()),
        }
    }

    /// The token is right.
    fn signed_but_shut(&self) -> Option<Cause> {
        let signed = || self.looks.iter().filter(|look| look.signed);
        if let Some(opened) = signed().find_map(Look::opened) {
            return Some(Cause::ReceiveId(Receiver::of(opened, self.case)));
        }
        signed().next()?;
        let is_no_text = text::fault_of(&self.arrived.reading.encrypted).is_some();
        if is_no_text || signed().any(|look| matches!(look.opening, Opening::Partly)) {
            return Some(Cause::Text(self.arrived.place, TextFault::SealedWrongly));
        }
        let opens_another = self.looks.iter().any(|look| look.opened().is_some());
        Some(if opens_another { Cause::PairsMixed } else { Cause::AesKeyWrong })
    }

    /// One change undone, and the signature fits.
    fn changed(&self) -> Option<Cause> {
        let reading = &self.arrived.reading;
        let tokens = || self.looks.iter().map(|look| look.opener.typed.token);
        for look in &self.looks {
            let typed = look.opener.typed;
            if let Some((flaw, clean)) = secrets::token_flaw(typed.token)
                && reading.is_signed_with(clean)
            {
                return Some(Cause::TokenFlaw(flaw));
            }
        }
        if let Some(echostr) = &self.arrived.echostr_beside_body {
            let verification = Reading { encrypted: echostr.clone(), ..reading.clone() };
            if tokens().any(|token| verification.is_signed_with(token)) {
                return Some(Cause::UrlOfAVerification);
            }
        }
        if reading.encrypted.len() > UNDONE {
            return None;
        }
        let undone = change::undone(reading, self.arrived.place);
        let fits = |reading: &Reading<'_>| tokens().any(|token| reading.is_signed_with(token));
        let known = undone.into_iter().find(|(_, reading)| fits(reading)).map(|(cause, _)| cause);
        known.or_else(|| tokens().find_map(|token| change::of_signature(reading, token)))
    }

    /// Another corp's credential signs it.
    fn a_neighbours(&self) -> Option<Cause> {
        let reading = &self.arrived.reading;
        if reading.encrypted.len() > SEARCHED {
            return None;
        }
        let signs = |one: &&CallbackCredential| reading.is_signed_with(one.pair.token().expose());
        let others = self.case.neighbours.iter().filter(|neighbour| neighbour.corp != *self.case.corp);
        let (corp, credential) =
            others.into_iter().find_map(|other| Some((&other.corp, other.credentials.iter().find(signs)?)))?;
        let opened = crypto::decrypt(credential.pair.aes_key().key(), &reading.encrypted);
        let is_ours = opened.is_ok_and(|opened| opened.receive_id == self.case.corp.as_str().as_bytes());
        Some(if is_ours { Cause::DeclaredElsewhere(corp.clone()) } else { Cause::AnotherCorps(corp.clone()) })
    }

    fn without_credential(&self) -> Option<Cause> {
        self.looks.is_empty().then_some(Cause::NoCredential)
    }

    /// The AES key is right: so the token is wrong, or what was signed has changed.
    fn opened_but_unsigned(&self) -> Option<Cause> {
        let reading = &self.arrived.reading;
        let (look, opened) = self.looks.iter().find_map(|look| Some((look, look.opened()?)))?;
        if !text::is_clean(opened) {
            return Some(Cause::Text(self.arrived.place, TextFault::Altered));
        }
        let malformed = change::malformed(reading);
        let is_searched = malformed.is_none() && reading.encrypted.len() <= SEARCHED;
        let search = search::Search { reading, token: look.opener.typed.token, effort: self.case.effort };
        if let Some(name) = is_searched.then(|| search.changed_parameter(&opened.message)).flatten() {
            return Some(Cause::Parameter(name, ParameterFault::Altered));
        }
        let flaw = secrets::token_flaw(look.opener.typed.token).map(|(flaw, _)| Cause::TokenFlaw(flaw));
        Some(malformed.or(flaw).unwrap_or(Cause::TokenWrong))
    }

    /// Nothing fits, but what arrived cannot have been whole.
    fn spoiled(&self) -> Option<Cause> {
        let fault = text::fault_of(&self.arrived.reading.encrypted);
        let is_readable = self.looks.iter().any(|look| matches!(look.opening, Opening::Partly));
        let text = fault.or_else(|| is_readable.then_some(TextFault::Altered));
        let text = text.map(|fault| Cause::Text(self.arrived.place, fault));
        text.or_else(|| change::malformed(&self.arrived.reading))
    }

    /// The outer `ToUserName` carries no signature: it is heard only when nothing else speaks.
    fn addressed_elsewhere(&self) -> Option<Cause> {
        let document = xml::read(self.case.body?, ["ToUserName"]).ok()?;
        let [to] = document.texts;
        let to = CorpId::parse(to?.trim()).ok()?;
        let is_ours = |typed: &Typed<'_>| receives(typed.receive_ids, self.case.corp, to.as_str().as_bytes());
        let ours = to == *self.case.corp || self.case.credentials.iter().any(is_ours);
        (!ours).then_some(Cause::AddressedTo(to))
    }
}

#[cfg(test)]
mod tests;

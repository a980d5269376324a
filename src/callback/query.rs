//! The query that WeCom signs a callback with.

use std::borrow::Cow;

/// Which parameter is at fault. The public answer says only that one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    #[error("the query has no {0}: forward WeCom's query string as it is")]
    Missing(&'static str),
    #[error("the query has {0} more than once: forward WeCom's query string as it is")]
    Repeated(&'static str),
}

/// The signed parameters, percent-decoded. Others, such as those configured in the URL, are ignored.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedQuery<'q> {
    /// As it came.
    pub raw: &'q str,
    pub msg_signature: Cow<'q, str>,
    pub timestamp: Cow<'q, str>,
    pub nonce: Cow<'q, str>,
    /// Present in URL verifications only.
    pub echostr: Option<Cow<'q, str>>,
}

impl<'q> SignedQuery<'q> {
    /// For a message: the signature of a `POST`.
    pub fn parse(raw: &'q str) -> Result<Self, QueryFault> {
        const NAMES: [&str; 4] = ["msg_signature", "timestamp", "nonce", "echostr"];
        let mut found: [Option<Cow<'q, str>>; 4] = [const { None }; 4];
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            let Some(index) = NAMES.iter().position(|wanted| *wanted == name) else { continue };
            if found[index].replace(value).is_some() {
                return Err(QueryFault::Repeated(NAMES[index]));
            }
        }
        let [msg_signature, timestamp, nonce, echostr] = found.map(|value| value.filter(|value| !value.is_empty()));
        Ok(Self {
            raw,
            msg_signature: msg_signature.ok_or(QueryFault::Missing(NAMES[0]))?,
            timestamp: timestamp.ok_or(QueryFault::Missing(NAMES[1]))?,
            nonce: nonce.ok_or(QueryFault::Missing(NAMES[2]))?,
            echostr,
        })
    }

    /// The base64 of a URL verification. Some proxies turn its `+` into a space, which base64 never holds.
    pub fn echostr(&self) -> Result<Cow<'_, str>, QueryFault> {
        let echostr = self.echostr.as_deref().ok_or(QueryFault::Missing("echostr"))?;
        Ok(if echostr.contains(' ') { echostr.replace(' ', "+").into() } else { echostr.into() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wants_each_parameter_once() {
        let query = SignedQuery::parse("corpid=$X$&msg_signature=s&timestamp=1&nonce=n&echostr=a+b%2Bc%3D").unwrap();
        assert_eq!(query.echostr().unwrap(), "a+b+c=");
        let missing = SignedQuery::parse("msg_signature=s&timestamp=&nonce=n");
        assert_eq!(missing.unwrap_err(), QueryFault::Missing("timestamp"));
        let repeated = SignedQuery::parse("msg_signature=s&timestamp=1&nonce=n&nonce=n");
        assert_eq!(repeated.unwrap_err(), QueryFault::Repeated("nonce"));
        let message = SignedQuery::parse("msg_signature=s&timestamp=1&nonce=n").unwrap();
        assert_eq!(message.echostr().unwrap_err(), QueryFault::Missing("echostr"));
    }

    proptest! {
        #[test]
        fn survives_any_text(text: String) {
            let _ = SignedQuery::parse(&text);
        }
    }
}

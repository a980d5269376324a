//! A failure as it lies in Redis: WeCom's own errcode and text, never a secret.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::error::TokenError;
use super::super::failure::Failure;
use crate::wecom::{Api, Errcode, Refusal};

/// In this order they are read.
pub(super) const FIELDS: [&str; 4] = ["errcode", "errmsg", "until", "before"];

/// What `HMGET` answers.
pub(super) type Row = (Option<String>, Option<String>, Option<String>, Option<String>);

/// `None`: it is not one that replicas share.
pub(super) fn write(failure: &Failure) -> Option<[(&'static str, String); 4]> {
    let TokenError::Refused(refusal) = &failure.error else { return None };
    Some([
        ("errcode", refusal.errcode.0.to_string()),
        ("errmsg", refusal.errmsg.clone()),
        ("until", failure.until.as_millisecond().to_string()),
        ("before", failure.before.to_string()),
    ])
}

/// `None`: there is none, or none that can be read.
pub(super) fn read(row: Row) -> Option<Failure> {
    let (Some(errcode), Some(errmsg), Some(until), Some(before)) = row else { return None };
    let refusal = Refusal { errcode: Errcode(errcode.parse().ok()?), errmsg, api: Api::GetToken };
    let until = Timestamp::from_millisecond(until.parse().ok()?).ok()?;
    Some(Failure { error: TokenError::Refused(Arc::new(refusal)), until, before: before.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_comes_back_and_an_outage_is_not_shared() {
        let refusal = Refusal { errcode: Errcode(40001), errmsg: "no".into(), api: Api::GetToken };
        let error = TokenError::Refused(Arc::new(refusal));
        let failure = Failure { error, until: Timestamp::from_second(7).unwrap(), before: 3 };
        let row = write(&failure).unwrap().map(|(_, value)| Some(value));
        assert_eq!(read(row.into()), Some(failure.clone()));
        let outage = Failure { error: TokenError::Unavailable("down".into()), ..failure };
        assert_eq!(write(&outage), None);
        assert_eq!(read(Row::default()), None);
    }
}

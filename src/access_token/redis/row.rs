//! A token as it lies in Redis: a hash, in which the token alone is sealed. Its times stay readable,
//! because the fence, a script inside of Redis, compares them.

use jiff::Timestamp;

use super::keys;
use crate::domain::{AppKey, Secret};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Result, StoreError, StoredToken};

/// In this order they are read and written.
pub(super) const FIELDS: [&str; 4] = ["access_token", "fetched_at", "expires_at", "renewed_to_same"];

/// What `HMGET` answers. Texts, because the driver takes a number that is none for a fault of the server.
pub(super) type Row = (Option<String>, Option<String>, Option<String>, Option<String>);

/// The values of [`FIELDS`].
pub(super) fn write(keys: &MasterKeys, token: &StoredToken) -> Result<[String; 4]> {
    let name = keys::app_name(&token.app);
    Ok([
        keys.seal(&place(&name), &token.access_token)?,
        token.fetched_at.as_millisecond().to_string(),
        token.expires_at.as_millisecond().to_string(),
        u8::from(token.renewed_to_same).to_string(),
    ])
}

/// `None`: there is no token.
pub(super) fn read(keys: &MasterKeys, app: &AppKey, row: Row) -> Result<Option<StoredToken>> {
    let (Some(sealed), Some(fetched_at), Some(expires_at), Some(renewed_to_same)) = row else { return Ok(None) };
    let name = keys::app_name(app);
    let access_token: Secret = keys.open(&place(&name), &sealed)?;
    let time = |text: String| {
        let moment = text.parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        moment.ok_or_else(|| damaged(&name))
    };
    Ok(Some(StoredToken {
        app: app.clone(),
        access_token,
        fetched_at: time(fetched_at)?,
        expires_at: time(expires_at)?,
        renewed_to_same: renewed_to_same == "1",
    }))
}

fn place(name: &str) -> Place<'_> {
    Place { table: "access_token", row: name, field: "access_token" }
}

fn damaged(name: &str) -> StoreError {
    StoreError::Damaged { place: place(name).to_string(), reason: "its time is none".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::super::testkit::token;
    use super::*;

    fn row(values: [String; 4]) -> Row {
        values.map(Some).into()
    }

    #[test]
    fn every_field_comes_back_and_the_token_lies_sealed() {
        let keys = MasterKeys::parse(&MasterKeys::generate()).unwrap();
        let token = StoredToken { renewed_to_same: true, ..token("T0K3N", 100) };
        let written = write(&keys, &token).unwrap();
        assert!(!format!("{written:?}").contains("T0K3N"));
        assert_eq!(read(&keys, &token.app, row(written)), Ok(Some(token)));
    }

    #[test]
    fn a_token_of_another_key_or_app_does_not_open() {
        let keys = MasterKeys::parse(&MasterKeys::generate()).unwrap();
        let token = token("T", 100);
        let written = row(write(&keys, &token).unwrap());
        assert!(matches!(read(&MasterKeys::none(), &token.app, written.clone()), Err(StoreError::KeyMissing { .. })));
        let other = crate::wecom::fake::app("ww2", "s").key();
        assert!(matches!(read(&keys, &other, written), Err(StoreError::Damaged { .. })));
        assert_eq!(read(&keys, &token.app, Row::default()), Ok(None));
    }

    #[test]
    fn a_time_that_is_none_is_damage() {
        let (keys, token) = (MasterKeys::none(), token("T", 100));
        for text in ["", "soon", "99999999999999999"] {
            let row = (Some("T".into()), Some(text.to_owned()), Some("1".into()), Some("0".into()));
            assert!(matches!(read(&keys, &token.app, row), Err(StoreError::Damaged { .. })), "{text}");
        }
    }
}

//! A token as it lies in Redis: a hash, in which the token alone is sealed. Its times stay readable,
//! because the fence, a script inside of Redis, compares them.

use jiff::Timestamp;

use super::keys;
use crate::domain::{AppKey, Secret};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Result, StoreError, StoredToken};

/// In this order they are read and written.
pub(super) const FIELDS: [&str; 4] = ["access_token", "fetched_at", "expires_at", "renewed_to_same"];

/// What `HMGET` answers.
pub(super) type Row = (Option<String>, Option<i64>, Option<i64>, Option<bool>);

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
    let time = |ms| Timestamp::from_millisecond(ms).map_err(|_| damaged(&name));
    let (fetched_at, expires_at) = (time(fetched_at)?, time(expires_at)?);
    Ok(Some(StoredToken { app: app.clone(), access_token, fetched_at, expires_at, renewed_to_same }))
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
        let [sealed, fetched_at, expires_at, same] = values;
        (Some(sealed), fetched_at.parse().ok(), expires_at.parse().ok(), Some(same == "1"))
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
        assert_eq!(read(&keys, &token.app, (None, Some(1), Some(1), Some(true))), Ok(None));
    }
}

//! A token as it lies in Redis: a hash, in which the token and the app's secret are sealed. Its times stay readable,
//! because the fence, a script inside of Redis, compares them.

use jiff::Timestamp;

use super::keys;
use crate::domain::{AppKey, Secret};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Result, StoreError, StoredToken};

/// In this order they are read and written.
pub(super) const FIELDS: [&str; 5] = ["access_token", "fetched_at", "expires_at", "renewed_to_same", "corp_secret"];

/// What `HMGET` answers. Texts, because the driver takes a number that is none for a fault of the server.
pub(super) type Row = (Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);

/// The values of [`FIELDS`]. A secret that lacks is empty.
pub(super) fn write(keys: &MasterKeys, token: &StoredToken) -> Result<[String; 5]> {
    let name = keys::app_name(&token.app);
    let secret = token.corp_secret.as_ref().map(|secret| keys.seal(&place(&name, "corp_secret"), secret));
    Ok([
        keys.seal(&place(&name, "access_token"), &token.access_token)?,
        token.fetched_at.as_millisecond().to_string(),
        token.expires_at.as_millisecond().to_string(),
        u8::from(token.renewed_to_same).to_string(),
        secret.transpose()?.unwrap_or_default(),
    ])
}

/// `None`: there is no token.
pub(super) fn read(keys: &MasterKeys, app: &AppKey, row: Row) -> Result<Option<StoredToken>> {
    let (Some(sealed), Some(fetched_at), Some(expires_at), Some(renewed_to_same), secret) = row else {
        return Ok(None);
    };
    let name = keys::app_name(app);
    let access_token: Secret = keys.open(&place(&name, "access_token"), &sealed)?;
    let secret = secret.filter(|sealed| !sealed.is_empty());
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
        // Without it the token is of use all the same.
        corp_secret: secret.and_then(|sealed| keys.open(&place(&name, "corp_secret"), &sealed).ok()),
        // Redis has whose they were, each by itself.
        superseded: Vec::new(),
    }))
}

fn place<'a>(name: &'a str, field: &'a str) -> Place<'a> {
    Place { table: "access_token", row: name, field }
}

fn damaged(name: &str) -> StoreError {
    StoreError::Damaged { place: place(name, "access_token").to_string(), reason: "its time is none".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::super::testkit::token;
    use super::*;

    fn row(values: [String; 5]) -> Row {
        values.map(Some).into()
    }

    #[test]
    fn every_field_comes_back_and_the_token_lies_sealed() {
        let keys = MasterKeys::parse(&MasterKeys::generate()).unwrap();
        let corp_secret = Some(Secret::new("S3CR3T"));
        let token = StoredToken { renewed_to_same: true, corp_secret, ..token("T0K3N", 100) };
        let written = write(&keys, &token).unwrap();
        assert!(!format!("{written:?}").contains("T0K3N") && !format!("{written:?}").contains("S3CR3T"));
        assert_eq!(read(&keys, &token.app, row(written.clone())), Ok(Some(token.clone())));
        let mut earlier = row(written);
        earlier.4 = None;
        assert_eq!(read(&keys, &token.app, earlier), Ok(Some(StoredToken { corp_secret: None, ..token })));
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
            let row = (Some("T".into()), Some(text.to_owned()), Some("1".into()), Some("0".into()), None);
            assert!(matches!(read(&keys, &token.app, row), Err(StoreError::Damaged { .. })), "{text}");
        }
    }
}

//! Cached access tokens.

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use rusqlite::{Row, params};

use super::SqliteStore;
use super::rows::{change, opened, parsed, select, select_one, time};
use crate::domain::{AppKey, CorpId, Fingerprint};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Result, StoredToken, Tokens, superseded};

const TOKEN: &str = "SELECT * FROM access_token WHERE corp_id = ? AND secret_id = ?";
const TOKENS: &str = "SELECT * FROM access_token ORDER BY corp_id, secret_id";
const PUT: &str = "
INSERT INTO access_token (corp_id, secret_id, access_token, fetched_at, expires_at, renewed_to_same, corp_secret,
  superseded)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET access_token = excluded.access_token, fetched_at = excluded.fetched_at,
  expires_at = excluded.expires_at, renewed_to_same = excluded.renewed_to_same,
  corp_secret = excluded.corp_secret, superseded = excluded.superseded
WHERE excluded.fetched_at >= access_token.fetched_at";

#[async_trait]
impl Tokens for SqliteStore {
    async fn token(&self, app: &AppKey) -> Result<Option<StoredToken>> {
        let app = app.clone();
        self.read_sealed(move |db, keys| {
            select_one(db, TOKEN, [app.corp_id.as_str(), app.secret.as_str()], |row| read_token(keys, row))
        })
        .await
    }

    async fn tokens(&self) -> Result<Vec<StoredToken>> {
        self.read_sealed(|db, keys| select(db, TOKENS, (), |row| read_token(keys, row))).await
    }

    /// Lost by a power cut, it costs one upstream call.
    async fn put_token(&self, token: &StoredToken) -> Result<()> {
        let token = token.clone();
        let row = row_name(&token.app);
        let sealed = self.keys.seal(&place(&row, "access_token"), &token.access_token)?;
        let secret = token.corp_secret.as_ref().map(|secret| self.keys.seal(&place(&row, "corp_secret"), secret));
        let secret = secret.transpose()?;
        self.write_lightly(move |db| {
            let values = params![
                token.app.corp_id.as_str(),
                token.app.secret.as_str(),
                sealed,
                token.fetched_at.as_millisecond(),
                token.expires_at.as_millisecond(),
                token.renewed_to_same,
                secret,
                superseded::to_text(&token.superseded),
            ];
            change(db, PUT, values).map(drop)
        })
        .await
    }
}

fn row_name(app: &AppKey) -> String {
    format!("{}/{}", app.corp_id, app.secret)
}

fn place<'a>(row: &'a str, field: &'a str) -> Place<'a> {
    Place { table: "access_token", row, field }
}

fn read_token(keys: &MasterKeys, row: &Row<'_>) -> Result<StoredToken> {
    let app = AppKey {
        corp_id: parsed(row, "corp_id", CorpId::parse)?,
        secret: Fingerprint::from_text(row.get::<_, String>("secret_id")?),
    };
    let name = row_name(&app);
    let has_secret = row.get_ref("corp_secret")? != ValueRef::Null;
    Ok(StoredToken {
        access_token: opened(row, keys, &place(&name, "access_token"))?,
        corp_secret: has_secret.then(|| opened(row, keys, &place(&name, "corp_secret"))).transpose()?,
        fetched_at: time(row, "fetched_at")?,
        expires_at: time(row, "expires_at")?,
        renewed_to_same: row.get("renewed_to_same")?,
        superseded: superseded::from_text(&row.get::<_, String>("superseded")?),
        app,
    })
}

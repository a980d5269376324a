//! Cached access tokens.

use async_trait::async_trait;
use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};

use super::MongoStore;
use super::connection::{Limit, Promise, collection};
use super::documents::{date, flag, opened, optional, parsed, readable, text, time};
use super::error::is_duplicate_key;
use crate::domain::{AppKey, CorpId, Fingerprint};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Result, StoredToken, Tokens, superseded};

pub(super) const TOKENS: &str = "wxkf_gateway_tokens";

#[async_trait]
impl Tokens for MongoStore {
    async fn token(&self, app: &AppKey) -> Result<Option<StoredToken>> {
        let filter = doc! { "_id": row_name(app) };
        let find = async |db| collection(&db, TOKENS, Promise::Light).find_one(filter).await;
        let found = self.connection.run(Limit::Callback, find).await?;
        found.map(|document| read_token(&self.keys, &document)).transpose()
    }

    async fn tokens(&self) -> Result<Vec<StoredToken>> {
        let find = async |db| collection(&db, TOKENS, Promise::Light).find(doc! {}).await?.try_collect().await;
        let documents: Vec<_> = self.connection.run(Limit::Background, find).await?;
        let mut tokens = readable(&documents, |document| read_token(&self.keys, document))?;
        tokens.sort_by(|one, other| one.app.cmp(&other.app));
        Ok(tokens)
    }

    /// Where a token fetched later is there, the filter misses it, and the insertion meets its id.
    async fn put_token(&self, token: &StoredToken) -> Result<()> {
        let id = row_name(&token.app);
        let sealed = self.keys.seal(&place(&id, "access_token"), &token.access_token)?;
        let secret = token.corp_secret.as_ref().map(|secret| self.keys.seal(&place(&id, "corp_secret"), secret));
        let secret = secret.transpose()?;
        let filter = doc! { "_id": id, "fetchedAt": { "$lte": date(token.fetched_at) } };
        let update = doc! { "$set": {
            "corpId": token.app.corp_id.as_str(),
            "secretId": token.app.secret.as_str(),
            "accessToken": sealed,
            "fetchedAt": date(token.fetched_at),
            "expiresAt": date(token.expires_at),
            "renewedToSame": token.renewed_to_same,
            "corpSecret": secret,
            "superseded": superseded::to_text(&token.superseded),
        } };
        let put = async |db| match collection(&db, TOKENS, Promise::Light).update_one(filter, update).upsert(true).await
        {
            Err(error) if is_duplicate_key(&error) => Ok(()),
            other => other.map(drop),
        };
        self.connection.run(Limit::Callback, put).await
    }
}

fn row_name(app: &AppKey) -> String {
    format!("{}/{}", app.corp_id, app.secret)
}

fn place<'a>(row: &'a str, field: &'a str) -> Place<'a> {
    Place { table: "access_token", row, field }
}

fn read_token(keys: &MasterKeys, document: &Document) -> Result<StoredToken> {
    let app = AppKey {
        corp_id: parsed(document, "corpId", CorpId::parse)?,
        secret: Fingerprint::from_text(text(document, "secretId")?),
    };
    let name = row_name(&app);
    let secret = |document: &Document, field: &str| opened(document, field, keys, &place(&name, "corp_secret"));
    Ok(StoredToken {
        access_token: opened(document, "accessToken", keys, &place(&name, "access_token"))?,
        corp_secret: optional(document, "corpSecret", secret)?,
        fetched_at: time(document, "fetchedAt")?,
        expires_at: time(document, "expiresAt")?,
        renewed_to_same: flag(document, "renewedToSame"),
        superseded: optional(document, "superseded", text)?.map(superseded::from_text).unwrap_or_default(),
        app,
    })
}

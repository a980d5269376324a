//! Declared corps: a row a corp, a row a credential, a row a service.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::rows::{change, damaged, opened, parsed, select, select_one, time};
use super::services::{self, SealedService};
use crate::domain::{CallbackCredential, Corp, CorpId, CorpSource, EncodingAesKey, Fingerprint, Pair};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Corps, Result};

const CORP: &str = "SELECT * FROM corp WHERE id = ?";
const CORPS: &str = "SELECT * FROM corp ORDER BY id";
const CREDENTIALS: &str = "SELECT * FROM corp_credential WHERE corp_id = ? ORDER BY position";

#[async_trait]
impl Corps for SqliteStore {
    async fn corp(&self, id: &CorpId) -> Result<Option<Corp>> {
        let id = id.clone();
        self.read_sealed(move |db, keys| {
            // One snapshot: a declaration replaced in between must not be read by halves.
            let snapshot = db.unchecked_transaction()?;
            select_one(&snapshot, CORP, [id.as_str()], |row| read_corp(&snapshot, keys, row))
        })
        .await
    }

    async fn corps(&self) -> Result<Vec<Corp>> {
        self.read_sealed(|db, keys| {
            let snapshot = db.unchecked_transaction()?;
            select(&snapshot, CORPS, (), |row| read_corp(&snapshot, keys, row))
        })
        .await
    }

    async fn put_corp(&self, corp: &Corp) -> Result<()> {
        let id = corp.id.clone();
        let updated_at = corp.updated_at.as_millisecond();
        let place = Place { table: "corp", row: id.as_str(), field: "wecom_proxy" };
        let proxy = corp.wecom_proxy.as_ref().map(|proxy| self.keys.seal(&place, proxy)).transpose()?;
        let credentials = corp.credentials.iter().enumerate();
        let credentials: Vec<_> =
            credentials.map(|(at, credential)| self.sealed(&id, at, credential)).collect::<Result<_>>()?;
        let services: Vec<SealedService> =
            corp.services.iter().map(|service| SealedService::seal(&self.keys, &id, service)).collect::<Result<_>>()?;
        self.write(move |db| {
            change(db, "INSERT OR REPLACE INTO corp VALUES (?, ?, ?)", params![id.as_str(), proxy, updated_at])?;
            change(db, "DELETE FROM corp_credential WHERE corp_id = ?", [id.as_str()])?;
            credentials.iter().try_for_each(|credential| credential.insert(db, &id))?;
            services::replace(db, &id, &services)
        })
        .await
    }

    async fn delete_corp(&self, id: &CorpId) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| {
            change(db, "DELETE FROM corp_credential WHERE corp_id = ?", [id.as_str()])?;
            services::replace(db, &id, &[])?;
            Ok(change(db, "DELETE FROM corp WHERE id = ?", [id.as_str()])? > 0)
        })
        .await
    }
}

/// A credential as it is stored.
struct SealedCredential {
    position: i64,
    id: Fingerprint,
    token: String,
    aes_key: String,
    receive_ids: String,
    label: Option<String>,
}

impl SealedCredential {
    fn insert(&self, db: &Connection, corp: &CorpId) -> Result<()> {
        let Self { position, id, token, aes_key, receive_ids, label } = self;
        let values = params![corp.as_str(), position, id.as_str(), token, aes_key, receive_ids, label];
        change(db, "INSERT INTO corp_credential VALUES (?, ?, ?, ?, ?, ?, ?)", values).map(drop)
    }
}

impl SqliteStore {
    fn sealed(&self, corp: &CorpId, position: usize, credential: &CallbackCredential) -> Result<SealedCredential> {
        let row = format!("{corp}/{position}");
        let receive_ids = serde_json::to_string(&credential.receive_ids);
        Ok(SealedCredential {
            position: super::rows::limit(position),
            id: credential.pair.id().clone(),
            token: self.keys.seal(&place(&row, "token"), credential.pair.token())?,
            aes_key: self.keys.seal(&place(&row, "aes_key"), credential.pair.aes_key().text())?,
            receive_ids: receive_ids.map_err(|error| damaged("receive_ids", &error.to_string()))?,
            label: credential.label.clone(),
        })
    }
}

fn place<'a>(row: &'a str, field: &'a str) -> Place<'a> {
    Place { table: "corp_credential", row, field }
}

fn read_corp(db: &Connection, keys: &MasterKeys, row: &Row<'_>) -> Result<Corp> {
    let id = parsed(row, "id", CorpId::parse)?;
    let place = Place { table: "corp", row: id.as_str(), field: "wecom_proxy" };
    let proxy: Option<String> = row.get(place.field)?;
    Ok(Corp {
        source: CorpSource::Admin,
        credentials: select(db, CREDENTIALS, [id.as_str()], |row| read_credential(keys, row))?,
        wecom_proxy: proxy.map(|proxy| keys.open(&place, &proxy)).transpose()?,
        services: services::select_of(db, keys, &id)?,
        updated_at: time(row, "updated_at")?,
        id,
    })
}

fn read_credential(keys: &MasterKeys, row: &Row<'_>) -> Result<CallbackCredential> {
    let name = format!("{}/{}", row.get::<_, String>("corp_id")?, row.get::<_, i64>("position")?);
    let token = opened(row, keys, &place(&name, "token"))?;
    let aes_key = opened(row, keys, &place(&name, "aes_key"))?;
    let aes_key = EncodingAesKey::parse(aes_key.expose()).map_err(|rule| damaged(&name, rule.0))?;
    let receive_ids: String = row.get("receive_ids")?;
    Ok(CallbackCredential {
        pair: Pair::new(token, aes_key),
        receive_ids: serde_json::from_str(&receive_ids).map_err(|error| damaged(&name, &error.to_string()))?,
        label: row.get("label")?,
    })
}

//! Declared corps: one document each, so that a declaration is replaced in one step.

use async_trait::async_trait;
use futures::TryStreamExt as _;
use mongodb::bson::{Bson, Document, doc};

use super::connection::{Limit, Promise, collection};
use super::documents::{damaged, date, opened, optional, parsed, readable, text, time};
use super::services::{read_services, write_service};
use super::{MongoStore, retried};
use crate::domain::{CallbackCredential, Corp, CorpId, CorpSource, EncodingAesKey, Pair};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Corps, Result};

pub(super) const CORPS: &str = "wxkf_gateway_corps";

#[async_trait]
impl Corps for MongoStore {
    async fn corp(&self, id: &CorpId) -> Result<Option<Corp>> {
        let filter = doc! { "_id": id.as_str() };
        let find = async |db| collection(&db, CORPS, Promise::Durable).find_one(filter).await;
        let found = self.connection.run(Limit::Callback, find).await?;
        found.map(|document| read_corp(&self.keys, &document)).transpose()
    }

    async fn corps(&self) -> Result<Vec<Corp>> {
        let find = async |db| collection(&db, CORPS, Promise::Durable).find(doc! {}).await?.try_collect().await;
        let documents: Vec<_> = self.connection.run(Limit::Background, find).await?;
        let mut corps = readable(&documents, |document| read_corp(&self.keys, document))?;
        corps.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(corps)
    }

    async fn put_corp(&self, corp: &Corp) -> Result<()> {
        let document = write_corp(&self.keys, corp)?;
        let filter = doc! { "_id": corp.id.as_str() };
        let put = async |db| {
            let corps = collection(&db, CORPS, Promise::Durable);
            retried(|| corps.replace_one(filter.clone(), &document).upsert(true)).await.map(drop)
        };
        self.connection.write(Limit::Callback, put).await
    }

    async fn delete_corp(&self, id: &CorpId) -> Result<bool> {
        let filter = doc! { "_id": id.as_str() };
        let delete = async |db| collection(&db, CORPS, Promise::Durable).delete_one(filter).await;
        Ok(self.connection.write(Limit::Callback, delete).await?.deleted_count > 0)
    }
}

pub(super) fn proxy_place(id: &str) -> Place<'_> {
    Place { table: "corp", row: id, field: "wecom_proxy" }
}

/// What the values of a credential are bound to.
pub(super) fn credential_row(id: &str, position: usize) -> String {
    format!("{id}/{position}")
}

pub(super) fn credential_place<'a>(row: &'a str, field: &'a str) -> Place<'a> {
    Place { table: "corp_credential", row, field }
}

fn write_corp(keys: &MasterKeys, corp: &Corp) -> Result<Document> {
    let id = corp.id.as_str();
    let proxy = corp.wecom_proxy.as_ref().map(|proxy| keys.seal(&proxy_place(id), proxy)).transpose()?;
    let write = |(position, credential): (usize, &CallbackCredential)| -> Result<Bson> {
        let row = credential_row(id, position);
        Ok(Bson::Document(doc! {
            "id": credential.pair.id().as_str(),
            "token": keys.seal(&credential_place(&row, "token"), credential.pair.token())?,
            "encodingAESKey": keys.seal(&credential_place(&row, "aes_key"), credential.pair.aes_key().text())?,
            "receiveIds": &credential.receive_ids,
            "label": &credential.label,
        }))
    };
    let credentials = corp.credentials.iter().enumerate().map(write).collect::<Result<Vec<_>>>()?;
    let services = corp.services.iter().map(|service| write_service(keys, id, service)).collect::<Result<Vec<_>>>()?;
    Ok(doc! {
        "_id": id,
        "wecomProxy": proxy,
        "updatedAt": date(corp.updated_at),
        "credentials": credentials,
        "services": services,
    })
}

fn read_corp(keys: &MasterKeys, document: &Document) -> Result<Corp> {
    let id = parsed(document, "_id", CorpId::parse)?;
    let credentials = document.get_array("credentials").map_err(|_| damaged("credentials", "it is no list"))?;
    let read = |(position, credential): (usize, &Bson)| {
        let credential = credential.as_document().ok_or_else(|| damaged("credentials", "one is no document"))?;
        read_credential(keys, &credential_row(id.as_str(), position), credential)
    };
    let place = proxy_place(id.as_str());
    Ok(Corp {
        source: CorpSource::Admin,
        credentials: credentials.iter().enumerate().map(read).collect::<Result<_>>()?,
        wecom_proxy: optional(document, "wecomProxy", |document, field| opened(document, field, keys, &place))?,
        services: read_services(keys, id.as_str(), document)?,
        updated_at: time(document, "updatedAt")?,
        id,
    })
}

fn read_credential(keys: &MasterKeys, row: &str, document: &Document) -> Result<CallbackCredential> {
    let token = opened(document, "token", keys, &credential_place(row, "token"))?;
    let aes_key = opened(document, "encodingAESKey", keys, &credential_place(row, "aes_key"))?;
    let aes_key = EncodingAesKey::parse(aes_key.expose()).map_err(|rule| damaged(row, rule.0))?;
    let receive_ids = document.get_array("receiveIds").map_err(|_| damaged("receiveIds", "it is no list"))?;
    let receive_id = |id: &Bson| id.as_str().map(str::to_owned).ok_or_else(|| damaged("receiveIds", "one is no text"));
    Ok(CallbackCredential {
        pair: Pair::new(token, aes_key),
        receive_ids: receive_ids.iter().map(receive_id).collect::<Result<_>>()?,
        label: optional(document, "label", text)?.map(str::to_owned),
    })
}

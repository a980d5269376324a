//! Registered bots: the original manager's own documents, so that it can go on with them after a way
//! back, as long as no `MASTER_KEY` seals their secrets. Fields of ours stand beside the original's.
//!
//! The pair's id is one of them: a large corp's distinct pairs are found by it without opening the
//! secrets of thousands of bots. The original does not know it, so it may be missing or out of date
//! there; [`prepare`](super::keys::prepare) puts it right.

use async_trait::async_trait;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use mongodb::bson::{Document, doc};

use super::connection::{Limit, Promise, collection};
use super::documents::{damaged, date, flag, opened, optional, parsed, readable, text, time};
use super::list::{Direction, List};
use super::{MongoStore, retried};
use crate::domain::{CorpId, EncodingAesKey, Endpoint, OpenKfId, Pair, Puppet};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Puppets, Result};

/// The name that mongoose gives to the original's model.
pub(super) const PUPPETS: &str = "wxkfpuppets";

#[async_trait]
impl Puppets for MongoStore {
    async fn puppet(&self, kf: &OpenKfId) -> Result<Option<Puppet>> {
        self.puppet_reads.submit(kf.clone()).await
    }

    async fn puppets_of(&self, corp: &CorpId) -> Result<Vec<Puppet>> {
        self.all_puppets(doc! { "corpId": corp.as_str() }).await
    }

    async fn puppets(&self, after: Option<&OpenKfId>, rows: usize) -> Result<Vec<Puppet>> {
        let all = List { collection: PUPPETS, field: "kfOpenId", direction: Direction::Up, filter: Document::new() };
        let read = |document: &Document| read_puppet(&self.keys, document);
        all.page(&self.connection, after.map(OpenKfId::as_str), rows, read).await
    }

    async fn pairs_of(&self, corp: &CorpId) -> Result<Vec<Pair>> {
        super::pairs::pairs_of(self, corp).await
    }

    async fn put_puppet(&self, puppet: &Puppet) -> Result<()> {
        let filter = doc! { "kfOpenId": puppet.kf_id.as_str() };
        let update = write_puppet(&self.keys, puppet)?;
        let put = async |db| {
            let puppets = collection(&db, PUPPETS, Promise::Durable);
            retried(|| puppets.update_one(filter.clone(), update.clone()).upsert(true)).await.map(drop)
        };
        self.connection.write(Limit::Callback, put).await
    }

    async fn set_offline(&self, kf: &OpenKfId, at: Timestamp) -> Result<bool> {
        let filter = doc! { "kfOpenId": kf.as_str() };
        let update = doc! { "$set": { "online": false, "lastOnlineDate": date(at) } };
        let set = async |db| collection(&db, PUPPETS, Promise::Durable).update_one(filter, update).await;
        Ok(self.connection.write(Limit::Callback, set).await?.matched_count > 0)
    }

    async fn set_away(
        &self,
        kf: &OpenKfId,
        registered_at: Option<Timestamp>,
        since: Option<Timestamp>,
    ) -> Result<bool> {
        let filter = doc! { "kfOpenId": kf.as_str(), "registeredAt": registered_at.map(date) };
        let update = match since {
            Some(since) => doc! { "$set": { "awaySince": date(since) } },
            None => doc! { "$unset": { "awaySince": "" } },
        };
        let set = async |db| collection(&db, PUPPETS, Promise::Light).update_one(filter, update).await;
        Ok(self.connection.run(Limit::Callback, set).await?.matched_count > 0)
    }

    async fn away_puppets(&self) -> Result<Vec<Puppet>> {
        self.all_puppets(doc! { "awaySince": { "$gt": date(Timestamp::UNIX_EPOCH) }, "online": true }).await
    }

    async fn delete_puppet(&self, kf: &OpenKfId) -> Result<bool> {
        let filter = doc! { "kfOpenId": kf.as_str() };
        let delete = async |db| collection(&db, PUPPETS, Promise::Durable).delete_many(filter).await;
        Ok(self.connection.write(Limit::Callback, delete).await?.deleted_count > 0)
    }
}

impl MongoStore {
    /// By kf id. Sorted here, because the server's sort of what it must read as a whole has a limit.
    async fn all_puppets(&self, filter: Document) -> Result<Vec<Puppet>> {
        let find = async |db| collection(&db, PUPPETS, Promise::Durable).find(filter).await?.try_collect().await;
        let documents: Vec<_> = self.connection.run(Limit::Background, find).await?;
        let mut puppets = readable(&documents, |document| read_puppet(&self.keys, document))?;
        puppets.sort_by(|one, other| one.kf_id.cmp(&other.kf_id));
        Ok(puppets)
    }
}

pub(super) fn place<'a>(kf: &'a str, field: &'a str) -> Place<'a> {
    Place { table: "puppet", row: kf, field }
}

/// An update, so that `_id` and what mongoose added stay.
fn write_puppet(keys: &MasterKeys, puppet: &Puppet) -> Result<Document> {
    let kf = puppet.kf_id.as_str();
    let mut set = doc! {
        "botEndpoint": puppet.endpoint.as_str(),
        "name": &puppet.name,
        "corpId": puppet.corp_id.as_str(),
        "corpSecret": keys.seal(&place(kf, "corp_secret"), &puppet.corp_secret)?,
        "token": keys.seal(&place(kf, "token"), puppet.pair.token())?,
        "encodingAESKey": keys.seal(&place(kf, "aes_key"), puppet.pair.aes_key().text())?,
        "online": puppet.online,
        "pairId": puppet.pair.id().as_str(),
    };
    let mut unset = Document::new();
    let times = [
        ("lastOnlineDate", puppet.last_online_at),
        ("registeredAt", puppet.registered_at),
        ("awaySince", puppet.away_since),
    ];
    for (field, value) in times {
        match value {
            Some(value) => set.insert(field, date(value)),
            None => unset.insert(field, ""),
        };
    }
    let mut update = doc! { "$set": set, "$setOnInsert": { "__v": 0 } };
    if !unset.is_empty() {
        update.insert("$unset", unset);
    }
    Ok(update)
}

pub(super) fn read_pair(keys: &MasterKeys, document: &Document) -> Result<Pair> {
    let kf = text(document, "kfOpenId")?;
    let place = |field| place(kf, field);
    let aes_key = opened(document, "encodingAESKey", keys, &place("aes_key"))?;
    let aes_key =
        EncodingAesKey::parse(aes_key.expose()).map_err(|rule| damaged(&place("aes_key").to_string(), rule.0))?;
    Ok(Pair::new(opened(document, "token", keys, &place("token"))?, aes_key))
}

/// The original requires its fields, but not that they mean anything.
pub(super) fn read_puppet(keys: &MasterKeys, document: &Document) -> Result<Puppet> {
    let kf_id = parsed(document, "kfOpenId", OpenKfId::parse)?;
    Ok(Puppet {
        name: optional(document, "name", text)?.unwrap_or_default().to_owned(),
        endpoint: parsed(document, "botEndpoint", Endpoint::parse)?,
        corp_id: parsed(document, "corpId", CorpId::parse)?,
        corp_secret: opened(document, "corpSecret", keys, &place(kf_id.as_str(), "corp_secret"))?,
        pair: read_pair(keys, document)?,
        online: flag(document, "online"),
        last_online_at: optional(document, "lastOnlineDate", time)?,
        registered_at: optional(document, "registeredAt", time)?,
        away_since: optional(document, "awaySince", time)?,
        kf_id,
    })
}

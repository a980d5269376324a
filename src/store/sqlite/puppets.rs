//! Registered bots. The pair's id stands in a column of its own, so that a corp's distinct pairs are
//! found without opening the secrets of ten thousand bots.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::SqliteStore;
use super::rows::{List, change, damaged, opened, optional_time, page, parsed, select, select_one};
use crate::domain::{CorpId, EncodingAesKey, Endpoint, OpenKfId, Pair, Puppet};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Puppets, Result};

const PUPPET: &str = "SELECT * FROM puppet WHERE kf_id = ?";
const OF_CORP: &str = "SELECT * FROM puppet WHERE corp_id = ? ORDER BY kf_id";
const ALL: List<'_> =
    List { column: "kf_id", sql: "SELECT * FROM puppet WHERE kf_id > ? ORDER BY kf_id LIMIT ?", filter: &[] };
const AWAY: &str = "SELECT * FROM puppet WHERE online AND away_since IS NOT NULL ORDER BY kf_id";
/// SQLite takes `kf_id` from the row that has the maximum.
const PAIRS: &str = "
SELECT puppet.* FROM
  (SELECT kf_id, max(registered_at) AS latest FROM puppet WHERE corp_id = ? GROUP BY pair_id) pair
  JOIN puppet USING (kf_id) ORDER BY latest DESC, kf_id";
const PUT: &str = "
INSERT OR REPLACE INTO puppet (kf_id, corp_id, name, endpoint, corp_secret, token, aes_key, pair_id,
  online, last_online_at, registered_at, away_since)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const SET_OFFLINE: &str = "UPDATE puppet SET online = 0, last_online_at = ?2 WHERE kf_id = ?1";
const SET_AWAY: &str = "UPDATE puppet SET away_since = ?3 WHERE kf_id = ?1 AND registered_at IS ?2";

#[async_trait]
impl Puppets for SqliteStore {
    async fn puppet(&self, kf: &OpenKfId) -> Result<Option<Puppet>> {
        let kf = kf.clone();
        self.read_sealed(move |db, keys| select_one(db, PUPPET, [kf.as_str()], |row| read_puppet(keys, row))).await
    }

    async fn puppets_of(&self, corp: &CorpId) -> Result<Vec<Puppet>> {
        let corp = corp.clone();
        self.read_sealed(move |db, keys| select(db, OF_CORP, [corp.as_str()], |row| read_puppet(keys, row))).await
    }

    async fn puppets(&self, after: Option<&OpenKfId>, rows: usize) -> Result<Vec<Puppet>> {
        // No id is empty, so the empty text is before all of them.
        let after = after.map(|kf| kf.as_str().to_owned()).unwrap_or_default();
        self.read_sealed(move |db, keys| page(db, &ALL, &after, rows, |row| read_puppet(keys, row))).await
    }

    async fn pairs_of(&self, corp: &CorpId) -> Result<Vec<Pair>> {
        let corp = corp.clone();
        self.read_sealed(move |db, keys| select(db, PAIRS, [corp.as_str()], |row| read_pair(keys, row))).await
    }

    async fn put_puppet(&self, puppet: &Puppet) -> Result<()> {
        let puppet = puppet.clone();
        let seal = |field, secret| self.keys.seal(&place(&puppet.kf_id, field), secret);
        let corp_secret = seal("corp_secret", &puppet.corp_secret)?;
        let token = seal("token", puppet.pair.token())?;
        let aes_key = seal("aes_key", puppet.pair.aes_key().text())?;
        self.write(move |db| {
            let values = params![
                puppet.kf_id.as_str(),
                puppet.corp_id.as_str(),
                puppet.name,
                puppet.endpoint.as_str(),
                corp_secret,
                token,
                aes_key,
                puppet.pair.id().as_str(),
                puppet.online,
                millis(puppet.last_online_at),
                millis(puppet.registered_at),
                millis(puppet.away_since),
            ];
            change(db, PUT, values).map(drop)
        })
        .await
    }

    async fn set_offline(&self, kf: &OpenKfId, at: Timestamp) -> Result<bool> {
        let kf = kf.clone();
        self.write(move |db| Ok(change(db, SET_OFFLINE, params![kf.as_str(), at.as_millisecond()])? > 0)).await
    }

    async fn set_away(
        &self,
        kf: &OpenKfId,
        registered_at: Option<Timestamp>,
        since: Option<Timestamp>,
    ) -> Result<bool> {
        let kf = kf.clone();
        self.write_lightly(move |db| {
            Ok(change(db, SET_AWAY, params![kf.as_str(), millis(registered_at), millis(since)])? > 0)
        })
        .await
    }

    async fn away_puppets(&self) -> Result<Vec<Puppet>> {
        self.read_sealed(|db, keys| select(db, AWAY, (), |row| read_puppet(keys, row))).await
    }

    async fn delete_puppet(&self, kf: &OpenKfId) -> Result<bool> {
        let kf = kf.clone();
        self.write(move |db| Ok(change(db, "DELETE FROM puppet WHERE kf_id = ?", [kf.as_str()])? > 0)).await
    }
}

fn place<'a>(kf: &'a OpenKfId, field: &'a str) -> Place<'a> {
    Place { table: "puppet", row: kf.as_str(), field }
}

fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millisecond)
}

fn read_pair(keys: &MasterKeys, row: &Row<'_>) -> Result<Pair> {
    let kf = parsed(row, "kf_id", OpenKfId::parse)?;
    let aes_key = opened(row, keys, &place(&kf, "aes_key"))?;
    let aes_key =
        EncodingAesKey::parse(aes_key.expose()).map_err(|rule| damaged(&place(&kf, "aes_key").to_string(), rule.0))?;
    Ok(Pair::new(opened(row, keys, &place(&kf, "token"))?, aes_key))
}

fn read_puppet(keys: &MasterKeys, row: &Row<'_>) -> Result<Puppet> {
    let kf_id = parsed(row, "kf_id", OpenKfId::parse)?;
    Ok(Puppet {
        name: row.get("name")?,
        endpoint: parsed(row, "endpoint", Endpoint::parse)?,
        corp_id: parsed(row, "corp_id", CorpId::parse)?,
        corp_secret: opened(row, keys, &place(&kf_id, "corp_secret"))?,
        pair: read_pair(keys, row)?,
        online: row.get("online")?,
        last_online_at: optional_time(row, "last_online_at")?,
        registered_at: optional_time(row, "registered_at")?,
        away_since: optional_time(row, "away_since")?,
        kf_id,
    })
}

//! What the gateway finds at its start: registered bots in its store, declared corps in a file.

use std::path::Path;

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Map, Value, json};
use wxkf_gateway::domain::{Clock, CorpId, EncodingAesKey, Endpoint, OpenKfId, Pair, Puppet, Secret};
use wxkf_gateway::store::Puppets as _;
use wxkf_gateway::store::sqlite::{KeySource, SqliteStore};

use super::scale::Scale;
use crate::bot::Bot;
use crate::events::{self, AES_KEY, News, SECRET, TOKEN};

/// Bots written together, in one transaction.
const AT_ONCE: usize = 512;

/// Fills the data directory. Returns the path of `CORPS_FILE`, if any.
pub async fn fill(directory: &Path, scale: Scale, bot: &Bot) -> anyhow::Result<Option<String>> {
    if let News::Accounts { accounts, corps } = scale.news() {
        register(directory, scale, (accounts, corps), bot).await?;
    }
    match scale {
        Scale::Accounts(_) | Scale::Held(_) | Scale::Bots(_) => Ok(None),
        Scale::Corps(corps) => declare(directory, corps, &Map::new()).map(Some),
        Scale::Services { corps, each } => declare(directory, corps, &services(each, &bot.url())).map(Some),
    }
}

async fn register(directory: &Path, scale: Scale, (accounts, corps): (usize, usize), bot: &Bot) -> anyhow::Result<()> {
    let store = SqliteStore::open(directory, KeySource::Kept, Clock::default().now())?;
    let put = async |account: usize| -> anyhow::Result<()> {
        let endpoint = if let Scale::Bots(_) = scale { bot.url_of(account) } else { bot.url() };
        let mut puppet = registered(account, &events::corp_of(account, corps), &endpoint)?;
        puppet.online = !matches!(scale, Scale::Held(_));
        Ok(store.put_puppet(&puppet).await?)
    };
    stream::iter(0..accounts).map(put).buffer_unordered(AT_ONCE).try_collect().await
}

/// As a registration makes it.
fn registered(account: usize, corp: &str, endpoint: &str) -> anyhow::Result<Puppet> {
    let now = Clock::default().now();
    Ok(Puppet {
        kf_id: OpenKfId::parse(&events::account(account))?,
        name: "benchmark".to_owned(),
        endpoint: Endpoint::parse(endpoint)?,
        corp_id: CorpId::parse(corp)?,
        corp_secret: Secret::new(SECRET),
        pair: Pair::new(Secret::new(TOKEN), EncodingAesKey::parse(AES_KEY)?),
        online: true,
        last_online_at: Some(now),
        registered_at: Some(now),
        away_since: None,
    })
}

/// Services of one corp, each of which takes an event of its own.
fn services(each: usize, address: &str) -> Map<String, Value> {
    let service = |index| json!({"url": format!("{address}/callback"), "format": "json", "events": [events::service_event(index)]});
    (0..each).map(|index| (format!("s{index}"), service(index))).collect()
}

fn declare(directory: &Path, corps: usize, services: &Map<String, Value>) -> anyhow::Result<String> {
    let credential = json!({"token": TOKEN, "encodingAESKey": AES_KEY});
    let corp = json!({"credentials": [credential], "services": services});
    let corps: Map<String, Value> = (0..corps).map(|index| (events::corp(index), corp.clone())).collect();
    let file = directory.join("corps.json");
    std::fs::write(&file, json!({"corps": corps}).to_string())?;
    file.into_os_string().into_string().ok().context("the path is no text")
}

//! What the store and `CORPS_FILE` hold, read as `serve` reads it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::config::Config;
use crate::domain::{Clock, CorpId, Puppet};
use crate::services::Rules;
use crate::store::corps_file::{CorpsFile, DeclaredCorps};
use crate::store::{Corps, Directory, PuppetPages, Result, Sharing, Store};

use super::setup::{KnownCorp, Stored};

const PAGE: usize = 1_000;

/// Reads corps and bots; whose key opens a callback is decided where the gateway decides it.
pub(super) async fn read(store: Arc<dyn Store>, config: &Config) -> Result<Stored> {
    let rules = Arc::new(Rules::new(config.dispatch_deny_networks.clone()));
    let load = |path| CorpsFile::load(path, rules, Clock::default().now()).ok();
    let file = config.corps_file.as_deref().and_then(load);
    let corps: Arc<dyn Corps> = match file {
        Some(file) => Arc::new(DeclaredCorps::new(Arc::new(file), store.clone())),
        None => store.clone(),
    };
    let declared = corps.corps().await?;
    let bots = all_bots(&*store).await?;
    let registered = bots.iter().map(|bot| &bot.corp_id);
    let ids: BTreeSet<CorpId> = declared.iter().map(|corp| &corp.id).chain(registered).cloned().collect();
    let directory = Arc::new(Directory::new(corps, store.clone(), Sharing::Exclusive));
    let mut known = Vec::new();
    for id in ids {
        let keys = directory.keys(&id).await?;
        let credentials = keys.map(|keys| keys.credentials.clone()).unwrap_or_default();
        let is_covered = |bot: &Puppet| credentials.iter().any(|credential| credential.pair == bot.pair);
        let uncovered = bots.iter().filter(|bot| bot.online && bot.corp_id == id && !is_covered(bot));
        let uncovered = uncovered.map(|bot| bot.kf_id.to_string()).collect();
        known.push(KnownCorp { id, credentials, uncovered });
    }
    Ok(Stored { store, directory, corps: known, bots })
}

async fn all_bots(store: &dyn Store) -> Result<Vec<Puppet>> {
    let (mut pages, mut bots) = (PuppetPages::of(store, PAGE), Vec::new());
    while let Some(page) = pages.next().await? {
        bots.extend(page);
    }
    Ok(bots)
}

/// In a few words.
pub(super) fn told(stored: &Stored) -> String {
    let online = stored.bots.iter().filter(|bot| bot.online).count();
    let (corps, bots) = (stored.corps.len(), stored.bots.len());
    format!("the key of every secret is there; corps: {corps}, registered bots: {online} of {bots}")
}

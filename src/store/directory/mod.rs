//! What the hot path asks of the store, kept near: which keys open a corp's callbacks, which proxy its
//! calls take, which bot serves an account. Bounded, written through, and looked up before anything unknown is answered.
//!
//! Entries of a store that only this process writes never grow old; those of a shared store are read
//! again after [`SHARED_FRESHNESS`]. While the store is away, hangs, or holds a value that cannot be
//! opened, what was last read serves on.

mod near;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;
use tracing::warn;

use self::near::{CAPACITY, NearCache, READ_LIMIT, Source};
use super::{Corps, PuppetPages, Result, Store, StoreError};
use crate::domain::{Account, CallbackCredential, Corp, CorpId, OpenKfId, Pair, Puppet, Secret, Service};

/// How long another replica's change may go unseen.
pub const SHARED_FRESHNESS: Duration = Duration::from_secs(5);
/// Bots that are read at once, where all are.
const PAGE: usize = 1_000;

/// The credentials that may open a corp's callbacks, and who takes what is in them beside its bots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpKeys {
    /// Whose they are. All who name the corp on its callbacks' way share this one.
    pub corp: CorpId,
    /// Whether the credentials are declared; else they are those of its bots.
    pub is_declared: bool,
    /// Tried in this order.
    pub credentials: Vec<CallbackCredential>,
    /// Other services of the app. Here, because every callback asks for both.
    pub services: Vec<Service>,
}

/// As they are declared: without credentials, those of its bots count.
impl From<Corp> for CorpKeys {
    fn from(Corp { id, credentials, services, .. }: Corp) -> Self {
        Self { corp: id, is_declared: !credentials.is_empty(), credentials, services }
    }
}

impl CorpKeys {
    /// Of a corp that is declared just now. Without credentials it goes on with those of its bots, if they are known.
    fn declared(corp: &Corp, known: Option<Arc<Self>>) -> Option<Self> {
        let keys = Self::from(corp.clone());
        if keys.is_declared {
            return Some(keys);
        }
        let of_bots = known.filter(|known| !known.is_declared)?;
        Some(Self { credentials: of_bots.credentials.clone(), ..keys })
    }

    /// With these of the credentials.
    fn with(&self, wanted: impl Fn(&CallbackCredential) -> bool) -> Self {
        let mut keys = self.clone();
        keys.credentials.retain(wanted);
        keys
    }

    /// With the pair of a bot that registered just now.
    fn with_pair_of(&self, bot: &Puppet) -> Self {
        let mut keys = self.with(|credential| credential.pair != bot.pair);
        keys.credentials.insert(0, CallbackCredential::from(bot.pair.clone()));
        keys
    }

    fn pair_of(&self, bot: &Puppet) -> Option<&Pair> {
        self.credentials.iter().map(|credential| &credential.pair).find(|pair| **pair == bot.pair)
    }
}

/// Who else writes the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The embedded store: this process alone.
    Exclusive,
    /// Other replicas too.
    Replicas,
}

/// The near caches over the store, and the only way to change what they hold.
#[derive(Debug)]
pub struct Directory {
    corps: Arc<dyn Corps>,
    store: Arc<dyn Store>,
    source: Source,
    keys: NearCache<CorpId, CorpKeys>,
    proxies: NearCache<CorpId, Option<Secret>>,
    puppets: NearCache<OpenKfId, Puppet>,
    /// All bots of a shared store were read ahead.
    is_acquainted: AtomicBool,
    /// Held while an operator changes a declaration: what was read must not change before it is written.
    changing: tokio::sync::Mutex<()>,
}

impl Directory {
    /// `corps` are the declared ones, wherever they are declared.
    pub fn new(corps: Arc<dyn Corps>, store: Arc<dyn Store>, sharing: Sharing) -> Self {
        let (keys, proxies, puppets) = (NearCache::new(), NearCache::new(), NearCache::new());
        let (source, changing) = (Source::new(sharing), tokio::sync::Mutex::default());
        Self { corps, store, source, keys, proxies, puppets, is_acquainted: AtomicBool::new(false), changing }
    }

    /// Whether other replicas work on the same store.
    pub fn is_shared(&self) -> bool {
        self.source.sharing == Sharing::Replicas
    }

    /// Why a value could not be opened lately.
    pub fn locked(&self) -> Option<StoreError> {
        self.source.locked()
    }

    /// The keys of the corp: its declared credentials, or without any the pairs of its registrations.
    /// `None` when nobody declared it and no bot of it ever registered.
    pub async fn keys(&self, corp: &CorpId) -> Result<Option<Arc<CorpKeys>>> {
        self.keys.get(corp, &self.source, async || self.read_keys(corp).await).await
    }

    async fn read_keys(&self, corp: &CorpId) -> Result<Option<CorpKeys>> {
        let declared = self.corps.corp(corp).await?.map(CorpKeys::from);
        if declared.as_ref().is_some_and(|keys| keys.is_declared) {
            return Ok(declared);
        }
        let pairs = self.store.pairs_of(corp).await?;
        if declared.is_none() && pairs.is_empty() {
            return Ok(None);
        }
        let services = declared.map(|keys| keys.services).unwrap_or_default();
        let credentials = pairs.into_iter().map(CallbackCredential::from).collect();
        Ok(Some(CorpKeys { corp: corp.clone(), is_declared: false, credentials, services }))
    }

    /// The credentials of all corps, so many at most, as the store has them now: not for the hot path.
    pub async fn all_credentials(&self, limit: usize) -> Result<BTreeMap<CorpId, Vec<CallbackCredential>>> {
        let declared = self.corps.corps().await?.into_iter().filter(|corp| !corp.credentials.is_empty());
        let mut all: BTreeMap<_, _> = declared.take(limit).map(|corp| (corp.id, corp.credentials)).collect();
        let is_declared: BTreeSet<CorpId> = all.keys().cloned().collect();
        let mut pages = PuppetPages::of(&*self.store, PAGE);
        while all.len() < limit
            && let Some(page) = pages.next().await?
        {
            for puppet in page.into_iter().filter(|puppet| !is_declared.contains(&puppet.corp_id)) {
                let credential = CallbackCredential::from(puppet.pair);
                let known: &mut Vec<_> = all.entry(puppet.corp_id).or_default();
                if !known.contains(&credential) {
                    known.push(credential);
                }
            }
        }
        Ok(all)
    }

    /// The proxy that the corp's calls to WeCom take, when it is declared with one. That there is none is
    /// kept near as well: each call asks.
    pub async fn wecom_proxy(&self, corp: &CorpId) -> Result<Option<Secret>> {
        let read = async || {
            let declared = self.corps.corp(corp).await?;
            Ok(Some(declared.and_then(|corp| corp.wecom_proxy)))
        };
        let proxy = self.proxies.get(corp, &self.source, read).await?;
        Ok(proxy.and_then(|proxy| (*proxy).clone()))
    }

    /// The registration of the account's kf id, online or not, under whatever corp.
    pub async fn puppet(&self, kf: &OpenKfId) -> Result<Option<Arc<Puppet>>> {
        self.puppets.get(kf, &self.source, async || self.read_puppet(kf).await).await
    }

    async fn read_puppet(&self, kf: &OpenKfId) -> Result<Option<Puppet>> {
        let mut found = self.store.puppet(kf).await?;
        if let Some(puppet) = &mut found {
            puppet.kf_id = kf.clone();
            if let Some(keys) = self.keys.known(&puppet.corp_id) {
                share(puppet, &keys);
            }
        }
        Ok(found)
    }

    /// Reads all bots of a shared store, and what changed of the keys of all corps, so that callbacks are taken even if the
    /// store goes away before the next one. Returns the number of bots in the store. They count as read long ago: while
    /// the store answers, each is read again when it is needed.
    pub async fn acquaint(&self) -> Result<usize> {
        let (mut declared, mut without_credentials, mut changed) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        let before = self.keys.before();
        for corp in self.corps.corps().await? {
            let keys = CorpKeys::from(corp);
            if keys.is_declared {
                declared.insert(keys.corp.clone());
                self.keys.remember_old(keys.corp.clone(), keys, &before);
            } else {
                without_credentials.insert(keys.corp, keys.services);
            }
        }
        let (mut pages, mut read) = (PuppetPages::of(&*self.store, PAGE), 0);
        while read < CAPACITY as usize {
            let before = self.puppets.before();
            let Some(page) = pages.next().await? else { break };
            read += page.len();
            for mut puppet in page {
                let known = self.keys.known(&puppet.corp_id);
                let is_known = known.is_some_and(|keys| share(&mut puppet, &keys));
                if !is_known && !declared.contains(&puppet.corp_id) {
                    changed.insert(puppet.corp_id.clone());
                }
                self.puppets.remember_old(puppet.kf_id.clone(), puppet, &before);
            }
        }
        for (corp, keys) in self.keys.all() {
            let services = without_credentials.remove(&*corp).unwrap_or_default();
            if !declared.contains(&*corp) && (keys.is_declared || keys.services != services) {
                changed.insert(CorpId::clone(&corp));
            }
        }
        for corp in changed.iter().chain(without_credentials.keys()) {
            match self.keys.read(corp, &self.source, async || self.read_keys(corp).await).await {
                Ok(_) => {}
                Err(away @ StoreError::Unavailable(_)) => return Err(away),
                // It keeps no other corp from being read.
                Err(error) => warn!(corp.id = %corp, %error, "cannot read a corp ahead"),
            }
        }
        self.is_acquainted.store(true, Ordering::Relaxed);
        Ok(read)
    }

    /// The same as the store has it now, whatever was read before.
    pub async fn puppet_now(&self, kf: &OpenKfId) -> Result<Option<Arc<Puppet>>> {
        self.puppets.read(kf, &self.source, async || self.read_puppet(kf).await).await
    }

    /// The bot that serves the account: registered under its corp, and online.
    pub async fn bot(&self, account: &Account) -> Result<Option<Arc<Puppet>>> {
        let puppet = self.puppet(&account.kf).await?;
        Ok(puppet.filter(|puppet| puppet.online && puppet.corp_id == account.corp))
    }

    /// Every online bot of the corp: while the store is away, those that are known.
    pub async fn online_bots(&self, corp: &CorpId) -> Result<Vec<Account>> {
        let away = match timeout(READ_LIMIT, self.store.puppets_of(corp)).await {
            Ok(Ok(bots)) => return Ok(bots.iter().filter(|bot| bot.online).map(Puppet::account).collect()),
            Ok(Err(error @ StoreError::Unavailable(_))) => error,
            Ok(Err(error)) => return Err(error),
            Err(_) => StoreError::Unavailable("it takes too long".to_owned()),
        };
        // Of an embedded store, and before all were read, only those are known that had something to do.
        if !self.is_acquainted.load(Ordering::Relaxed) {
            return Err(away);
        }
        let known = self.puppets.all().filter(|(_, bot)| bot.online && bot.corp_id == *corp);
        let accounts: Vec<Account> = known.map(|(_, bot)| bot.account()).collect();
        if accounts.is_empty() { Err(away) } else { Ok(accounts) }
    }

    /// Every online bot that is marked away.
    pub async fn away_puppets(&self) -> Result<Vec<Puppet>> {
        self.store.away_puppets().await
    }

    pub async fn put_puppet(&self, puppet: &Puppet) -> Result<()> {
        let before = self.puppet(&puppet.kf_id).await.ok().flatten();
        self.store.put_puppet(puppet).await?;
        self.puppets.changed(&puppet.kf_id, self.source.sharing, |_| Some(Arc::new(puppet.clone())));
        // Bots restart often and bring the same pair: then the corp's keys are what they were.
        let same = |before: &Puppet| before.corp_id == puppet.corp_id && before.pair == puppet.pair;
        if !before.as_deref().is_some_and(same) {
            // Others may have the pair that it had: whether, the store says when it is read again.
            if let Some(before) = before.filter(|before| before.corp_id != puppet.corp_id) {
                self.keys.changed(&before.corp_id, self.source.sharing, |keys| keys);
            }
            let with_pair = |keys: Arc<CorpKeys>| match keys.is_declared {
                true => keys,
                false => Arc::new(keys.with_pair_of(puppet)),
            };
            self.keys.changed(&puppet.corp_id, self.source.sharing, |keys| keys.map(with_pair));
        }
        Ok(())
    }

    pub async fn set_offline(&self, kf: &OpenKfId, at: Timestamp) -> Result<bool> {
        let found = self.store.set_offline(kf, at).await?;
        let offline = |bot: Arc<Puppet>| Puppet { online: false, last_online_at: Some(at), ..(*bot).clone() };
        self.puppets.changed(kf, self.source.sharing, |bot| bot.map(|bot| Arc::new(offline(bot))));
        Ok(found)
    }

    pub async fn set_away(&self, puppet: &Puppet, since: Option<Timestamp>) -> Result<bool> {
        let noted = self.store.set_away(&puppet.kf_id, puppet.registered_at, since).await?;
        let away = |bot: Arc<Puppet>| match noted && bot.registered_at == puppet.registered_at {
            true => Arc::new(Puppet { away_since: since, ..(*bot).clone() }),
            false => bot,
        };
        self.puppets.changed(&puppet.kf_id, self.source.sharing, |bot| bot.map(away));
        Ok(noted)
    }

    pub async fn delete_puppet(&self, kf: &OpenKfId) -> Result<bool> {
        let before = self.puppet(kf).await.ok().flatten();
        let found = self.store.delete_puppet(kf).await?;
        self.puppets.changed(kf, self.source.sharing, |_| None);
        if let Some(before) = before {
            self.pair_left(&before);
        }
        Ok(found)
    }

    /// A bot was forgotten. Its pair opens nothing any more, unless another bot has it too.
    fn pair_left(&self, bot: &Puppet) {
        let has_it =
            |other: &Puppet| other.kf_id != bot.kf_id && other.corp_id == bot.corp_id && other.pair == bot.pair;
        let without =
            |keys: Arc<CorpKeys>| match keys.is_declared || self.puppets.all().any(|(_, other)| has_it(&other)) {
                true => keys,
                false => Arc::new(keys.with(|credential| credential.pair != bot.pair)),
            };
        self.keys.changed(&bot.corp_id, self.source.sharing, |keys| keys.map(without));
    }

    /// To be held from reading a declaration to writing it back. Changes at other replicas are not kept
    /// off: of two in the same moment the later one stands.
    pub async fn one_change(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    pub async fn put_corp(&self, corp: &Corp) -> Result<()> {
        self.corps.put_corp(corp).await?;
        self.keys.changed(&corp.id, self.source.sharing, |known| CorpKeys::declared(corp, known).map(Arc::new));
        self.proxies.changed(&corp.id, self.source.sharing, |_| Some(Arc::new(corp.wecom_proxy.clone())));
        Ok(())
    }

    pub async fn delete_corp(&self, id: &CorpId) -> Result<bool> {
        let found = self.corps.delete_corp(id).await?;
        self.keys.changed(id, self.source.sharing, |_| None);
        self.proxies.changed(id, self.source.sharing, |_| None);
        Ok(found)
    }

    /// Declarations changed behind the store's back (`CORPS_FILE`): all are read again.
    pub fn corps_changed(&self) {
        self.keys.all_changed();
        self.proxies.all_changed();
    }
}

/// There may be many bots of a corp, and what is the same in all of them is kept once. Whether the bot's pair is one of
/// its corp's.
fn share(puppet: &mut Puppet, keys: &CorpKeys) -> bool {
    puppet.corp_id = keys.corp.clone();
    let Some(pair) = keys.pair_of(puppet).cloned() else { return false };
    puppet.pair = pair;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CorpSource, EncodingAesKey, Endpoint, Pair};
    use crate::store::sqlite::{KeySource, SqliteStore};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn puppet(token: &str) -> Puppet {
        Puppet {
            kf_id: OpenKfId::parse("wk1").unwrap(),
            name: String::new(),
            endpoint: Endpoint::parse("http://bot").unwrap(),
            corp_id: CorpId::parse("ww1").unwrap(),
            corp_secret: Secret::new("secret"),
            pair: Pair::new(Secret::new(token), EncodingAesKey::parse(&"A".repeat(43)).unwrap()),
            online: true,
            last_online_at: None,
            registered_at: None,
            away_since: None,
        }
    }

    fn declared(token: &str) -> Corp {
        Corp {
            id: CorpId::parse("ww2").unwrap(),
            source: CorpSource::Admin,
            credentials: vec![CallbackCredential::from(puppet(token).pair)],
            wecom_proxy: None,
            services: Vec::new(),
            updated_at: NOW,
        }
    }

    #[tokio::test]
    async fn keys_that_change_at_another_replica_are_read_ahead() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(dir.path(), KeySource::Kept, NOW).unwrap());
        let replica = || Directory::new(store.clone(), store.clone(), Sharing::Replicas);
        let (here, there) = (replica(), replica());
        for token in ["one", "two"] {
            there.put_puppet(&puppet(token)).await.unwrap();
            there.put_corp(&declared(token)).await.unwrap();
            assert_eq!(here.acquaint().await.unwrap(), 1);
            for corp in [puppet("").corp_id, declared("").id] {
                let known = here.keys.known(&corp).unwrap();
                let tokens: Vec<_> = known.credentials.iter().map(|key| key.pair.token().expose()).collect();
                assert_eq!(tokens, [token], "{corp}");
            }
        }
        there.delete_corp(&declared("").id).await.unwrap();
        here.acquaint().await.unwrap();
        assert_eq!(here.keys.known(&declared("").id), None);
        assert!(here.keys.known(&puppet("").corp_id).is_some());
    }
}

//! A gateway's tokens over a scripted WeCom and a store of maps, for the tests of this module.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{AccessTokens, MemoryCache, TokenParts, TokenSettings};
use crate::domain::{AppKey, CallbackCredential, Clock, Corp, CorpId, CorpSource, EncodingAesKey, OpenKfId, Pair};
use crate::domain::{Endpoint, Puppet, Secret};
use crate::lifecycle::Tasks;
use crate::store::{Corps, Puppets, Result, StoreError, StoredToken, Tokens};
use crate::wecom::fake::{Asked, FakeWecom, Reply, app, client};
use crate::wecom::{WecomClient, WecomSettings};

/// A store in maps, which can be away.
#[derive(Default, Debug)]
pub(super) struct MapStore {
    pub(super) rows: Mutex<HashMap<AppKey, StoredToken>>,
    corps: Mutex<HashMap<CorpId, Corp>>,
    puppets: Mutex<Vec<Puppet>>,
    away: AtomicBool,
}

impl MapStore {
    pub(super) fn go_away(&self) {
        self.away.store(true, Ordering::Relaxed);
    }

    pub(super) fn come_back(&self) {
        self.away.store(false, Ordering::Relaxed);
    }

    fn check(&self) -> Result<()> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(StoreError::Unavailable("unplugged".into())),
            false => Ok(()),
        }
    }

    /// Makes the corp known by credentials.
    pub(super) fn declare(&self, corp: &str) {
        let id = CorpId::parse(corp).unwrap();
        let key = EncodingAesKey::parse(&"a".repeat(43)).unwrap();
        let credentials = vec![CallbackCredential::from(Pair::new(Secret::new("token"), key))];
        let updated_at = Timestamp::UNIX_EPOCH;
        let corp = Corp {
            id: id.clone(),
            source: CorpSource::Admin,
            credentials,
            wecom_proxy: None,
            services: Vec::new(),
            updated_at,
        };
        self.corps.lock().insert(id, corp);
    }

    /// Makes the corp known by a bot.
    pub(super) fn register(&self, corp: &str, secret: &str) {
        self.puppets.lock().push(Puppet {
            kf_id: OpenKfId::parse("wk1").unwrap(),
            name: "bot".into(),
            endpoint: Endpoint::parse("http://bot").unwrap(),
            corp_id: CorpId::parse(corp).unwrap(),
            corp_secret: Secret::new(secret),
            pair: Pair::new(Secret::new("token"), EncodingAesKey::parse(&"a".repeat(43)).unwrap()),
            online: true,
            last_online_at: None,
            registered_at: None,
            away_since: None,
        });
    }

    /// Waits until the write behind an answer has arrived.
    pub(super) async fn saved(&self, app: &AppKey, token: &str) {
        let arrived = || self.rows.lock().get(app).is_some_and(|row| row.access_token == Secret::new(token));
        while !arrived() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[async_trait]
impl Tokens for MapStore {
    async fn token(&self, app: &AppKey) -> Result<Option<StoredToken>> {
        self.check()?;
        Ok(self.rows.lock().get(app).cloned())
    }

    async fn tokens(&self) -> Result<Vec<StoredToken>> {
        self.check()?;
        Ok(self.rows.lock().values().cloned().collect())
    }

    async fn put_token(&self, token: &StoredToken) -> Result<()> {
        self.check()?;
        self.rows.lock().insert(token.app.clone(), token.clone());
        Ok(())
    }
}

#[async_trait]
impl Corps for MapStore {
    async fn corp(&self, id: &CorpId) -> Result<Option<Corp>> {
        self.check()?;
        Ok(self.corps.lock().get(id).cloned())
    }

    async fn corps(&self) -> Result<Vec<Corp>> {
        unimplemented!()
    }

    async fn put_corp(&self, _: &Corp) -> Result<()> {
        unimplemented!()
    }

    async fn delete_corp(&self, _: &CorpId) -> Result<bool> {
        unimplemented!()
    }
}

#[async_trait]
impl Puppets for MapStore {
    async fn puppets_of(&self, corp: &CorpId) -> Result<Vec<Puppet>> {
        self.check()?;
        Ok(self.puppets.lock().iter().filter(|puppet| puppet.corp_id == *corp).cloned().collect())
    }

    async fn puppet(&self, _: &OpenKfId) -> Result<Option<Puppet>> {
        unimplemented!()
    }

    async fn puppets(&self, _: Option<&OpenKfId>, _: usize) -> Result<Vec<Puppet>> {
        unimplemented!()
    }

    async fn pairs_of(&self, _: &CorpId) -> Result<Vec<Pair>> {
        unimplemented!()
    }

    async fn put_puppet(&self, _: &Puppet) -> Result<()> {
        unimplemented!()
    }

    async fn set_offline(&self, _: &OpenKfId, _: Timestamp) -> Result<bool> {
        unimplemented!()
    }

    async fn set_away(&self, _: &OpenKfId, _: Option<Timestamp>, _: Option<Timestamp>) -> Result<bool> {
        unimplemented!()
    }

    async fn away_puppets(&self) -> Result<Vec<Puppet>> {
        unimplemented!()
    }

    async fn delete_puppet(&self, _: &OpenKfId) -> Result<bool> {
        unimplemented!()
    }
}

/// A WeCom, a store, a clock and the tokens over them.
pub(super) struct Bench {
    pub(super) wecom: FakeWecom,
    pub(super) store: Arc<MapStore>,
    pub(super) clock: Clock,
    pub(super) tokens: AccessTokens,
}

impl Bench {
    pub(super) async fn new(script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        Self::with(TokenSettings::default(), script).await
    }

    pub(super) async fn with(settings: TokenSettings, script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let wecom = FakeWecom::start(script).await;
        let (store, clock) = (Arc::new(MapStore::default()), Clock::default());
        let tokens = assemble(settings, wecom.client(), &store, &clock);
        Self { wecom, store, clock, tokens }
    }

    /// What a restarted process has: the same store, and nothing else.
    pub(super) fn restarted(&self) -> AccessTokens {
        assemble(TokenSettings::default(), self.wecom.client(), &self.store, &self.clock)
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// A token of the app `app("ww1", "s")`, fetched at that second, good for two hours.
pub(super) fn token(text: &str, fetched: i64) -> StoredToken {
    let at = |second| Timestamp::from_second(second).unwrap();
    StoredToken {
        app: app("ww1", "s").key(),
        access_token: Secret::new(text),
        fetched_at: at(fetched),
        expires_at: at(fetched + 7200),
        renewed_to_same: false,
        corp_secret: None,
        superseded: Vec::new(),
    }
}

pub(super) fn assemble(
    settings: TokenSettings,
    wecom: WecomClient,
    store: &Arc<MapStore>,
    clock: &Clock,
) -> AccessTokens {
    let tasks = Tasks::new();
    let cache = Arc::new(MemoryCache::new(store.clone(), tasks.clone(), clock.clone()));
    let (corps, puppets) = (store.clone(), store.clone());
    AccessTokens::new(settings, TokenParts { wecom, cache, corps, puppets, tasks, clock: clock.clone() })
}

/// A client that gives up after a moment.
pub(super) fn hasty(wecom: &FakeWecom) -> WecomClient {
    let mut settings = WecomSettings::new(wecom.base.clone(), None);
    settings.limit = Duration::from_millis(100);
    client(settings)
}

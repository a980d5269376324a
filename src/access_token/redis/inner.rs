//! The tokens in Redis and the near ones beside them: each read compares the two, and the later wins.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use redis::Pipeline;
use tracing::warn;

use super::super::flights::Flights;
use super::super::near::{Near, Owned};
use super::agreement::RedisAgreement;
use super::link::{Away, Link};
use super::unreadable::Unreadable;
use super::{failures, keys, row, scripts};
use crate::domain::{AppKey, Clock, Fingerprint, Secret};
use crate::lifecycle::Tasks;
use crate::store::sealed::MasterKeys;
use crate::store::{SHARED_FRESHNESS, StoredToken};

/// Between two tries to write what Redis has not taken.
const SAVE_PAUSE: Duration = Duration::from_secs(1);
/// Access tokens of others that are remembered as such, while they are used again and again.
const STRANGERS: u64 = 10_000;
/// How many tokens are asked for at a time for a list.
const AT_A_TIME: usize = 500;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) link: Arc<Link>,
    pub(super) near: Near,
    pub(super) agreement: RedisAgreement,
    pub(super) unreadable: Unreadable,
    pub(super) clock: Clock,
    keys: MasterKeys,
    reads: Flights<AppKey, Option<Arc<StoredToken>>>,
    saves: Flights<AppKey, ()>,
    /// Not ours, as of less than five seconds ago.
    strangers: Cache<Fingerprint, ()>,
    tasks: Tasks,
}

impl Inner {
    pub(super) fn new(link: Arc<Link>, keys: MasterKeys, tasks: Tasks, clock: Clock) -> Self {
        Self {
            agreement: RedisAgreement::new(link.clone(), clock.clone()),
            link,
            near: Near::new(clock.clone()),
            unreadable: Unreadable::default(),
            clock,
            keys,
            reads: Flights::default(),
            saves: Flights::default(),
            strangers: Cache::builder().max_capacity(STRANGERS).time_to_live(SHARED_FRESHNESS).build(),
            tasks,
        }
    }

    /// One read for all who wait for the app's token.
    pub(super) async fn read_once(self: &Arc<Self>, app: &AppKey) -> Option<Arc<StoredToken>> {
        if self.link.rests() {
            return self.near.token(app);
        }
        let (inner, of) = (self.clone(), app.clone());
        self.reads.join(app, &self.tasks, async move { inner.read(&of).await }).await.flatten()
    }

    /// Reads the app's token and failure; the near ones while Redis is away.
    pub(super) async fn read(self: &Arc<Self>, app: &AppKey) -> Option<Arc<StoredToken>> {
        let mut commands = redis::pipe();
        commands.hmget(keys::token(app), &row::FIELDS).hmget(keys::failure(app), &failures::FIELDS);
        let answer: Result<(row::Row, failures::Row), Away> = self.link.run(&commands).await;
        let Ok((token, failure)) = answer else { return self.near.token(app) };
        self.agreement.local.failures.heard(app, failures::read(failure));
        self.heard(app, token)
    }

    /// What Redis has of the app's token was read. A later one that is only here goes there.
    fn heard(self: &Arc<Self>, app: &AppKey, row: row::Row) -> Option<Arc<StoredToken>> {
        let near = self.near.token(app);
        match row::read(&self.keys, app, row) {
            Ok(Some(token)) => {
                let fetched_at = token.fetched_at;
                let stands = self.near.admit(token);
                if stands.fetched_at > fetched_at {
                    self.save(app);
                }
                Some(stands)
            }
            Ok(None) => {
                let near = near?;
                self.save(app);
                Some(self.near.admit(StoredToken::clone(&near)))
            }
            Err(error) => {
                self.unreadable.met(&error, self.clock.now());
                Some(self.near.admit(StoredToken::clone(&*near?)))
            }
        }
    }

    /// Keeps the token in Redis, unless a later one is there. Returns the one that stands; ours, if the
    /// one there cannot be opened.
    pub(super) async fn write(
        &self,
        token: Arc<StoredToken>,
        old: Option<&StoredToken>,
    ) -> Result<Arc<StoredToken>, Away> {
        let fields = match row::write(&self.keys, &token) {
            Ok(fields) => fields,
            Err(error) => {
                warn!(corp.id = %token.app.corp_id, %error, "an access token cannot be sealed for Redis");
                return Ok(token);
            }
        };
        let mut put = scripts::PUT_TOKEN.key(keys::token(&token.app));
        for field in &fields {
            put.arg(field);
        }
        let later: Option<row::Row> = self.link.invoke(put.arg(keys::millis(keys::EVER))).await?;
        match later.map(|row| row::read(&self.keys, &token.app, row)) {
            None => {
                self.link.run::<()>(&self.notes(&token, old)).await?;
                Ok(token)
            }
            Some(Ok(Some(later))) => Ok(self.near.admit(later)),
            Some(Ok(None)) => Ok(token),
            Some(Err(error)) => {
                self.unreadable.met(&error, self.clock.now());
                Ok(token)
            }
        }
    }

    /// What is kept beside a token: whose it is, whose the one before was, that its corp obtained one.
    fn notes(&self, token: &StoredToken, old: Option<&StoredToken>) -> Pipeline {
        let (now, app) = (self.clock.now(), keys::app_name(&token.app));
        let ever = keys::millis(keys::EVER);
        let mut commands = redis::pipe();
        let mut own = |token: &StoredToken, owned: &Owned| {
            let value = format!("{} {app}", owned.until.as_millisecond());
            let px = keys::millis_until(owned.until, now);
            commands.pset_ex(keys::owner(&token.access_token.fingerprint()), value, px).ignore();
        };
        own(token, &Owned::current(token));
        if let Some(old) = old.filter(|old| old.access_token != token.access_token) {
            own(old, &Owned::superseded(old, now));
        }
        commands.pset_ex(keys::obtained(&token.app.corp_id), 1, ever).ignore();
        let forgotten = now.checked_sub(keys::EVER).unwrap_or(Timestamp::MIN).as_millisecond();
        commands.zrembyscore(keys::APPS, "-inf", forgotten).ignore();
        commands.zadd(keys::APPS, &app, now.as_millisecond()).ignore();
        commands.pexpire(keys::APPS, keys::px(keys::EVER)).ignore();
        commands
    }

    /// Writes the app's latest token behind everybody's back, until Redis has taken it.
    pub(super) fn save(self: &Arc<Self>, app: &AppKey) {
        let (inner, of) = (self.clone(), app.clone());
        let saving = async move {
            while let Some(token) = inner.near.token(&of) {
                if inner.write(token, None).await.is_ok() {
                    return;
                }
                if !inner.tasks.pause(SAVE_PAUSE).await {
                    return;
                }
            }
        };
        // Nobody waits for it.
        drop(self.saves.join(app, &self.tasks, saving));
    }

    /// As another replica noted it.
    pub(super) async fn owner(&self, access_token: &Secret) -> Option<AppKey> {
        let fingerprint = access_token.fingerprint();
        if self.strangers.contains_key(&fingerprint) {
            return None;
        }
        let noted: (Option<String>,) = self.link.run(redis::pipe().get(keys::owner(&fingerprint))).await.ok()?;
        match noted.0.as_deref().and_then(parse_owned) {
            Some(owned) => {
                self.near.owned(fingerprint, owned);
                self.near.owner(access_token)
            }
            None => {
                self.strangers.insert(fingerprint, ());
                None
            }
        }
    }

    /// The tokens of all replicas.
    pub(super) async fn all(self: &Arc<Self>) -> Result<Vec<Arc<StoredToken>>, Away> {
        let mut tokens = Vec::new();
        for (app, row) in self.rows().await? {
            tokens.extend(self.heard(&app, row));
        }
        Ok(tokens)
    }

    /// Seals with the first key what another one of them sealed.
    pub(super) async fn reseal(self: &Arc<Self>) -> Result<(), Away> {
        for (app, row) in self.rows().await? {
            let is_old = |text: &String| {
                let id = MasterKeys::id_of(text);
                !text.is_empty() && id != self.keys.sealing_id() && self.keys.holds(id)
            };
            if [&row.0, &row.4].into_iter().flatten().any(is_old)
                && let Some(token) = self.heard(&app, row)
            {
                self.write(token, None).await?;
            }
        }
        Ok(())
    }

    async fn rows(&self) -> Result<Vec<(AppKey, row::Row)>, Away> {
        let (names,): (Vec<String>,) = self.link.run(redis::pipe().zrange(keys::APPS, 0, -1)).await?;
        let apps: Vec<AppKey> = names.iter().filter_map(|name| keys::app_named(name)).collect();
        let mut rows: Vec<(AppKey, row::Row)> = Vec::new();
        for apps in apps.chunks(AT_A_TIME) {
            let mut commands = redis::pipe();
            for app in apps {
                commands.hmget(keys::token(app), &row::FIELDS);
            }
            let answers: Vec<row::Row> = self.link.run(&commands).await?;
            rows.extend(apps.iter().cloned().zip(answers));
        }
        Ok(rows)
    }
}

/// `until corp/fingerprint`
fn parse_owned(text: &str) -> Option<Owned> {
    let (until, app) = text.split_once(' ')?;
    let until = Timestamp::from_millisecond(until.parse().ok()?).ok()?;
    Some(Owned { app: keys::app_named(app)?, until })
}

//! What this process remembers of each app that has a token: its secret (renewals need it), when
//! it was used last, and the counts that operators see. Of apps that were refused: the secret, for an
//! operator who wants them asked anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;
use moka::sync::Cache;
use parking_lot::{Mutex, RwLock};

use super::failure::KEPT_FOR;
use crate::domain::{App, AppKey};

/// The budget lets 500 refusals an hour through; the rest is room for an outage of many apps.
const REFUSED_APPS: u64 = 10_000;

#[derive(Debug)]
pub(super) struct Ledger {
    /// Grows by apps that obtained a token, never by requests.
    records: RwLock<HashMap<AppKey, Arc<Record>>>,
    refused: Cache<AppKey, App>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) app: App,
    /// Milliseconds since 1970.
    last_used: AtomicI64,
    upstream_calls: AtomicU64,
    renewals: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// The counts of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) upstream_calls: u64,
    pub(super) renewals: u64,
    pub(super) last_error: Option<String>,
}

impl Ledger {
    pub(super) fn get(&self, key: &AppKey) -> Option<Arc<Record>> {
        self.records.read().get(key).cloned()
    }

    /// The app's record, opened if there is none. Only for apps that obtained a token.
    pub(super) fn open(&self, app: &App, key: &AppKey) -> Arc<Record> {
        if let Some(record) = self.get(key) {
            return record;
        }
        self.records.write().entry(key.clone()).or_insert_with(|| Arc::new(Record::new(app.clone()))).clone()
    }

    /// A caller got the app's token.
    pub(super) fn used(&self, app: &App, key: &AppKey, now: Timestamp) {
        let note = |record: &Record| record.last_used.store(now.as_millisecond(), Ordering::Relaxed);
        if let Some(record) = self.records.read().get(key) {
            return note(record);
        }
        note(&self.open(app, key));
    }

    /// The app was refused.
    pub(super) fn refused(&self, app: &App, key: &AppKey) {
        self.refused.insert(key.clone(), app.clone());
    }

    /// The app that the key stands for, if it was asked for here.
    pub(super) fn app_of(&self, key: &AppKey) -> Option<App> {
        self.get(key).map(|record| record.app.clone()).or_else(|| self.refused.get(key))
    }

    pub(super) fn records(&self) -> Vec<(AppKey, Arc<Record>)> {
        self.records.read().iter().map(|(key, record)| (key.clone(), record.clone())).collect()
    }
}

impl Default for Ledger {
    fn default() -> Self {
        let refused = Cache::builder().max_capacity(REFUSED_APPS).time_to_live(KEPT_FOR).build();
        Self { records: RwLock::default(), refused }
    }
}

impl Record {
    fn new(app: App) -> Self {
        Self {
            app,
            last_used: AtomicI64::new(i64::MIN),
            upstream_calls: AtomicU64::new(0),
            renewals: AtomicU64::new(0),
            last_error: Mutex::default(),
        }
    }

    /// Whether anybody took the token since: a bot asks once in a token's life.
    pub(super) fn used_since(&self, moment: Timestamp) -> bool {
        self.last_used.load(Ordering::Relaxed) >= moment.as_millisecond()
    }

    pub(super) fn granted(&self, replaced: Replaced) {
        self.upstream_calls.fetch_add(1, Ordering::Relaxed);
        self.renewals.fetch_add(u64::from(replaced == Replaced::Another), Ordering::Relaxed);
        *self.last_error.lock() = None;
    }

    pub(super) fn failed(&self, error: String) {
        self.upstream_calls.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock() = Some(error);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            upstream_calls: self.upstream_calls.load(Ordering::Relaxed),
            renewals: self.renewals.load(Ordering::Relaxed),
            last_error: self.last_error.lock().clone(),
        }
    }
}

/// Whether a grant was the app's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    Nothing,
    Another,
}

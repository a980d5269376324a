//! What this process remembers of each app that has a token: its secret (renewals need it), when
//! it was used last, and the counts that operators see.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

use crate::domain::{App, AppKey};

/// Forced renewals ask at most so often.
const BETWEEN_FORCED: Duration = Duration::from_secs(60);

/// Grows by apps that obtained a token, never by requests.
#[derive(Debug, Default)]
pub(super) struct Ledger(RwLock<HashMap<AppKey, Arc<Record>>>);

#[derive(Debug)]
pub(super) struct Record {
    pub(super) app: App,
    /// Milliseconds since 1970.
    last_used: AtomicI64,
    upstream_calls: AtomicU64,
    renewals: AtomicU64,
    last_error: Mutex<Option<String>>,
    last_forced: Mutex<Option<Timestamp>>,
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
        self.0.read().get(key).cloned()
    }

    /// The app's record, opened if there is none. Only for apps that obtained a token.
    pub(super) fn open(&self, app: &App, key: &AppKey) -> Arc<Record> {
        if let Some(record) = self.get(key) {
            return record;
        }
        self.0.write().entry(key.clone()).or_insert_with(|| Arc::new(Record::new(app.clone()))).clone()
    }

    /// A caller got the app's token.
    pub(super) fn used(&self, app: &App, key: &AppKey, now: Timestamp) {
        let note = |record: &Record| record.last_used.store(now.as_millisecond(), Ordering::Relaxed);
        if let Some(record) = self.0.read().get(key) {
            return note(record);
        }
        note(&self.open(app, key));
    }

    pub(super) fn records(&self) -> Vec<(AppKey, Arc<Record>)> {
        self.0.read().iter().map(|(key, record)| (key.clone(), record.clone())).collect()
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
            last_forced: Mutex::default(),
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

    /// Whether a forced renewal may ask now; if so, none may for a minute.
    pub(super) fn begin_forced(&self, now: Timestamp) -> Forced {
        let mut last = self.last_forced.lock();
        if last.is_some_and(|last| last.checked_add(BETWEEN_FORCED).is_ok_and(|next| now < next)) {
            return Forced::TooSoon;
        }
        *last = Some(now);
        Forced::Begun
    }

    /// The renewal came to nothing; an operator, who may have mended the cause, need not wait.
    pub(super) fn forget_forced(&self) {
        *self.last_forced.lock() = None;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forced {
    Begun,
    TooSoon,
}

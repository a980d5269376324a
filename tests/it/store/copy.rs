//! From store to store, in every pair of back ends that a copy leads between.

use std::sync::Arc;

use wxkf_gateway::domain::{Corp, Secret};
use wxkf_gateway::store::copy::{Copied, copy};
use wxkf_gateway::store::sqlite::{KeySource, OpenError, SqliteStore};
use wxkf_gateway::store::{Corps as _, HeldFilter, HeldState, Puppets as _, QueueFilter, Store, Tokens as _};

use super::samples::{
    account, at, audit_entry, corp, full_queued, full_row, kf_id, lease, puppet, queue, queued, signed, token,
};

async fn seed(store: &dyn Store, bots: u64) {
    store.put_corp(&corp("ww1")).await.unwrap();
    for number in 0..bots {
        store.put_puppet(&puppet("ww1", &format!("wk{number:04}"))).await.unwrap();
    }
    let mut leased = signed(&account("ww1", "wk0001"), 8);
    leased.lease = Some(lease("somebody", 100));
    let mut expired = signed(&account("ww1", "wk0002"), 9);
    expired.state = HeldState::Expired;
    for row in [&full_row(&account("ww1", "wk0000")), &leased, &expired] {
        store.hold(row).await.unwrap();
    }
    let mut waiting: Vec<_> = (100..700).map(|n| queued(&queue("ww1/erp"), n)).collect();
    waiting.push(full_queued(&queue("ww1/contacts")));
    store.append_queued(&waiting).await.unwrap();
    store.put_token(&token("ww1", "seeded-corp-secret", 1)).await.unwrap();
    for seconds in 0..600 {
        store.append_audit(&audit_entry(seconds)).await.unwrap();
    }
}

/// Everything of a store that a copy brings along.
async fn content(store: &dyn Store) -> impl PartialEq + std::fmt::Debug {
    let mut held = store.list_held(&HeldFilter::default(), None, 100).await.unwrap();
    held.iter_mut().for_each(|row| row.lease = None);
    let (corps, bots) = (store.corps().await.unwrap(), store.puppets(None, 1_000).await.unwrap());
    let audit = store.list_audit(None, 1_000).await.unwrap();
    let queued = store.list_queued(&QueueFilter::default(), None, 1_000).await.unwrap();
    (corps, bots, held, queued, store.tokens().await.unwrap(), audit)
}

/// Copies twice: the second time must change nothing.
pub async fn all_arrives_and_twice_is_as_good_as_once(from: Arc<dyn Store>, to: Arc<dyn Store>, bots: u64) {
    seed(&*from, bots).await;
    for _ in 0..2 {
        let copied = copy(&*from, &*to, &|_, _| {}).await.unwrap();
        assert_eq!(
            copied,
            Copied { corps: 1, bots, events: 3, service_events: 601, tokens: 1, audit: 600, ..Copied::default() }
        );
        assert_eq!(content(&*from).await, content(&*to).await);
    }
    let held = to.list_held(&HeldFilter::default(), None, 100).await.unwrap();
    assert!(held.iter().all(|row| row.lease.is_none()), "nobody works on the copy");
}

#[tokio::test]
async fn from_sqlite_to_sqlite() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let open = |dir: &tempfile::TempDir| Arc::new(SqliteStore::open(dir.path(), KeySource::Kept, at(0)).unwrap());
    all_arrives_and_twice_is_as_good_as_once(open(&one), open(&other), 700).await;
}

#[tokio::test]
async fn from_sqlite_to_sqlite_while_it_is_in_use() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let in_use = SqliteStore::open(one.path(), KeySource::Kept, at(0)).unwrap();
    seed(&in_use, 700).await;
    let from = SqliteStore::open_beside(one.path(), None).unwrap();
    let to = SqliteStore::open(other.path(), KeySource::Kept, at(0)).unwrap();
    let copied = copy(&from, &to, &|_, _| {}).await.unwrap();
    assert_eq!((copied.bots, copied.events), (700, 3));
    assert_eq!(content(&in_use).await, content(&to).await);
    assert!(from.put_corp(&corp("ww2")).await.is_err(), "it was opened for reading");
}

#[tokio::test]
async fn what_the_target_learned_later_stays() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = SqliteStore::open(one.path(), KeySource::Kept, at(0)).unwrap();
    let to = SqliteStore::open(other.path(), KeySource::Kept, at(0)).unwrap();
    let mut later = puppet("ww1", "wk1");
    (later.name, later.registered_at, later.last_online_at) = ("moved on".into(), Some(at(50)), Some(at(50)));
    for store in [&from, &to] {
        store.put_token(&token("ww1", "secret", 1)).await.unwrap();
    }
    from.put_puppet(&puppet("ww1", "wk1")).await.unwrap();
    to.put_puppet(&later).await.unwrap();
    to.put_token(&token("ww1", "secret", 9)).await.unwrap();
    let changed = Corp { wecom_proxy: None, updated_at: at(60), ..corp("ww1") };
    from.put_corp(&Corp { updated_at: at(50), ..corp("ww1") }).await.unwrap();
    to.put_corp(&changed).await.unwrap();
    let copied = copy(&from, &to, &|_, _| {}).await.unwrap();
    assert_eq!((copied.bots, copied.later_bots), (0, 1));
    assert_eq!((copied.corps, copied.later_corps), (0, 1));
    assert_eq!(to.corps().await.unwrap(), vec![changed]);
    assert_eq!(to.puppet(&kf_id("wk1")).await.unwrap(), Some(later));
    assert_eq!(to.tokens().await.unwrap(), vec![token("ww1", "secret", 9)]);
}

#[test]
fn a_directory_without_a_store_or_its_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(SqliteStore::open_beside(dir.path(), None), Err(OpenError::Absent { .. })));
    assert!(!dir.path().join("gateway.db").exists(), "looking leaves nothing behind");
}

#[tokio::test]
async fn a_given_key_opens_a_store_that_never_generated_one() {
    let dir = tempfile::tempdir().unwrap();
    let key = Secret::new("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let keys = wxkf_gateway::store::sealed::MasterKeys::parse(&key).unwrap();
    let store = SqliteStore::open(dir.path(), KeySource::Given(keys), at(0)).unwrap();
    store.put_corp(&corp("ww1")).await.unwrap();
    drop(store);
    assert!(matches!(SqliteStore::open_beside(dir.path(), None), Err(OpenError::KeyMissing { .. })));
    let opened = SqliteStore::open_beside(dir.path(), Some(&key)).unwrap();
    assert_eq!(opened.corps().await.unwrap(), vec![corp("ww1")]);
}

//! Secrets at rest: nothing readable in the files, and what a missing, wrong or new key does.

use std::path::Path;
use std::sync::Arc;

use wxkf_gateway::domain::Secret;
use wxkf_gateway::store::sealed::MasterKeys;
use wxkf_gateway::store::sqlite::{KeySource, OpenError, SqliteStore};
use wxkf_gateway::store::{Corps as _, Directory, PuppetPages, Puppets as _, Sharing, StoreError, Tokens as _};

use super::{open_in, raw};
use crate::store::samples::{at, corp, corp_id, kf_id, puppet, token};

/// What the samples' secrets have in common, and the text of their AES keys.
const SEEDED: [&str; 3] = ["seeded-", "AAAAAAAAAAAAAAAA", "CCCCCCCCCCCCCCCC"];

fn given(keys: &[&Secret]) -> KeySource {
    let list: Vec<_> = keys.iter().map(|key| key.expose()).collect();
    KeySource::Given(MasterKeys::parse(&Secret::new(list.join(","))).unwrap())
}

fn open_with(dir: &Path, keys: &[&Secret]) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(dir, given(keys), at(0))
}

async fn seed(store: &SqliteStore) {
    store.put_corp(&corp("ww1")).await.unwrap();
    store.put_puppet(&puppet("ww1", "wk1")).await.unwrap();
    store.put_token(&token("ww1", "seeded-corp-secret", 1)).await.unwrap();
}

async fn assert_all_open(store: &SqliteStore) {
    assert_eq!(store.corps().await, Ok(vec![corp("ww1")]));
    assert_eq!(store.puppets_of(&corp_id("ww1")).await, Ok(vec![puppet("ww1", "wk1")]));
    assert_eq!(store.tokens().await, Ok(vec![token("ww1", "seeded-corp-secret", 1)]));
}

/// The seeded secrets that stand in the directory's files, the log included.
fn readable(dir: &Path) -> Vec<&'static str> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let bytes = files.collect::<Vec<_>>().concat();
    let stands = |text: &&str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    SEEDED.into_iter().filter(stands).collect()
}

#[tokio::test]
async fn no_secret_stands_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    seed(&store).await;
    assert!(dir.path().join("gateway.db-wal").metadata().unwrap().len() > 0, "the log is looked at as well");
    assert_eq!(readable(dir.path()), Vec::<&str>::new());
    drop(store);
    assert_eq!(readable(dir.path()), Vec::<&str>::new());
    assert_all_open(&open_in(dir.path()).unwrap()).await;
}

#[tokio::test]
async fn without_a_key_they_are_readable() {
    let dir = tempfile::tempdir().unwrap();
    seed(&SqliteStore::open(dir.path(), KeySource::Given(MasterKeys::none()), at(0)).unwrap()).await;
    assert_eq!(readable(dir.path()), SEEDED, "the search finds what is there");
    assert!(!dir.path().join("master.key").exists());
}

#[tokio::test]
async fn a_missing_key_stops_the_start_and_says_which() {
    let dir = tempfile::tempdir().unwrap();
    let (right, wrong) = (MasterKeys::generate(), MasterKeys::generate());
    seed(&open_with(dir.path(), &[&right]).unwrap()).await;
    for other in [given(&[&wrong]), KeySource::Kept] {
        let error = SqliteStore::open(dir.path(), other, at(0)).unwrap_err();
        assert!(matches!(error, OpenError::KeyMissing { .. }), "{error}");
        let id = MasterKeys::parse(&right).unwrap().sealing_id().to_owned();
        let text = error.to_string();
        assert!(
            text.contains(&id) && text.contains("MASTER_KEY") && text.contains("wecom_proxy of corp ww1"),
            "{text}"
        );
    }
    assert!(!dir.path().join("master.key").exists(), "no key is generated for what another one sealed");
    assert_all_open(&open_with(dir.path(), &[&right]).unwrap()).await;
}

#[tokio::test]
async fn a_key_that_sealed_nothing_may_go() {
    let dir = tempfile::tempdir().unwrap();
    drop(open_with(dir.path(), &[&MasterKeys::generate()]).unwrap());
    let key = MasterKeys::generate();
    seed(&open_with(dir.path(), &[&key]).unwrap()).await;
    assert_all_open(&open_with(dir.path(), &[&key]).unwrap()).await;
}

#[tokio::test]
async fn values_are_sealed_anew_with_the_first_key() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (MasterKeys::generate(), MasterKeys::generate());
    seed(&open_with(dir.path(), &[&old]).unwrap()).await;
    assert_all_open(&open_with(dir.path(), &[&new, &old]).unwrap()).await;
    assert_all_open(&open_with(dir.path(), &[&new]).unwrap()).await;
    assert!(matches!(open_with(dir.path(), &[&old]), Err(OpenError::KeyMissing { .. })));
}

#[tokio::test]
async fn readable_values_are_sealed_once_plain_may_open_them() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, new) = (Secret::new("plain"), MasterKeys::generate());
    seed(&open_with(dir.path(), &[&plain]).unwrap()).await;
    let error = open_with(dir.path(), &[&new]).unwrap_err();
    assert!(matches!(&error, OpenError::KeyMissing { key_id, .. } if key_id == "plain"), "{error}");
    assert_all_open(&open_with(dir.path(), &[&plain, &new]).unwrap()).await;
    assert_eq!(readable(dir.path()), SEEDED);
    let sealed = open_with(dir.path(), &[&new, &plain]).unwrap();
    assert_all_open(&sealed).await;
    assert_eq!(readable(dir.path()), Vec::<&str>::new(), "neither in free pages nor in the log");
    drop(sealed);
    assert_all_open(&open_with(dir.path(), &[&new]).unwrap()).await;
}

#[tokio::test]
async fn a_value_that_was_moved_or_changed_is_damaged_and_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    for kf in ["wk1", "wk2", "wk3"] {
        store.put_puppet(&puppet("ww1", kf)).await.unwrap();
    }
    let moved =
        "UPDATE puppet SET corp_secret = (SELECT corp_secret FROM puppet WHERE kf_id = 'wk1') WHERE kf_id = 'wk2'";
    assert_eq!(raw(dir.path()).execute(moved, ()).unwrap(), 1);
    let damaged = store.puppet(&kf_id("wk2")).await.unwrap_err();
    assert!(matches!(&damaged, StoreError::Damaged { place, .. } if place == "corp_secret of puppet wk2"), "{damaged}");
    let others = vec![puppet("ww1", "wk1"), puppet("ww1", "wk3")];
    assert_eq!(store.puppets_of(&corp_id("ww1")).await, Ok(others.clone()));
    let (mut pages, mut walked) = (PuppetPages::of(&store, 1), Vec::new());
    while let Some(page) = pages.next().await.unwrap() {
        walked.extend(page);
    }
    assert_eq!(walked, others);

    raw(dir.path()).execute("UPDATE puppet SET corp_secret = 'readable' WHERE kf_id = 'wk1'", ()).unwrap();
    let readable = store.puppet(&kf_id("wk1")).await.unwrap_err();
    assert!(matches!(&readable, StoreError::KeyMissing { key_id, .. } if key_id == "plain"), "{readable}");
}

#[tokio::test]
async fn a_damaged_corp_keeps_no_other_from_being_read_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open_in(dir.path()).unwrap());
    store.put_corp(&corp("ww1")).await.unwrap();
    for (corp, kf) in [("ww1", "wk1"), ("ww2", "wk2")] {
        store.put_puppet(&puppet(corp, kf)).await.unwrap();
    }
    assert!(raw(dir.path()).execute("UPDATE corp SET updated_at = 9000000000000000000", ()).unwrap() > 0);
    let directory = Directory::new(store.clone(), store.clone(), Sharing::Replicas);
    assert_eq!(directory.acquaint().await, Ok(2));
    assert!(matches!(directory.keys(&corp_id("ww1")).await, Err(StoreError::Damaged { .. })));
    raw(dir.path()).execute("ALTER TABLE puppet RENAME TO gone", ()).unwrap();
    let known = directory.keys(&corp_id("ww2")).await.unwrap();
    assert!(known.is_some_and(|keys| !keys.credentials.is_empty()), "it was read ahead");
}

#[tokio::test]
async fn a_damaged_value_does_not_stop_a_change_of_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (MasterKeys::generate(), MasterKeys::generate());
    let store = open_with(dir.path(), &[&old]).unwrap();
    seed(&store).await;
    store.put_puppet(&puppet("ww1", "wk2")).await.unwrap();
    drop(store);
    raw(dir.path()).execute("UPDATE puppet SET token = corp_secret WHERE kf_id = 'wk2'", ()).unwrap();
    assert_all_open(&open_with(dir.path(), &[&new, &old]).unwrap()).await;
}

use std::sync::Arc;

use wxkf_gateway::domain::{Action, Actor, AuditEntry, AuditId};
use wxkf_gateway::store::Store;

use crate::store::samples::{at, audit_entry};

async fn recorded(store: &Arc<dyn Store>, seconds: impl IntoIterator<Item = i64>) -> Vec<AuditEntry> {
    let entries: Vec<AuditEntry> = seconds.into_iter().map(audit_entry).collect();
    for entry in &entries {
        store.append_audit(entry).await.unwrap();
    }
    entries
}

async fn all(store: &Arc<dyn Store>) -> Vec<AuditEntry> {
    store.list_audit(None, 10_000).await.unwrap()
}

pub async fn absence(store: &Arc<dyn Store>) {
    assert_eq!(all(store).await, []);
    assert_eq!(store.list_audit(Some(&AuditId::new(at(1))), 10).await, Ok(vec![]));
    assert_eq!(store.sweep_audit(at(1), 10).await, Ok(0));
}

pub async fn every_field_comes_back(store: &Arc<dyn Store>) {
    let mut full = audit_entry(2);
    full.address = Some("2001:db8::1".parse().unwrap());
    full.actor = Actor::Unknown;
    full.action = Action::from_text("a.word.of.a.newer.version".into());
    full.subject = "wk客服 'one'".into();
    full.detail = "endpoint \"http://a\" → http://b\n".into();
    let mut bare = audit_entry(1);
    (bare.address, bare.actor) = (None, Actor::Bot);
    (bare.subject, bare.detail) = (String::new(), String::new());
    for entry in [&full, &bare] {
        store.append_audit(entry).await.unwrap();
    }
    assert_eq!(all(store).await, [full, bare]);
}

pub async fn a_second_entry_of_an_id_changes_nothing(store: &Arc<dyn Store>) {
    let first = audit_entry(1);
    let second = AuditEntry { id: first.id.clone(), detail: "forged".into(), ..audit_entry(2) };
    store.append_audit(&first).await.unwrap();
    assert_eq!(store.append_audit(&second).await, Ok(()));
    assert_eq!(all(store).await, [first]);
}

pub async fn listed_newest_first_page_by_page(store: &Arc<dyn Store>) {
    // In another order than that of their ids.
    let mut expected = recorded(store, [3, 1, 5, 2, 4]).await;
    expected.sort_by(|one, other| other.id.cmp(&one.id));
    let first = store.list_audit(None, 2).await.unwrap();
    assert_eq!(first, expected[..2]);
    let second = store.list_audit(Some(&first[1].id), 2).await.unwrap();
    assert_eq!(second, expected[2..4]);
    assert_eq!(store.list_audit(Some(&second[1].id), 2).await.unwrap(), expected[4..]);
    let floor = AuditId::floor(at(3));
    assert_eq!(store.list_audit(Some(&floor), 10).await.unwrap(), expected[3..], "`before` need not exist");
}

pub async fn swept_by_age_and_by_number(store: &Arc<dyn Store>) {
    let mut entries = recorded(store, 0..1_200).await;
    entries.reverse();
    assert_eq!(store.sweep_audit(at(0), 1_200).await, Ok(0), "neither older nor too many");
    assert_eq!(store.sweep_audit(at(5), 1_200).await, Ok(5));
    assert_eq!(store.sweep_audit(at(0), 20).await, Ok(1_175));
    assert_eq!(all(store).await, entries[..20], "the newest stay");
    assert_eq!(store.sweep_audit(at(10_000), 20).await, Ok(20));
    assert_eq!(all(store).await, []);
}

//! Random interleavings against a model in memory, whose rules are the domain's own `settles`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;
use wxkf_gateway::domain::{Account, EventId, KfEvent, Trust};
use wxkf_gateway::store::{HeldFilter, HeldState, Store};

use crate::store::samples::{account, at, event, held, settled_by};

#[derive(Debug, Clone)]
enum Step {
    Hold(Shape),
    Settle(Shape),
    /// Rows are named by their place among all that were ever held.
    Expire(usize),
    Revive(usize),
    Sweep,
}

/// Which account, created, arrival, signed.
type Shape = (bool, i64, i64, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let shape = || (any::<bool>(), 0..5_i64, 0..8_i64, any::<bool>());
    let step = prop_oneof![
        6 => shape().prop_map(Step::Hold),
        2 => shape().prop_map(Step::Settle),
        3 => (0..20_usize).prop_map(Step::Expire),
        1 => (0..20_usize).prop_map(Step::Revive),
        1 => Just(Step::Sweep),
    ];
    proptest::collection::vec(step, 1..25)
}

#[derive(Debug, Default)]
struct Model {
    rows: Vec<(KfEvent, HeldState)>,
}

impl Model {
    /// `settles`, with the id between rows of equal order.
    fn replaces(newer: &KfEvent, older: &KfEvent) -> bool {
        newer.account == older.account && newer.settles(older) && (!older.settles(newer) || older.id < newer.id)
    }

    /// Returns the live rows that it made needless: they may go with it.
    fn hold(&mut self, event: KfEvent) -> Vec<EventId> {
        let needless = |(row, state): &(KfEvent, HeldState)| *state == HeldState::Live && Self::replaces(&event, row);
        let gone = self.rows.iter().filter(|row| needless(row)).map(|(row, _)| row.id.clone()).collect();
        self.rows.retain(|row| !needless(row));
        self.rows.push((event, HeldState::Live));
        gone
    }

    fn settle(&mut self, delivered: &KfEvent) -> u64 {
        let before = self.rows.len();
        self.rows.retain(|(row, _)| row.account != delivered.account || !delivered.settles(row));
        (before - self.rows.len()) as u64
    }

    fn expire(&mut self, id: &EventId) -> bool {
        let live = |(row, state): &&mut (KfEvent, HeldState)| row.id == *id && *state == HeldState::Live;
        let Some(given_up) = self.rows.iter_mut().find(live) else { return false };
        given_up.1 = HeldState::Expired;
        let given_up = given_up.0.clone();
        self.rows.retain(|(row, _)| !Self::replaces(&given_up, row));
        let newest = self.best(&given_up.account, HeldState::Expired);
        self.rows.retain(|(row, state)| {
            row.account != given_up.account || *state == HeldState::Live || Some(&row.id) == newest.as_ref()
        });
        true
    }

    fn revive(&mut self, id: &EventId) -> bool {
        let row = self.rows.iter_mut().find(|(row, _)| row.id == *id);
        row.map(|row| row.1 = HeldState::Live).is_some()
    }

    fn sweep(&mut self) {
        let live: Vec<_> = self.rows.iter().filter(|(_, state)| *state == HeldState::Live).cloned().collect();
        self.rows.retain(|(row, state)| {
            *state == HeldState::Expired || !live.iter().any(|(newer, _)| Self::replaces(newer, row))
        });
    }

    fn best(&self, account: &Account, wanted: HeldState) -> Option<EventId> {
        let rows = self.rows.iter().filter(|(row, state)| row.account == *account && *state == wanted);
        rows.map(|(row, _)| row).max_by_key(|row| (row.trust, row.order, row.id.clone())).map(|row| row.id.clone())
    }

    fn listed(&self) -> Vec<(EventId, HeldState)> {
        let mut rows: Vec<_> = self.rows.iter().map(|(row, state)| (row.id.clone(), *state)).collect();
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        rows
    }
}

pub async fn random_interleavings_agree_with_a_model(store: &Arc<dyn Store>) {
    let run = AtomicUsize::new(0);
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let outcome = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&steps(), |steps| {
            let corp = format!("ww{}", run.fetch_add(1, Ordering::Relaxed));
            Handle::current().block_on(compare(store, &corp, steps));
            Ok(())
        })
    });
    outcome.unwrap();
}

async fn compare(store: &Arc<dyn Store>, corp: &str, steps: Vec<Step>) {
    let accounts = [account(corp, "wk0"), account(corp, "wk1")];
    let new = |(second, created, arrival, signed): Shape| {
        let trust = if signed { Trust::Signed } else { Trust::Unsigned };
        event(&accounts[usize::from(second)], created, arrival, trust)
    };
    let filter = HeldFilter { corp: Some(accounts[0].corp.clone()), ..HeldFilter::default() };
    let mut model = Model::default();
    let mut ever: Vec<EventId> = Vec::new();
    for step in steps {
        match &step {
            Step::Hold(shape) => {
                let row = held(new(*shape));
                store.hold(&row).await.unwrap();
                ever.push(row.event.id.clone());
                for needless in model.hold(KfEvent::clone(&row.event)) {
                    store.delete_held(&needless).await.unwrap();
                }
            }
            Step::Settle(shape) => {
                let delivered = held(new(*shape));
                let settled = store.settle(&delivered.event.account, &settled_by(&delivered)).await.unwrap();
                assert_eq!(settled, model.settle(&delivered.event));
            }
            Step::Expire(row) => {
                let Some(id) = ever.get(*row) else { continue };
                assert_eq!(store.expire(id, at(100)).await.unwrap(), model.expire(id));
            }
            Step::Revive(row) => {
                let Some(id) = ever.get(*row) else { continue };
                assert_eq!(store.revive(id, at(100), at(200)).await.unwrap(), model.revive(id));
            }
            Step::Sweep => {
                store.sweep(at(0)).await.unwrap();
                model.sweep();
            }
        }
        let rows = store.list_held(&filter, None, 100).await.unwrap();
        let rows: Vec<_> = rows.into_iter().map(|row| (row.event.id.clone(), row.state)).collect();
        assert_eq!(rows, model.listed(), "after {step:?}");
        for account in &accounts {
            let newest = store.newest(account).await.unwrap().map(|row| row.event.id.clone());
            assert_eq!(newest, model.best(account, HeldState::Live), "after {step:?}");
        }
    }
}

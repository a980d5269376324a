//! How many refused secrets an hour this address can afford: WeCom bans an IP, and with it every
//! corp behind it, at 2,000.
//!
//! A place is taken *before* asking and given back unless the answer was a refusal; otherwise a
//! thousand wrong secrets at the same time would all be asked before the first was counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::{Clock, CorpId};

pub(super) const WINDOW: Duration = Duration::from_secs(3600);
pub(super) const A_CORP: usize = 20;
pub(super) const UNKNOWN_CORPS: usize = 100;
pub(super) const IN_ALL: usize = 500;

/// Whether a corp is known to the gateway; ids that anybody can make up share one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Known,
    Unknown,
}

/// Whose secret is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    pub corp: CorpId,
    pub standing: Standing,
}

#[derive(Debug, Default)]
struct Counts {
    /// Refusals of the last hour, the oldest first.
    refused: VecDeque<(Timestamp, Asker)>,
    /// Who is being asked about now.
    pending: Vec<Asker>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: Mutex<Counts>,
    given_back: Notify,
}

/// The budget of one process. Clones share it.
#[derive(Debug, Default, Clone)]
pub(super) struct Budget(Arc<Inner>);

/// A place in the budget, given back when dropped.
#[derive(Debug)]
#[must_use]
pub struct Place {
    budget: Budget,
    asker: Asker,
    /// Names the place among those of all replicas.
    id: u64,
}

enum Taken {
    Place,
    /// Only because of those who are being asked about now.
    NotYet,
    Spent,
}

impl Budget {
    /// Takes a place, waiting for those whose answer is still open. `None`: spent for this hour.
    pub(super) async fn take(&self, asker: Asker, clock: &Clock) -> Option<Place> {
        loop {
            let given_back = self.0.given_back.notified();
            match self.0.counts.lock().take(&asker, clock.now()) {
                Taken::Place => return Some(Place { budget: self.clone(), asker, id: rand::random() }),
                Taken::Spent => return None,
                Taken::NotYet => {}
            }
            given_back.await;
        }
    }
}

impl Counts {
    fn take(&mut self, asker: &Asker, now: Timestamp) -> Taken {
        let expired = |(at, _): &mut (Timestamp, Asker)| at.checked_add(WINDOW).is_ok_and(|end| end <= now);
        while self.refused.pop_front_if(expired).is_some() {}
        if !has_room(self.refused.iter().map(|(_, refused)| refused), asker) {
            return Taken::Spent;
        }
        if !has_room(self.refused.iter().map(|(_, refused)| refused).chain(&self.pending), asker) {
            return Taken::NotYet;
        }
        self.pending.push(asker.clone());
        Taken::Place
    }
}

fn has_room<'a>(counted: impl Iterator<Item = &'a Asker>, asker: &Asker) -> bool {
    let (mut all, mut unknown, mut corp) = (0, 0, 0);
    for other in counted {
        all += 1;
        unknown += usize::from(other.standing == Standing::Unknown);
        corp += usize::from(other.corp == asker.corp);
    }
    all < IN_ALL && corp < A_CORP && (asker.standing == Standing::Known || unknown < UNKNOWN_CORPS)
}

impl Place {
    pub(super) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn use_up(self, now: Timestamp) {
        self.budget.0.counts.lock().refused.push_back((now, self.asker.clone()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.budget.0.counts.lock();
        if let Some(index) = counts.pending.iter().position(|pending| *pending == self.asker) {
            counts.pending.swap_remove(index);
        }
        drop(counts);
        self.budget.0.given_back.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(number: usize, standing: Standing) -> Asker {
        Asker { corp: CorpId::parse(&format!("ww{number}")).unwrap(), standing }
    }

    async fn refuse(budget: &Budget, number: usize, standing: Standing, at: i64) -> Option<()> {
        let now = Timestamp::from_second(at).unwrap();
        let place = budget.take(asker(number, standing), &Clock::standing_still_at(now)).await;
        place.map(|place| place.use_up(now))
    }

    #[tokio::test]
    async fn a_corp_has_twenty_an_hour() {
        let budget = Budget::default();
        for second in 0..20 {
            assert!(refuse(&budget, 1, Standing::Known, second).await.is_some());
        }
        assert!(refuse(&budget, 1, Standing::Known, 20).await.is_none());
        assert!(refuse(&budget, 2, Standing::Known, 20).await.is_some(), "another corp has its own");
        assert!(refuse(&budget, 1, Standing::Known, 3600).await.is_some(), "the oldest is an hour old");
        assert!(refuse(&budget, 1, Standing::Known, 3600).await.is_none());
    }

    #[tokio::test]
    async fn made_up_corps_share_a_hundred_and_leave_the_rest_to_known_ones() {
        let budget = Budget::default();
        for number in 0..100 {
            assert!(refuse(&budget, number, Standing::Unknown, 0).await.is_some());
        }
        assert!(refuse(&budget, 100, Standing::Unknown, 0).await.is_none());
        for number in 1000..1400 {
            assert!(refuse(&budget, number, Standing::Known, 0).await.is_some());
        }
        assert!(refuse(&budget, 2000, Standing::Known, 0).await.is_none(), "500 in all");
    }

    #[tokio::test]
    async fn an_open_answer_is_waited_for_and_success_costs_nothing() {
        let budget = Budget::default();
        let clock = Clock::standing_still_at(Timestamp::UNIX_EPOCH);
        let take = || budget.take(asker(1, Standing::Known), &clock);
        let mut open = Vec::new();
        for _ in 0..20 {
            open.push(take().await.unwrap());
        }
        let (late, ()) = tokio::join!(take(), async { drop(open.pop()) });
        assert!(late.is_some());
        drop((late, open));
        for _ in 0..50 {
            drop(take().await.unwrap());
        }
    }
}

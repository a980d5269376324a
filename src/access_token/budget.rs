//! How many refused secrets an hour this address can afford: WeCom bans an IP, and with it every
//! corp behind it, at 2,000.
//!
//! A place is taken *before* asking and given back unless the answer was a refusal; otherwise a
//! thousand wrong secrets at the same time would all be asked before the first was counted.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::CorpId;

const WINDOW: Duration = Duration::from_secs(3600);
const A_CORP: usize = 20;
const UNKNOWN_CORPS: usize = 100;
const IN_ALL: usize = 500;

/// Whether a corp is known to the gateway; ids that anybody can make up share one budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Known,
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Asker {
    corp: CorpId,
    standing: Standing,
}

#[derive(Debug, Default)]
struct Counts {
    /// Refusals of the last hour, the oldest first.
    refused: VecDeque<(Timestamp, Asker)>,
    /// Who is being asked about now.
    pending: Vec<Asker>,
}

#[derive(Debug, Default)]
pub(super) struct Budget {
    counts: Mutex<Counts>,
    given_back: Notify,
}

/// A place in the budget, given back when dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Place<'a> {
    budget: &'a Budget,
    asker: Asker,
}

enum Taken {
    Place,
    /// Only because of those who are being asked about now.
    NotYet,
    Spent,
}

impl Budget {
    /// Takes a place, waiting for those whose answer is still open. `None`: spent for this hour.
    pub(super) async fn take(&self, corp: &CorpId, standing: Standing, now: Timestamp) -> Option<Place<'_>> {
        let asker = Asker { corp: corp.clone(), standing };
        loop {
            let given_back = self.given_back.notified();
            match self.counts.lock().take(&asker, now) {
                Taken::Place => return Some(Place { budget: self, asker }),
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

impl Place<'_> {
    /// The answer was a refusal: the place is used up for an hour.
    pub(super) fn refused(self, now: Timestamp) {
        self.budget.counts.lock().refused.push_back((now, self.asker.clone()));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut counts = self.budget.counts.lock();
        if let Some(index) = counts.pending.iter().position(|pending| *pending == self.asker) {
            counts.pending.swap_remove(index);
        }
        drop(counts);
        self.budget.given_back.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corp(number: usize) -> CorpId {
        CorpId::parse(&format!("ww{number}")).unwrap()
    }

    async fn refuse(budget: &Budget, number: usize, standing: Standing, at: i64) -> Option<()> {
        let now = Timestamp::from_second(at).unwrap();
        budget.take(&corp(number), standing, now).await.map(|place| place.refused(now))
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
        let now = Timestamp::UNIX_EPOCH;
        let corp = corp(1);
        let mut open = Vec::new();
        for _ in 0..20 {
            open.push(budget.take(&corp, Standing::Known, now).await.unwrap());
        }
        let (late, ()) = tokio::join!(budget.take(&corp, Standing::Known, now), async { drop(open.pop()) });
        assert!(late.is_some());
        drop((late, open));
        for _ in 0..50 {
            drop(budget.take(&corp, Standing::Known, now).await.unwrap());
        }
    }
}

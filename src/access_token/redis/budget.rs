//! The budget of refusals that all replicas share: sorted sets of places, each with the moment at
//! which it is free again. A place whose process died frees itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::budget::{A_CORP, IN_ALL, Place, UNKNOWN_CORPS, WINDOW};
use super::link::Link;
use super::{keys, scripts};
use crate::domain::Clock;

/// How long an answer can be open: turns of several replicas waited for, then upstream's limit.
const OPEN: Duration = Duration::from_secs(60);
/// Between two looks at a budget that is taken up by open answers.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct SharedBudget {
    link: Arc<Link>,
    clock: Clock,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Place,
    Spent,
}

impl SharedBudget {
    pub(super) fn new(link: Arc<Link>, clock: Clock) -> Self {
        Self { link, clock }
    }

    /// Takes the place also among all replicas, waiting for open answers. While Redis is away, the
    /// process's own budget has to do.
    pub(super) async fn take(&self, place: &Place) -> Taken {
        let budgets = keys::budgets(place.asker());
        let limits = [IN_ALL, A_CORP, UNKNOWN_CORPS];
        loop {
            let now = self.clock.now();
            let mut take = scripts::TAKE_PLACE.prepare_invoke();
            take.arg(now.as_millisecond()).arg(in_future(now, OPEN)).arg(keys::millis(OPEN)).arg(place.id());
            for (budget, limit) in budgets.iter().zip(limits) {
                take.key(budget).arg(limit);
            }
            match self.link.invoke::<String>(&take).await.as_deref() {
                Ok("spent") => return Taken::Spent,
                Ok("not yet") => tokio::time::sleep(PAUSE).await,
                Ok(_) | Err(_) => return Taken::Place,
            }
        }
    }

    pub(super) async fn give_back(&self, place: &Place) {
        let mut commands = redis::pipe();
        for budget in keys::budgets(place.asker()) {
            commands.zrem(budget, place.id()).ignore();
        }
        let _ = self.link.run::<()>(&commands).await;
    }

    pub(super) async fn use_up(&self, place: &Place) {
        let free_at = in_future(self.clock.now(), WINDOW);
        let mut commands = redis::pipe();
        commands.atomic();
        for budget in keys::budgets(place.asker()) {
            commands.zadd(&budget, place.id(), free_at).ignore();
            commands.pexpire(&budget, keys::px(WINDOW + OPEN)).ignore();
        }
        let _ = self.link.run::<()>(&commands).await;
    }
}

fn in_future(now: Timestamp, span: Duration) -> i64 {
    now.checked_add(span).unwrap_or(Timestamp::MAX).as_millisecond()
}

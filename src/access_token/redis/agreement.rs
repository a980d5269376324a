//! What the replicas agree on, in Redis, and in this process while Redis is away. The process keeps
//! its own account of everything all the time, so that it does not begin at nothing then.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use redis::Pipeline;

use super::super::agreement::{Agreement, BETWEEN_FORCED, Company, Forced, LocalAgreement, Turn};
use super::super::budget::{Asker, Place};
use super::super::failure::{Failure, KEPT_FOR, Reach};
use super::budget::{SharedBudget, Taken};
use super::link::Link;
use super::{failures, keys, scripts};
use crate::domain::{AppKey, Clock};

/// A turn lapses after this, which is more than a flight takes in it: upstream's limit
/// ([`crate::wecom::WecomSettings::DEFAULT_LIMIT`]) and four exchanges with Redis.
const TURN: Duration = Duration::from_secs(10);
/// How often the end of another's turn is looked for: soon at first, because most end within that.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct RedisAgreement {
    link: Arc<Link>,
    pub(super) local: LocalAgreement,
    budget: SharedBudget,
    clock: Clock,
}

impl RedisAgreement {
    pub(super) fn new(link: Arc<Link>, clock: Clock) -> Self {
        let budget = SharedBudget::new(link.clone(), clock.clone());
        Self { link, local: LocalAgreement::new(clock.clone()), budget, clock }
    }

    /// Whether Redis took it does not matter to anybody: what is written here counts in the process, too.
    async fn tell(&self, commands: &Pipeline) {
        let _ = self.link.run::<()>(commands).await;
    }
}

#[async_trait]
impl Agreement for RedisAgreement {
    async fn begin(&self, app: &AppKey) -> Turn {
        let (key, owner) = (keys::turn(app), rand::random::<u64>());
        let mut pause = FIRST_PAUSE;
        loop {
            match self.link.invoke(scripts::TAKE_TURN.key(&key).arg(owner).arg(keys::millis(TURN))).await {
                Ok(true) => return Turn { owner, company: Company::Replicas },
                Ok(false) => tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await,
                // It may have been taken all the same; its end is told as of any other.
                Err(_) => return Turn { owner, company: Company::Nobody },
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn end(&self, app: &AppKey, turn: Turn) {
        let _ = self.link.invoke::<()>(scripts::END_TURN.key(keys::turn(app)).arg(turn.owner)).await;
    }

    fn failure(&self, app: &AppKey) -> Option<Failure> {
        self.local.failure(app)
    }

    fn failures(&self) -> Vec<(AppKey, Failure)> {
        self.local.failures()
    }

    async fn remember(&self, app: &AppKey, failure: Failure) {
        if failure.reach() == Reach::Replicas
            && let Some(fields) = failures::write(&failure)
        {
            let key = keys::failure(app);
            let mut commands = redis::pipe();
            commands.atomic().hset_multiple(&key, &fields).pexpire(&key, keys::px(KEPT_FOR));
            self.tell(&commands).await;
        }
        self.local.remember(app, failure).await;
    }

    async fn forget(&self, app: &AppKey) {
        self.local.forget(app).await;
        self.tell(redis::pipe().del(keys::failure(app))).await;
    }

    /// A place of this process first: that is all there is while Redis is away, and never more than
    /// what the replicas have together.
    async fn take_place(&self, asker: Asker) -> Option<Place> {
        let place = self.local.take_place(asker).await?;
        match self.budget.take(&place).await {
            Taken::Place => Some(place),
            Taken::Spent => None,
        }
    }

    async fn give_back(&self, place: Place) {
        self.budget.give_back(&place).await;
        self.local.give_back(place).await;
    }

    async fn use_up(&self, place: Place) {
        self.budget.use_up(&place).await;
        self.local.use_up(place).await;
    }

    async fn begin_forced(&self, app: &AppKey) -> Forced {
        if self.local.begin_forced(app).await == Forced::TooSoon {
            return Forced::TooSoon;
        }
        let mut force = scripts::FORCE.key(keys::forced(app));
        force.arg(self.clock.now().as_millisecond()).arg(keys::millis(BETWEEN_FORCED)).arg(rand::random::<u64>());
        match self.link.invoke::<Option<i64>>(&force).await {
            Ok(Some(last)) => {
                self.local.forced_at(app, Timestamp::from_millisecond(last).unwrap_or(Timestamp::MIN));
                Forced::TooSoon
            }
            Ok(None) | Err(_) => Forced::Begun,
        }
    }

    fn forced_lately(&self, app: &AppKey) -> bool {
        self.local.forced_lately(app)
    }

    async fn forget_forced(&self, app: &AppKey) {
        self.local.forget_forced(app).await;
        self.tell(redis::pipe().del(keys::forced(app))).await;
    }
}

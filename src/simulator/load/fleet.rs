//! Where the bots live: steady ones behind a door that stays open, absent ones behind one that opens
//! when their spell is over or everything heals, restarting ones behind doors that close and open again.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::{Instant, sleep, sleep_until};

use super::crowd::Stage;
use super::door::Door;
use super::registrar::{AT_ONCE, NotRegistered};
use super::{Condition, LoadError, LoadOptions, Registration, Shared};
use crate::lifecycle::Tasks;

/// Restarting bots share so many doors; those behind one restart together.
const GROUPS: usize = 8;
const RESTART_EVERY: Duration = Duration::from_secs(4);
const DOWN: Duration = Duration::from_secs(1);
/// From its registration's being sent until a bot can take a poke, as an unmodified bot needs it.
const READY_AFTER: Duration = Duration::from_secs(1);
/// What arrives within this time after a registration was answered was on its way before.
const ON_ITS_WAY: Duration = Duration::from_millis(200);
/// Between two tries to register.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// At the beginning a gateway that does not answer is given up after so many tries.
const TRIES: u32 = 20;

#[derive(Debug)]
pub(super) struct Fleet {
    steady: Door,
    absent: Door,
    restarting: [Door; GROUPS],
    /// In the endpoints that the bots register.
    host: String,
}

impl Fleet {
    /// Takes the ports; all doors are closed.
    pub fn reserve(options: &LoadOptions) -> io::Result<Self> {
        let steady = Door::reserve(options.listen)?;
        let beside = || Door::reserve(SocketAddr::new(options.listen.ip(), 0));
        let restarting = [beside()?, beside()?, beside()?, beside()?, beside()?, beside()?, beside()?, beside()?];
        let host = match &options.host {
            Some(host) => host.clone(),
            None if options.listen.ip().is_unspecified() => "127.0.0.1".to_owned(),
            None if options.listen.is_ipv6() => format!("[{}]", options.listen.ip()),
            None => options.listen.ip().to_string(),
        };
        Ok(Self { steady, absent: beside()?, restarting, host })
    }

    fn door(&self, account: usize, condition: Condition) -> &Door {
        match condition {
            Condition::Up | Condition::Slow | Condition::Refusing => &self.steady,
            Condition::Absent => &self.absent,
            Condition::Restarting => &self.restarting[account % GROUPS],
        }
    }

    /// What the account's bot registers.
    pub fn endpoint(&self, account: usize, condition: Condition) -> String {
        format!("http://{}:{}/b/{account}", self.host, self.door(account, condition).address().port())
    }

    /// Opens every door but that of the absent ones.
    pub fn open(&self, shared: &Arc<Shared>, tasks: &Tasks) -> io::Result<()> {
        let mut doors = std::iter::once(&self.steady).chain(&self.restarting);
        doors.try_for_each(|door| door.open(shared, tasks))
    }
}

/// Every bot registers once; the first that is refused ends it.
pub(super) async fn register_all(shared: &Shared) -> Result<(), LoadError> {
    if shared.options.registration == Registration::None {
        return Ok(());
    }
    let accounts = stream::iter(0..shared.crowd.len()).map(Ok);
    accounts.try_for_each_concurrent(AT_ONCE, |account| register_first(shared, account)).await
}

async fn register_first(shared: &Shared, account: usize) -> Result<(), LoadError> {
    let mut tries = 0;
    loop {
        let why = match register(shared, account).await {
            Ok(()) => {
                shared.tally.registered.add_one();
                return Ok(());
            }
            Err(NotRegistered::Refused(why)) => return Err(LoadError::RegistrationRefused(why)),
            Err(NotRegistered::WrongPassword) => return Err(LoadError::WrongPassword),
            Err(NotRegistered::NoAnswer(why)) => why,
        };
        tries += 1;
        if tries == TRIES || shared.enough.is_cancelled() {
            return Err(LoadError::NoGateway(why));
        }
        sleep(TRY_AGAIN).await;
    }
}

async fn register(shared: &Shared, account: usize) -> Result<(), NotRegistered> {
    let condition = shared.crowd.member(account).map_or(Condition::Up, |member| member.condition);
    let endpoint = shared.fleet.endpoint(account, condition);
    shared.registrar.register(&shared.crowd, account, &endpoint).await
}

/// Restarting bots go and come until everything heals.
pub(super) fn keep_restarting(shared: &Arc<Shared>, tasks: &Tasks) {
    for group in 0..GROUPS {
        let accounts: Vec<usize> =
            in_condition(shared, Condition::Restarting).filter(|a| a % GROUPS == group).collect();
        if !accounts.is_empty() {
            let (shared, tasks_of_group) = (Arc::clone(shared), tasks.clone());
            tasks.spawn(async move {
                shared.until_over(restart_group(&shared, &tasks_of_group, group, &accounts)).await;
            });
        }
    }
}

async fn restart_group(shared: &Arc<Shared>, tasks: &Tasks, group: usize, accounts: &[usize]) {
    // One group after another.
    let mut pause = RESTART_EVERY.mul_f64((group + 1) as f64 / GROUPS as f64);
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.healed.cancelled() => return,
        }
        shared.fleet.restarting[group].close();
        sleep(DOWN).await;
        come(shared, tasks, &shared.fleet.restarting[group], accounts).await;
        pause = RESTART_EVERY;
    }
}

/// Absent and refusing bots are good once in a while, and for ever when everything heals.
pub(super) fn keep_leaving(shared: &Arc<Shared>, tasks: &Tasks) {
    let (shared, tasks_of_theirs) = (Arc::clone(shared), tasks.clone());
    tasks.spawn(async move { shared.until_over(come_and_go(&shared, &tasks_of_theirs)).await });
}

/// Of those that come, every second one registers as it starts; the others were away without having ended,
/// and are for the gateway to find.
async fn come_and_go(shared: &Arc<Shared>, tasks: &Tasks) {
    let starting: Vec<usize> = in_condition(shared, Condition::Absent).step_by(2).collect();
    let spell = shared.options.spell.unwrap_or(Duration::MAX);
    loop {
        tokio::select! {
            () = sleep(spell) => {}
            () = shared.healed.cancelled() => {}
        }
        shared.troubled.store(false, Ordering::Release);
        come(shared, tasks, &shared.fleet.absent, &starting).await;
        tokio::select! {
            () = sleep(spell) => {}
            () = shared.healed.cancelled() => return,
        }
        shared.troubled.store(true, Ordering::Release);
        shared.fleet.absent.close();
    }
}

/// The door opens, and the bots behind it start: they register, and are ready a while later.
async fn come(shared: &Arc<Shared>, tasks: &Tasks, door: &Door, accounts: &[usize]) {
    for &account in accounts {
        enter(shared, account, Stage::Starting);
    }
    while door.open(shared, tasks).is_err() {
        sleep(TRY_AGAIN).await;
    }
    join_all(accounts.iter().map(|&account| start_bot(shared, account))).await;
}

async fn start_bot(shared: &Shared, account: usize) {
    if shared.options.registration == Registration::ByBots {
        let mut asked = Instant::now();
        while register(shared, account).await.is_err() {
            sleep(TRY_AGAIN).await;
            asked = Instant::now();
        }
        sleep(ON_ITS_WAY).await;
        enter(shared, account, Stage::Registered);
        sleep_until(asked + READY_AFTER).await;
    }
    enter(shared, account, Stage::Ready);
}

fn enter(shared: &Shared, account: usize, stage: Stage) {
    if let Some(member) = shared.crowd.member(account) {
        member.enter(stage);
    }
}

fn in_condition(shared: &Shared, condition: Condition) -> impl Iterator<Item = usize> {
    shared.crowd.members().filter(move |(_, member)| member.condition == condition).map(|(account, _)| account)
}

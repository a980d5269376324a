//! Away bots. An unmodified bot listens before it can take a poke, and dies on one that comes too
//! early; so a bot to which no connection came about is probed, never poked, until it registers or
//! has answered for a while.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::{Inner, Lane, RetryPolicy};
use crate::domain::{Account, Puppet};

/// Probes come this often at first: most absences are restarts.
const PROBE_SOON: Duration = Duration::from_secs(2);
const SOON_LASTS: Duration = Duration::from_secs(60);
const PROBE_LATER: Duration = Duration::from_secs(15);
/// From the first answered probe to the first poke: what a bot needs from listening to being ready.
const SETTLE: Duration = Duration::from_secs(10);
/// How often bots are looked for that another replica found away: should it die, somebody must
/// notice that they are back.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// So many of them begin to be probed at a time: after a restart with 100,000 bots away, all else would wait for them.
const BEGIN_AT_ONCE: usize = 500;
const BREATHER: Duration = Duration::from_millis(10);
/// Until a store that failed is asked again. Growing, because every bot and account asks at the same time: a
/// store that is slow would otherwise be kept from answering any of them.
const STORE_RETRY: RetryPolicy = RetryPolicy { shortest: Duration::from_secs(1), longest: Duration::from_secs(10) };

/// What a prober watches.
#[derive(Debug)]
struct Watch {
    bot: Arc<Puppet>,
    /// The prober's own: a newer one takes over from an older one.
    number: u64,
    /// Whether the store knows that the bot is away, so that its being back would show there.
    noted: bool,
}

impl Inner {
    /// Sees to it that one task probes the bot until it is back.
    pub(super) fn probe(self: &Arc<Self>, bot: Arc<Puppet>) {
        let account = bot.account();
        let number = self.probers.fetch_add(1, Ordering::Relaxed);
        let watches = |lane: &mut Lane| {
            lane.note(|trouble| trouble.prober = trouble.prober.or(Some(number)));
            lane.trouble().prober == Some(number)
        };
        if self.lanes.with(&account, watches) {
            self.tasks.spawn(self.clone().probe_until_back(bot, number));
        }
    }

    /// Bots that were away when the gateway stopped, or that another replica found away.
    pub(super) async fn probe_known_absentees(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            let goes_on = match self.directory.away_puppets().await {
                Ok(puppets) => {
                    failures = 0;
                    self.probe_in_turns(puppets).await;
                    self.directory.is_shared() && self.tasks.pause(LOOK_EVERY).await
                }
                Err(error) => {
                    warn!(error = %error, "cannot read which bots are away");
                    self.pause_for_store(&mut failures).await
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn probe_in_turns(self: &Arc<Self>, puppets: Vec<Puppet>) {
        let mut puppets = puppets.into_iter();
        while puppets.len() > 0 {
            puppets.by_ref().take(BEGIN_AT_ONCE).for_each(|puppet| self.probe(Arc::new(puppet)));
            if !self.tasks.pause(BREATHER).await {
                return;
            }
        }
    }

    async fn probe_until_back(self: Arc<Self>, bot: Arc<Puppet>, number: u64) {
        // Away since before: it may be back by now.
        let (since, mut pause) = match bot.away_since {
            Some(since) => (since, Duration::ZERO),
            None => (self.clock.now(), PROBE_SOON),
        };
        let noted = bot.away_since.is_some() || self.note_away(&bot, since).await;
        let watch = Watch { bot, number, noted };
        loop {
            if !self.tasks.pause(pause).await || !self.still_away(&watch).await {
                return;
            }
            // Boxed: most of the time it pauses, and so may thousands.
            let knock = Box::pin(self.forwarder.knock(&watch.bot));
            let is_back = tokio::select! {
                is_back = self.hosts.is_back(&watch.bot.endpoint, knock) => is_back,
                () = self.tasks.stopping() => return,
            };
            if !is_back {
                let absent = Duration::try_from(self.clock.now().duration_since(since)).unwrap_or_default();
                pause = if absent < SOON_LASTS { PROBE_SOON } else { PROBE_LATER };
                continue;
            }
            debug!(kf.id = %watch.bot.kf_id, "the bot answers a probe");
            if !self.tasks.pause(SETTLE).await || !self.still_away(&watch).await {
                return;
            }
            return self.back(&watch).await;
        }
    }

    /// Whether the store knows it now.
    async fn note_away(&self, bot: &Puppet, since: Timestamp) -> bool {
        match self.directory.set_away(bot, Some(since)).await {
            Ok(noted) => noted,
            Err(error) => {
                warn!(kf.id = %bot.kf_id, error = %error, "cannot note that the bot is away");
                false
            }
        }
    }

    /// Until the store knows it, because the rows of the account are put off for as long as the bot is
    /// away.
    async fn back(self: &Arc<Self>, watch: &Watch) {
        let bot = &watch.bot;
        let mut failures = 0;
        while let Err(error) = self.directory.set_away(bot, None).await {
            warn!(kf.id = %bot.kf_id, error = %error, "cannot note that the bot is back");
            if !self.pause_for_store(&mut failures).await || !self.still_away(watch).await {
                return;
            }
        }
        info!(corp.id = %bot.corp_id, kf.id = %bot.kf_id, "the bot is back");
        let account = bot.account();
        self.lanes.with(&account, Lane::forgive);
        self.clone().wake_surely(account).await;
    }

    /// Makes the account's rows due now, as soon as the store can.
    pub(super) async fn wake_surely(self: Arc<Self>, account: Account) {
        let mut failures = 0;
        while let Err(error) = self.wake(&account, self.clock.now()).await {
            warn!(corp.id = %account.corp, kf.id = %account.kf, error = %error, "cannot wake the account's events");
            if !self.pause_for_store(&mut failures).await {
                return;
            }
        }
    }

    /// After one more failure of the store; false when the gateway stops.
    pub(super) async fn pause_for_store(&self, failures: &mut u32) -> bool {
        *failures = failures.saturating_add(1);
        self.tasks.pause(STORE_RETRY.delay(*failures)).await
    }

    /// Whether it is still this registration that is away. A newer one, or another replica that found
    /// the bot back, ends the probing, and wakes what was put off because of it.
    async fn still_away(self: &Arc<Self>, watch: &Watch) -> bool {
        let account = watch.bot.account();
        let mine = |lane: &Lane| lane.trouble().prober == Some(watch.number);
        if self.lanes.peek(&account, mine) != Some(true) {
            return false;
        }
        let changed = match self.directory.bot(&account).await {
            Ok(Some(now)) => now.registered_at != watch.bot.registered_at || (watch.noted && now.away_since.is_none()),
            Ok(None) => true,
            Err(_) => false,
        };
        if !changed {
            return true;
        }
        let ended = self.lanes.with(&account, |lane| {
            let ended = mine(lane);
            if ended {
                lane.forgive();
            }
            ended
        });
        if ended {
            self.clone().wake_surely(account).await;
        }
        false
    }

    /// Whether the registry still has this registration; true when it cannot be asked.
    pub(super) async fn is_registered_still(&self, bot: &Puppet) -> bool {
        match self.directory.bot(&bot.account()).await {
            Ok(current) => current.is_some_and(|current| current.registered_at == bot.registered_at),
            Err(_) => true,
        }
    }
}

//! Away bots. An unmodified bot listens before it can take a poke, and dies on one that comes too
//! early; so a bot to which no connection came about is probed, never poked, until it registers or
//! has answered for a while.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::{Inner, Lane};
use crate::domain::Puppet;

/// Probes come this often at first: most absences are restarts.
const PROBE_SOON: Duration = Duration::from_secs(2);
const SOON_LASTS: Duration = Duration::from_secs(60);
const PROBE_LATER: Duration = Duration::from_secs(15);
/// From the first answered probe to the first poke: what a bot needs from listening to being ready.
const SETTLE: Duration = Duration::from_secs(10);

impl Inner {
    /// Sees to it that one task probes the bot until it is back.
    pub(super) fn probe(self: &Arc<Self>, bot: Arc<Puppet>) {
        let account = bot.account();
        let number = self.probers.fetch_add(1, Ordering::Relaxed);
        if self.lanes.with(&account, |lane| *lane.prober.get_or_insert(number)) == number {
            self.tasks.spawn(self.clone().probe_until_back(bot, number));
        }
    }

    /// At the start: bots that were away when the gateway stopped.
    pub(super) async fn probe_known_absentees(self: Arc<Self>) {
        match self.directory.away_puppets().await {
            Ok(puppets) => puppets.into_iter().for_each(|puppet| self.probe(Arc::new(puppet))),
            // An event for such a bot starts its probing too.
            Err(error) => warn!(error = %error, "cannot read which bots are away"),
        }
    }

    async fn probe_until_back(self: Arc<Self>, bot: Arc<Puppet>, number: u64) {
        let since = match bot.away_since {
            Some(since) => since,
            None => self.note_away(&bot).await,
        };
        loop {
            let absent = Duration::try_from(self.clock.now().duration_since(since)).unwrap_or_default();
            let pause = if absent < SOON_LASTS { PROBE_SOON } else { PROBE_LATER };
            if !self.pause(pause).await || !self.still_away(&bot, number).await {
                return;
            }
            if !self.forwarder.probe(&bot).await {
                continue;
            }
            debug!(kf.id = %bot.kf_id, "the bot answers a probe");
            if !self.pause(SETTLE).await || !self.still_away(&bot, number).await {
                return;
            }
            return self.back(&bot).await;
        }
    }

    async fn note_away(&self, bot: &Puppet) -> Timestamp {
        let now = self.clock.now();
        if let Err(error) = self.directory.set_away(bot, Some(now)).await {
            warn!(kf.id = %bot.kf_id, error = %error, "cannot note that the bot is away");
        }
        now
    }

    async fn back(&self, bot: &Puppet) {
        info!(corp.id = %bot.corp_id, kf.id = %bot.kf_id, "the bot is back");
        if let Err(error) = self.directory.set_away(bot, None).await {
            warn!(kf.id = %bot.kf_id, error = %error, "cannot note that the bot is back");
        }
        let account = bot.account();
        self.lanes.with(&account, Lane::forgive);
        if let Err(error) = self.wake(&account, self.clock.now()).await {
            warn!(kf.id = %bot.kf_id, error = %error, "cannot wake the events of a bot that is back");
        }
    }

    /// False when the gateway stops.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.tasks.stopping() => false,
        }
    }

    /// Whether it is still this registration that is away: a newer one ends the probing.
    async fn still_away(&self, bot: &Puppet, number: u64) -> bool {
        let account = bot.account();
        if self.lanes.peek(&account, |lane| lane.prober) != Some(Some(number)) {
            return false;
        }
        match self.directory.bot(&account).await {
            Ok(Some(current)) if current.registered_at == bot.registered_at => true,
            Ok(_) => {
                self.lanes.with(&account, |lane| lane.prober = None);
                false
            }
            Err(_) => true,
        }
    }
}

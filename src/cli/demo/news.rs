//! What WeCom and the bot wrote down, as one story.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;

use crate::simulator::Entry;
use crate::simulator::bot::{Bot, BotHappening};
use crate::simulator::wecom::{Happening, Wecom};

/// When nothing has happened for so long, what happened is told.
const QUIET: Duration = Duration::from_millis(30);

/// Both sides of the gateway.
pub(super) struct News {
    before: Vec<Told>,
    wecom: Receiver<Entry<Happening>>,
    bot: Receiver<Entry<BotHappening>>,
}

impl News {
    pub fn follow(wecom: &Wecom, bot: &Bot) -> Self {
        let (wecom_before, wecom) = wecom.journal().follow_from_start();
        let (bot_before, bot) = bot.journal().follow_from_start();
        let wecom_before = wecom_before.into_iter().map(Told::Wecom);
        Self { before: wecom_before.chain(bot_before.into_iter().map(Told::Bot)).collect(), wecom, bot }
    }

    /// When the first thing happened that nobody has told yet.
    pub fn began(&self) -> Option<Timestamp> {
        self.before.iter().map(Told::at).min()
    }

    /// What happened together, in its order.
    ///
    /// It is a matter of milliseconds, and the two journals know nothing of each other's order:
    /// nothing is told before both are quiet.
    pub async fn next_batch(&mut self) -> Vec<Told> {
        let mut batch = std::mem::take(&mut self.before);
        if batch.is_empty() {
            batch.extend(self.next().await);
        }
        while let Ok(more) = tokio::time::timeout(QUIET, self.next()).await {
            batch.extend(more);
        }
        batch.sort_by_key(Told::place);
        batch
    }

    /// A follower that fell behind goes on with what is left.
    async fn next(&mut self) -> Option<Told> {
        tokio::select! {
            entry = self.wecom.recv() => entry.ok().map(Told::Wecom),
            entry = self.bot.recv() => entry.ok().map(Told::Bot),
        }
    }
}

/// One entry of either journal.
pub(super) enum Told {
    Wecom(Entry<Happening>),
    Bot(Entry<BotHappening>),
}

impl Told {
    /// The millisecond, and which goes first within it: an entry is made when something is over, and
    /// what caused another thing may be over later than that.
    fn place(&self) -> (i64, u8) {
        match self {
            Self::Wecom(entry) => {
                let rank = match entry.what {
                    Happening::UrlVerified { .. } => 0,
                    Happening::CustomerWrote { .. }
                    | Happening::CustomerEntered { .. }
                    | Happening::Scripted { .. } => 1,
                    Happening::ApiCalled { .. } => 2,
                    Happening::CallbackSent { .. } => 4,
                    Happening::CustomerAnswered { .. } => 7,
                };
                (entry.at.as_millisecond(), rank)
            }
            Self::Bot(entry) => {
                let rank = match entry.what {
                    BotHappening::Dispatched { .. } => 3,
                    BotHappening::TokenFetched { .. } => 5,
                    _ => 6,
                };
                (entry.at.as_millisecond(), rank)
            }
        }
    }

    fn at(&self) -> Timestamp {
        match self {
            Self::Wecom(entry) => entry.at,
            Self::Bot(entry) => entry.at,
        }
    }
}

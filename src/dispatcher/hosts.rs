//! Where bots that are away listen: many may share a host and a port, with a path each.
//!
//! The one decision a reader would question: that no connection comes about is found out once a second for all bots
//! of a host, not by each. 20,000 of them would try 10,000 connections a second, and everybody else's callers wait.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use crate::domain::Endpoint;
use crate::egress::Undelivered;

/// Between two looks at a host that nobody could connect to.
const PAUSE: Duration = Duration::from_secs(1);
/// Probes of one host at the same time: those who come back together are not drowned in them.
const AT_ONCE: usize = 256;
/// Longer than the time between two probes of a bot.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// A host beyond these is probed by each of its bots.
const MOST: u64 = 100_000;

#[derive(Debug)]
struct Host {
    turns: Semaphore,
    unreachable_at: Mutex<Option<Instant>>,
}

#[derive(Debug)]
pub(super) struct Hosts(Cache<String, Arc<Host>>);

impl Hosts {
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_idle(FORGOTTEN_AFTER).build())
    }

    /// Whether the bot answers, if its host can be reached at all: who found that it cannot, since the bot was to be
    /// asked, speaks for the bot as well.
    pub async fn is_back(&self, bot: &Endpoint, ask: impl Future<Output = Result<(), Undelivered>>) -> bool {
        let due = Instant::now();
        let host = self.0.get_with_by_ref(bot.origin(), || {
            Arc::new(Host { turns: Semaphore::new(AT_ONCE), unreachable_at: Mutex::default() })
        });
        if let Some(at) = host.unreachable_at() {
            sleep_until(at + PAUSE).await;
        }
        let _turn = host.turns.acquire().await;
        if host.unreachable_at().is_some_and(|at| at >= due) {
            return false;
        }
        let answer = ask.await;
        // One that is reached at all takes back what another said: many that come at once can miss one another.
        let is_unreachable = matches!(answer, Err(Undelivered::NoConnection(_)));
        *host.unreachable_at.lock() = is_unreachable.then(Instant::now);
        answer.is_ok()
    }
}

impl Host {
    fn unreachable_at(&self) -> Option<Instant> {
        *self.unreachable_at.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::parse(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn one_asks_for_all_of_a_host_that_cannot_be_reached() {
        let (hosts, asked) = (Hosts::new(), AtomicUsize::new(0));
        let nobody = async || {
            asked.fetch_add(1, Ordering::Relaxed);
            Err(Undelivered::NoConnection("refused".to_owned()))
        };
        let bots: Vec<_> = (0..100).map(|bot| endpoint(&format!("http://host:1/b/{bot}"))).collect();
        for round in 1..=3 {
            let answers = futures::future::join_all(bots.iter().map(|bot| hosts.is_back(bot, nobody()))).await;
            assert!(answers.into_iter().all(|back| !back));
            assert_eq!(asked.load(Ordering::Relaxed), round);
        }
        assert!(hosts.is_back(&endpoint("http://host:2/b/0"), async { Ok(()) }).await, "another port is another place");
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_back_is_found_within_the_pause() {
        let hosts = Hosts::new();
        let nobody = async { Err(Undelivered::NoConnection("refused".to_owned())) };
        assert!(!hosts.is_back(&endpoint("http://host/b/0"), nobody).await);
        tokio::time::advance(Duration::from_millis(1)).await;
        let began = Instant::now();
        assert!(hosts.is_back(&endpoint("http://host/b/1"), async { Ok(()) }).await);
        assert!(began.elapsed() <= PAUSE);
        let began = Instant::now();
        assert!(hosts.is_back(&endpoint("http://host/b/2"), async { Ok(()) }).await);
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bot_that_does_not_answer_says_nothing_of_its_neighbours() {
        let hosts = Hosts::new();
        let away = async { Err(Undelivered::NoAnswer("something before the bot answered 502".to_owned())) };
        assert!(!hosts.is_back(&endpoint("http://ingress/b/0"), away).await);
        assert!(hosts.is_back(&endpoint("http://ingress/b/1"), async { Ok(()) }).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_asked_by_so_many_at_once() {
        let (hosts, now, most) = (Hosts::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        let slow = async || {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        };
        let bot = endpoint("http://host");
        let answers = futures::future::join_all((0..1_000).map(|_| hosts.is_back(&bot, slow()))).await;
        assert!(answers.into_iter().all(|back| back));
        assert_eq!(most.load(Ordering::Relaxed), AT_ONCE);
    }
}

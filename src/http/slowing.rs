//! Slows those who offer wrong passwords again and again.
//!
//! The one decision a reader would question: the right password is never slowed, so that a guess that
//! hits is answered at once. Anything else would let one caller lock out everybody who shares his
//! address, and an ingress is one address for all. What keeps passwords from being guessed is their
//! length; this keeps guessing from costing the gateway more than it costs the guesser, and makes it
//! visible: in the log, in a metric and in the record of changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

/// Wrong attempts in a burst that are answered at once: people mistype, bots retry.
const FREE: u64 = 5;
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);
/// Answers held back at the same time, over all callers.
const HELD_BACK: usize = 256;

/// How a wrong attempt is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slowed {
    /// After its delay, as any other.
    Answered,
    /// At once, to come back later: too many answers are held back already.
    TurnedAway,
}

/// Holds answers back; clones share the places.
#[derive(Debug, Clone)]
pub struct Slowing {
    places: Arc<Semaphore>,
    first: Duration,
    longest: Duration,
}

impl Default for Slowing {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(HELD_BACK)), first: FIRST, longest: LONGEST }
    }
}

impl Slowing {
    /// When a wrong attempt may be answered that is the `nth` of its burst. A caller who hangs up
    /// frees his place.
    pub(super) async fn hold_back(&self, nth: u64) -> Slowed {
        let delay = self.delay(nth);
        if delay.is_zero() {
            return Slowed::Answered;
        }
        let Ok(_place) = self.places.try_acquire() else { return Slowed::TurnedAway };
        sleep(delay).await;
        Slowed::Answered
    }

    /// Doubles with each attempt.
    fn delay(&self, nth: u64) -> Duration {
        let Some(beyond) = nth.checked_sub(FREE + 1) else { return Duration::ZERO };
        let doubled = u32::try_from(beyond).ok().and_then(|power| 2_u32.checked_pow(power));
        doubled.map_or(self.longest, |factor| self.first.saturating_mul(factor).min(self.longest))
    }
}

/// When a caller who was turned away may try again.
pub(super) const RETRY_AFTER: Duration = LONGEST;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_seconds() {
        let slowing = Slowing::default();
        let millis: Vec<_> = (1..=13).map(|nth| slowing.delay(nth).as_millis()).collect();
        assert_eq!(millis, [0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 3000, 3000, 3000]);
        assert_eq!(slowing.delay(u64::MAX), LONGEST);
    }

    #[tokio::test]
    async fn held_back_answers_are_bounded_and_free_their_places() {
        let short = Duration::from_millis(20);
        let slowing = Slowing { first: short, longest: short, ..Slowing::default() };
        let mut held: Vec<_> = (0..HELD_BACK).map(|_| Box::pin(slowing.hold_back(100))).collect();
        for answer in &mut held {
            assert!(futures::poll!(answer).is_pending());
        }
        assert_eq!(slowing.hold_back(100).await, Slowed::TurnedAway);
        assert_eq!(slowing.hold_back(1).await, Slowed::Answered, "a first mistake is answered as ever");
        drop(held.pop());
        assert_eq!(slowing.hold_back(100).await, Slowed::Answered, "whoever hung up left a place");
        assert_eq!(futures::future::join_all(held).await, [Slowed::Answered; HELD_BACK - 1]);
    }
}

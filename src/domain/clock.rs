//! The wall clock, injected: only this file reads the machine's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// Wall-clock time, in whole milliseconds. Clones share one offset, so the simulator and the tests
/// can move a whole gateway through time.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
    /// Then the offset is the time itself.
    stands_still: bool,
}

impl Clock {
    /// Moves only by [`Clock::advance`], for runs that can be repeated to the millisecond.
    pub fn standing_still_at(at: Timestamp) -> Self {
        Self { offset_ms: Arc::new(AtomicI64::new(at.as_millisecond())), stands_still: true }
    }

    /// The machine's time plus whatever was added by [`Clock::advance`].
    pub fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
        let machine = Timestamp::now().as_millisecond();
        let machine = if self.stands_still { 0 } else { machine };
        let offset = self.offset_ms.load(Ordering::Relaxed);
        Timestamp::from_millisecond(machine.saturating_add(offset)).unwrap_or(Timestamp::MAX)
    }

    /// Moves every clone of this clock forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(by, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_until_it_is_advanced() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let clock = Clock::standing_still_at(at);
        assert_eq!(clock.now(), at);
        clock.clone().advance(Duration::from_secs(60));
        assert_eq!(clock.now().as_second(), at.as_second() + 60);
    }
}

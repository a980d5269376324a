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
}

impl Clock {
    /// The machine's time plus whatever was added by [`Clock::advance`].
    pub fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
        let machine = Timestamp::now().as_millisecond();
        let offset = self.offset_ms.load(Ordering::Relaxed);
        Timestamp::from_millisecond(machine.saturating_add(offset)).unwrap_or(Timestamp::MAX)
    }

    /// Moves every clone of this clock forward.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(by, Ordering::Relaxed);
    }
}

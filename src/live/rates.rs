//! Numbers of the last hour, one cell a minute. Counting takes no lock and no memory: a cell holds its
//! minute beside its number, so that whoever counts first in a new minute clears what was there an hour
//! ago.

use std::sync::atomic::{AtomicU64, Ordering};

const MINUTES: usize = 60;
/// More than an hour's, so that the oldest shown is not the one that is cleared.
const CELLS: usize = 64;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Genuine callbacks and verifications.
    Callbacks,
    /// Events that a bot or a service took.
    Dispatched,
    /// Events that were stored because their bot did not take them.
    Stored,
    /// Callbacks that were refused.
    Refused,
    /// Calls of WeCom's API that were passed on.
    Proxied,
}

impl Rate {
    pub const ALL: [Self; 5] = [Self::Callbacks, Self::Dispatched, Self::Stored, Self::Refused, Self::Proxied];
}

/// Minute in the upper half, number in the lower.
#[derive(Debug)]
pub(super) struct Rates([[AtomicU64; CELLS]; Rate::ALL.len()]);

impl Default for Rates {
    fn default() -> Self {
        Self(std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))))
    }
}

impl Rates {
    pub(super) fn add(&self, rate: Rate, minute: u32) {
        let cell = self.cell(rate, minute);
        let mut known = cell.load(Ordering::Relaxed);
        loop {
            let next = if known >> 32 == u64::from(minute) { known + 1 } else { u64::from(minute) << 32 | 1 };
            match cell.compare_exchange_weak(known, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => known = changed,
            }
        }
    }

    pub(super) fn last_hour(&self, rate: Rate, now: u32) -> LastHour {
        let mut minutes = [0; MINUTES];
        for (number, minute) in minutes.iter_mut().rev().zip((0..=now).rev()) {
            let known = self.cell(rate, minute).load(Ordering::Relaxed);
            if known >> 32 == u64::from(minute) {
                *number = u32::try_from(known & u64::from(u32::MAX)).unwrap_or(u32::MAX);
            }
        }
        LastHour(minutes)
    }

    fn cell(&self, rate: Rate, minute: u32) -> &AtomicU64 {
        &self.0[rate as usize][usize::try_from(minute).unwrap_or_default() % CELLS]
    }
}

/// One number a minute, the oldest first; the last one's minute is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastHour([u32; MINUTES]);

impl Default for LastHour {
    fn default() -> Self {
        Self([0; MINUTES])
    }
}

impl LastHour {
    pub fn minutes(&self) -> &[u32] {
        &self.0
    }

    pub fn total(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }

    /// The most in a minute.
    pub fn peak(&self) -> u32 {
        self.0.iter().copied().max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_an_hour_and_forgets_what_is_older() {
        let rates = Rates::default();
        for minute in [100, 100, 101, 159] {
            rates.add(Rate::Stored, minute);
        }
        let hour = rates.last_hour(Rate::Stored, 159);
        assert_eq!((hour.minutes()[0], hour.minutes()[1], hour.minutes()[59]), (2, 1, 1));
        assert_eq!((hour.total(), hour.peak()), (4, 2));
        assert_eq!(rates.last_hour(Rate::Stored, 160).total(), 2, "one minute later the first is out of sight");
        rates.add(Rate::Stored, 100 + 64);
        assert_eq!(rates.last_hour(Rate::Stored, 164).total(), 2, "its cell serves another minute");
        assert_eq!(rates.last_hour(Rate::Refused, 164).total(), 0);
    }

    #[test]
    fn counts_of_many_threads_are_all_there() {
        let rates = Rates::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|number| rates.add(Rate::Callbacks, number / 500)));
            }
        });
        let hour = rates.last_hour(Rate::Callbacks, 1);
        assert_eq!(&hour.minutes()[58..], [2_000, 2_000]);
    }
}

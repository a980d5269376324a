//! What one account was sent, what was acknowledged of it and what arrived: the proof.
//!
//! Of an account only the newest event counts, and which of two is the newest is the gateway's to
//! say while both are under way: it goes by `CreateTime`, then by arrival, which the network may
//! change. So an acknowledged event is proven by its own arrival, by that of a later one, or by that
//! of one that was under way beside it, and by nothing else.

/// One callback under way, its repeats included.
#[derive(Debug)]
pub(super) struct Flight {
    /// Counts an account's callbacks from 1.
    pub sequence: u32,
    /// Those that were under way when it began.
    beside: Vec<u32>,
}

/// The record of one account; small, because there may be 100,000 of them.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    sent: u32,
    under_way: Vec<u32>,
    /// The newest acknowledged, and those that were under way beside it.
    acknowledged: u32,
    beside: Vec<u32>,
    newest_arrived: u32,
    last_arrived: u32,
}

/// Whether an account's newest acknowledged event arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing of it was acknowledged, so nothing is owed.
    NothingOwed,
    Proven,
    Missing {
        acknowledged: u32,
        arrived: u32,
    },
}

impl Ledger {
    pub fn begin(&mut self) -> Flight {
        self.sent += 1;
        let beside = self.under_way.clone();
        self.under_way.push(self.sent);
        Flight { sequence: self.sent, beside }
    }

    pub fn acknowledged(&mut self, flight: Flight) {
        self.ended(&flight);
        if flight.sequence > self.acknowledged {
            self.acknowledged = flight.sequence;
            self.beside = flight.beside;
        }
    }

    pub fn given_up(&mut self, flight: &Flight) {
        self.ended(flight);
    }

    fn ended(&mut self, flight: &Flight) {
        self.under_way.retain(|&sequence| sequence != flight.sequence);
        if self.under_way.is_empty() {
            // Overlaps are rare: the room they took is given back.
            self.under_way = Vec::new();
        }
    }

    pub fn arrived(&mut self, sequence: u32) {
        self.newest_arrived = self.newest_arrived.max(sequence);
        self.last_arrived = sequence;
    }

    pub fn standing(&self) -> Standing {
        if self.acknowledged == 0 {
            return Standing::NothingOwed;
        }
        if self.newest_arrived >= self.acknowledged || self.beside.contains(&self.last_arrived) {
            return Standing::Proven;
        }
        Standing::Missing { acknowledged: self.acknowledged, arrived: self.newest_arrived }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_acknowledged_or_a_later_one_must_arrive() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.standing(), Standing::NothingOwed);
        let first = ledger.begin();
        ledger.arrived(1);
        ledger.acknowledged(first);
        assert_eq!(ledger.standing(), Standing::Proven);
        let second = ledger.begin();
        ledger.acknowledged(second);
        assert_eq!(ledger.standing(), Standing::Missing { acknowledged: 2, arrived: 1 });
        let third = ledger.begin();
        ledger.given_up(&third);
        ledger.arrived(3);
        assert_eq!(ledger.standing(), Standing::Proven, "a later one, although nobody acknowledged it");
    }

    #[test]
    fn what_was_never_acknowledged_is_not_owed() {
        let mut ledger = Ledger::default();
        let only = ledger.begin();
        ledger.given_up(&only);
        assert_eq!(ledger.standing(), Standing::NothingOwed);
    }

    #[test]
    fn of_two_under_way_together_either_may_be_the_newest() {
        let mut ledger = Ledger::default();
        let (first, second) = (ledger.begin(), ledger.begin());
        ledger.acknowledged(second);
        assert_eq!(ledger.standing(), Standing::Missing { acknowledged: 2, arrived: 0 });
        ledger.arrived(1);
        ledger.acknowledged(first);
        assert_eq!(ledger.standing(), Standing::Proven);
    }

    #[test]
    fn one_that_was_over_before_proves_nothing() {
        let mut ledger = Ledger::default();
        let (slow, quick) = (ledger.begin(), ledger.begin());
        ledger.acknowledged(quick);
        let newest = ledger.begin();
        ledger.acknowledged(newest);
        ledger.arrived(2);
        assert_eq!(ledger.standing(), Standing::Missing { acknowledged: 3, arrived: 2 });
        ledger.arrived(slow.sequence);
        assert_eq!(ledger.standing(), Standing::Proven);
    }
}

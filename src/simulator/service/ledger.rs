//! Which events came, how often, and which numbers of a row have not.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

/// Where an event stands in the row that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sequence {
    /// It has no number, was not accepted, or was before.
    None,
    /// The first one, or the one after the greatest so far.
    Next,
    /// These have not come before it.
    After(RangeInclusive<u64>),
    /// A greater one came before it.
    Late,
}

/// What came, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    pub requests: usize,
    /// Different ones that were accepted.
    pub events: usize,
    /// Accepted, and come again.
    pub repeats: usize,
    /// Answered otherwise, or not at all.
    pub refused: usize,
    pub wrong_signatures: usize,
    /// Came after one with a greater number.
    pub late: usize,
    /// Numbers between the smallest and the greatest that have not come.
    pub missing: Vec<RangeInclusive<u64>>,
}

/// What an arrival was in the light of those before.
pub(super) struct Entered {
    pub attempt: u32,
    pub is_repeat: bool,
    pub sequence: Sequence,
}

#[derive(Default)]
pub(super) struct Ledger {
    seen: HashMap<String, Seen>,
    numbers: BTreeSet<u64>,
    tally: Tally,
}

#[derive(Default)]
struct Seen {
    attempts: u32,
    is_accepted: bool,
}

impl Ledger {
    /// An event without an id is another one each time.
    pub fn enter(&mut self, id: &str, is_accepted: bool, is_forged: bool, number: Option<u64>) -> Entered {
        let mut nameless = Seen::default();
        let seen = if id.is_empty() { &mut nameless } else { self.seen.entry(id.to_owned()).or_default() };
        // Whoever cannot sign has no say in what came.
        let is_repeat = seen.is_accepted && !is_forged;
        seen.attempts += 1;
        seen.is_accepted |= is_accepted;
        let attempt = seen.attempts;
        self.tally.requests += 1;
        self.tally.wrong_signatures += usize::from(is_forged);
        self.tally.repeats += usize::from(is_repeat);
        self.tally.refused += usize::from(!is_accepted);
        let is_new = is_accepted && !is_repeat;
        self.tally.events += usize::from(is_new);
        let sequence = match number {
            Some(number) if is_new => self.place(number),
            _ => Sequence::None,
        };
        Entered { attempt, is_repeat, sequence }
    }

    fn place(&mut self, number: u64) -> Sequence {
        let greatest = self.numbers.last().copied();
        self.numbers.insert(number);
        match greatest {
            Some(greatest) if number <= greatest => {
                self.tally.late += 1;
                Sequence::Late
            }
            Some(greatest) if number > greatest + 1 => Sequence::After(greatest + 1..=number - 1),
            _ => Sequence::Next,
        }
    }

    pub fn tally(&self) -> Tally {
        let following = self.numbers.iter().zip(self.numbers.iter().skip(1));
        let gaps = following.filter(|&(before, after)| after - before > 1);
        Tally { missing: gaps.map(|(before, after)| before + 1..=after - 1).collect(), ..self.tally.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(ledger: &mut Ledger, id: &str, number: u64) -> Sequence {
        ledger.enter(id, true, false, Some(number)).sequence
    }

    #[test]
    fn a_repeat_is_of_what_was_accepted_and_an_attempt_of_anything() {
        let mut ledger = Ledger::default();
        let mut told = Vec::new();
        for is_accepted in [false, true, true, false] {
            let entered = ledger.enter("msg_1", is_accepted, false, None);
            told.push((entered.attempt, entered.is_repeat));
        }
        assert_eq!(told, [(1, false), (2, false), (3, true), (4, true)]);
        let forged = ledger.enter("msg_1", false, true, None);
        assert!(!forged.is_repeat);
        for _ in 0..2 {
            assert!(!ledger.enter("", true, false, None).is_repeat);
        }
        let expected =
            Tally { requests: 7, events: 3, repeats: 2, refused: 3, wrong_signatures: 1, late: 0, missing: Vec::new() };
        assert_eq!(ledger.tally(), expected);
    }

    #[test]
    fn gaps_are_told_and_may_be_filled() {
        let mut ledger = Ledger::default();
        assert_eq!(accepted(&mut ledger, "a", 10), Sequence::Next);
        assert_eq!(accepted(&mut ledger, "b", 11), Sequence::Next);
        assert_eq!(accepted(&mut ledger, "c", 15), Sequence::After(12..=14));
        assert_eq!(accepted(&mut ledger, "d", 13), Sequence::Late);
        assert_eq!(ledger.tally().missing, [12..=12, 14..=14]);
        assert_eq!(ledger.enter("e", false, false, Some(16)).sequence, Sequence::None, "not accepted");
        assert_eq!(accepted(&mut ledger, "a", 10), Sequence::None, "a repeat");
        assert_eq!(accepted(&mut ledger, "max", u64::MAX), Sequence::After(16..=u64::MAX - 1));
        assert_eq!((ledger.tally().late, ledger.tally().events), (1, 5));
    }
}

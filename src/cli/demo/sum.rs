//! What a demo comes to.

use std::time::Duration;

/// The messages of a demo.
#[derive(Debug, Default)]
pub(super) struct Sum {
    asked: usize,
    took: Vec<Duration>,
}

impl Sum {
    /// One more message, and how long its answer took, if one came.
    pub fn add(&mut self, took: Option<Duration>) {
        self.asked += 1;
        self.took.extend(took);
    }

    pub fn asked(&self) -> usize {
        self.asked
    }

    pub fn answered(&self) -> usize {
        self.took.len()
    }

    /// Half of the answers came within this time.
    pub fn median(&self) -> Option<Duration> {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_middle_of_what_was_answered() {
        let mut sum = Sum::default();
        assert_eq!((sum.asked(), sum.median()), (0, None));
        for took in [Some(30), None, Some(10), Some(20)] {
            sum.add(took.map(Duration::from_millis));
        }
        assert_eq!((sum.asked(), sum.answered(), sum.median()), (4, 3, Some(Duration::from_millis(20))));
    }
}

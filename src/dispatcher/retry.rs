//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential with jitter: a bot that comes back must not meet every account's retry at once.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    pub shortest: Duration,
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { shortest: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// The wait after this many failures in a row (from 1): up to a quarter shorter than the
    /// doubled one, never outside the limits.
    pub fn delay(&self, failures: u32) -> Duration {
        let doubled = self.shortest.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.longest);
        doubled.mul_f64(rand::random_range(0.75..=1.0)).max(self.shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_longest_and_stays() {
        let policy = RetryPolicy::default();
        for failures in 0..100 {
            let delay = policy.delay(failures);
            assert!((policy.shortest..=policy.longest).contains(&delay), "{failures}: {delay:?}");
        }
        assert!(policy.delay(3) >= Duration::from_secs(3));
        assert!(policy.delay(u32::MAX) >= Duration::from_secs(22));
    }
}

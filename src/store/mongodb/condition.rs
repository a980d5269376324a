//! What all operations together say about the server: whether it answers, and whether it takes writes.
//! Changes are logged once.
//!
//! The one decision a reader would question: once the server has been silent for [`PATIENCE`], one
//! operation at a time looks for it and all others fail at once. A callback must not wait for a store
//! that is known to be away; a short interruption is waited through.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::store::{Result, StoreError};

/// How long operations fail each by itself before the server counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Condition {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the first operation began that got no answer, since the last answer.
    silent_since: Option<Instant>,
    away: bool,
    /// One operation looks for the server.
    looking: bool,
    refuses_writes: bool,
}

/// The right to ask the server. Dropped without a word (its caller gave up), it says nothing.
#[derive(Debug)]
pub(super) struct Pass<'c> {
    condition: &'c Condition,
    began: Instant,
    looks: bool,
}

impl Condition {
    /// Refused while the server is away and another operation looks for it.
    pub(super) fn pass(&self, now: Instant) -> Result<Pass<'_>> {
        let mut state = self.state.lock();
        if !state.away {
            return Ok(Pass { condition: self, began: now, looks: false });
        }
        if state.looking {
            let seconds = state.silent_for(now).as_secs();
            return Err(StoreError::Unavailable(format!("MongoDB has not answered for {seconds} s")));
        }
        state.looking = true;
        Ok(Pass { condition: self, began: now, looks: true })
    }

    /// What became of a write that was promised to last.
    pub(super) fn wrote(&self, result: Result<(), &StoreError>) {
        let mut state = self.state.lock();
        let changed = std::mem::replace(&mut state.refuses_writes, result.is_err()) != result.is_err();
        drop(state);
        match result {
            Err(error) if changed => tracing::error!(%error, "the store cannot be written"),
            Ok(()) if changed => tracing::info!("the store can be written again"),
            _ => {}
        }
    }

    pub(super) fn refuses_writes(&self) -> bool {
        self.state.lock().refuses_writes
    }
}

impl State {
    fn silent_for(&self, now: Instant) -> Duration {
        self.silent_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

impl Pass<'_> {
    /// The server answered, whatever it said.
    pub(super) fn answered(self, now: Instant) {
        let mut state = self.condition.state.lock();
        let seconds = state.silent_for(now).as_secs();
        state.silent_since = None;
        if std::mem::take(&mut state.away) {
            tracing::info!(seconds, "the store answers again");
        }
    }

    pub(super) fn unanswered(self, now: Instant, error: &StoreError) {
        let mut state = self.condition.state.lock();
        state.silent_since.get_or_insert(self.began);
        if !state.away && state.silent_for(now) >= PATIENCE {
            state.away = true;
            tracing::error!(%error, "the store does not answer");
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.looks {
            self.condition.state.lock().looking = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence() -> StoreError {
        StoreError::Unavailable("silence".to_owned())
    }

    #[test]
    fn a_short_silence_stops_nobody() {
        let (condition, start) = (Condition::default(), Instant::now());
        let half = start + PATIENCE / 2;
        condition.pass(start).unwrap().unanswered(half, &silence());
        condition.pass(half).unwrap().answered(half);
        let whole = start + PATIENCE;
        condition.pass(half).unwrap().unanswered(whole, &silence());
        assert!(condition.pass(whole).is_ok(), "silence counts from the first operation after the last answer");
    }

    #[test]
    fn one_at_a_time_looks_for_a_server_that_is_away() {
        let (condition, start) = (Condition::default(), Instant::now());
        let later = start + PATIENCE;
        condition.pass(start).unwrap().unanswered(later, &silence());
        let looking = condition.pass(later).unwrap();
        assert!(matches!(condition.pass(later), Err(StoreError::Unavailable(_))));
        drop(looking);
        let next = condition.pass(later).unwrap();
        assert!(condition.pass(later).is_err(), "it gave up, and the next one looks");
        next.answered(later);
        let (one, other) = (condition.pass(later), condition.pass(later));
        assert!(one.is_ok() && other.is_ok());
    }
}

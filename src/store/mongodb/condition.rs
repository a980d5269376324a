//! What all operations together say about the server: whether it answers, and whether it takes writes.
//! Changes are logged once.
//!
//! The one decision a reader would question: once the server has been silent for [`PATIENCE`], one
//! operation at a time looks for it and all others fail at once. A callback must not wait for a store
//! that is known to be away; a short interruption is waited through.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

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
    pub(super) fn pass(&self) -> Result<Pass<'_>> {
        let mut state = self.state.lock();
        if !state.away {
            return Ok(Pass { condition: self, began: Instant::now(), looks: false });
        }
        if state.looking {
            let seconds = state.silent_since.map_or(0, |since| since.elapsed().as_secs());
            return Err(StoreError::Unavailable(format!("MongoDB has not answered for {seconds} s")));
        }
        state.looking = true;
        Ok(Pass { condition: self, began: Instant::now(), looks: true })
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

impl Pass<'_> {
    /// Whether the server is away, and this is the operation that looks for it.
    pub(super) fn looks(&self) -> bool {
        self.looks
    }

    /// The server answered, whatever it said.
    pub(super) fn answered(self) {
        let mut state = self.condition.state.lock();
        let silent = state.silent_since.take();
        if std::mem::take(&mut state.away) {
            let seconds = silent.map_or(0, |since| since.elapsed().as_secs());
            tracing::info!(seconds, "the store answers again");
        }
    }

    pub(super) fn unanswered(self, error: &StoreError) {
        let mut state = self.condition.state.lock();
        let since = *state.silent_since.get_or_insert(self.began);
        if !state.away && since.elapsed() >= PATIENCE {
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

    #[tokio::test(start_paused = true)]
    async fn a_short_silence_stops_nobody() {
        let condition = Condition::default();
        condition.pass().unwrap().unanswered(&silence());
        tokio::time::advance(PATIENCE / 2).await;
        condition.pass().unwrap().unanswered(&silence());
        condition.pass().unwrap().answered();
        tokio::time::advance(PATIENCE).await;
        condition.pass().unwrap().unanswered(&silence());
        assert!(condition.pass().is_ok(), "silence counts from the last answer");
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_looks_for_a_server_that_is_away() {
        let condition = Condition::default();
        condition.pass().unwrap().unanswered(&silence());
        tokio::time::advance(PATIENCE).await;
        condition.pass().unwrap().unanswered(&silence());
        let looking = condition.pass().unwrap();
        assert!(matches!(condition.pass(), Err(StoreError::Unavailable(_))));
        drop(looking);
        let next = condition.pass().unwrap();
        assert!(condition.pass().is_err(), "it gave up, and the next one looks");
        next.answered();
        assert!(condition.pass().is_ok() && condition.pass().is_ok());
    }
}

//! A walk over all registrations, so many at a time.

use super::{Puppets, Result};
use crate::domain::{OpenKfId, Puppet};

/// The pages of one walk, by kf id.
#[derive(Debug)]
pub struct PuppetPages<'s> {
    store: &'s dyn Puppets,
    size: usize,
    after: Option<OpenKfId>,
}

impl<'s> PuppetPages<'s> {
    pub fn of(store: &'s dyn Puppets, size: usize) -> Self {
        Self { store, size, after: None }
    }

    /// `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<Puppet>>> {
        let page = self.store.puppets(self.after.as_ref(), self.size).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = Some(last.kf_id.clone());
        Ok(Some(page))
    }
}

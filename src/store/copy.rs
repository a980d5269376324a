//! From one store to another: to many replicas, back again, or as a backup, also while the source is
//! in use.
//!
//! The one decision a reader would question: it may be run again and again. Rows that are there
//! already stay or are replaced, and what the target learned meanwhile (a later registration, a later
//! token) stands; so a move is a copy, a switch, and one more copy.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{HeldEvent, HeldFilter, Result, Store};
use crate::domain::{AuditEntry, AuditId, EventId, OpenKfId, Puppet};

/// Rows read at a time.
const PAGE: usize = 500;
/// Rows written at the same time; stores write such a batch together.
const AT_ONCE: usize = 64;

/// The kinds of rows, in the order in which they are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Corps,
    Bots,
    Events,
    Tokens,
    Audit,
}

/// How many rows of each kind the target has now because of the copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    pub corps: u64,
    pub bots: u64,
    /// Bots that the target knows by a later registration.
    pub later_bots: u64,
    pub events: u64,
    pub tokens: u64,
    /// Entries of the record of changes.
    pub audit: u64,
}

/// Copies everything. `told` hears of each kind how many rows are done.
pub async fn copy(from: &dyn Store, to: &dyn Store, told: &(dyn Fn(Kind, u64) + Sync)) -> Result<Copied> {
    let mut copied = Copied::default();
    told(Kind::Corps, 0);
    for corp in from.corps().await? {
        to.put_corp(&corp).await?;
        copied.corps += 1;
        told(Kind::Corps, copied.corps);
    }
    copy_bots(from, to, &mut copied, told).await?;
    copied.events = copy_events(from, to, told).await?;
    told(Kind::Tokens, 0);
    for token in from.tokens().await? {
        to.put_token(&token).await?;
        copied.tokens += 1;
        told(Kind::Tokens, copied.tokens);
    }
    copied.audit = copy_audit(from, to, told).await?;
    Ok(copied)
}

async fn copy_bots(
    from: &dyn Store,
    to: &dyn Store,
    copied: &mut Copied,
    told: &(dyn Fn(Kind, u64) + Sync),
) -> Result<()> {
    let mut after: Option<OpenKfId> = None;
    told(Kind::Bots, 0);
    loop {
        let page = from.puppets(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.kf_id.clone());
        let put = async |puppet: &Puppet| put_bot(to, puppet).await;
        let mut outcomes = stream::iter(&page).map(put).buffer_unordered(AT_ONCE);
        while let Some(put) = outcomes.try_next().await? {
            match put {
                Put::Done => copied.bots += 1,
                Put::LaterThere => copied.later_bots += 1,
            }
        }
        told(Kind::Bots, copied.bots + copied.later_bots);
    }
}

enum Put {
    Done,
    LaterThere,
}

async fn put_bot(to: &dyn Store, puppet: &Puppet) -> Result<Put> {
    let there = to.puppet(&puppet.kf_id).await?;
    let changed_at = |puppet: &Puppet| puppet.last_online_at.max(puppet.registered_at);
    if there.is_some_and(|there| changed_at(&there) > changed_at(puppet)) {
        return Ok(Put::LaterThere);
    }
    to.put_puppet(puppet).await?;
    Ok(Put::Done)
}

async fn copy_events(from: &dyn Store, to: &dyn Store, told: &(dyn Fn(Kind, u64) + Sync)) -> Result<u64> {
    let (mut after, mut copied): (Option<EventId>, u64) = (None, 0);
    told(Kind::Events, 0);
    loop {
        let mut page = from.list_held(&HeldFilter::default(), after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(copied) };
        after = Some(last.event.id.clone());
        // Whoever works on it works on the source.
        page.iter_mut().for_each(|held| held.lease = None);
        let hold = async |held: &HeldEvent| to.hold(held).await;
        stream::iter(&page).map(hold).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        copied += page.len() as u64;
        told(Kind::Events, copied);
    }
}

async fn copy_audit(from: &dyn Store, to: &dyn Store, told: &(dyn Fn(Kind, u64) + Sync)) -> Result<u64> {
    let (mut before, mut copied): (Option<AuditId>, u64) = (None, 0);
    told(Kind::Audit, 0);
    loop {
        let page = from.list_audit(before.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(copied) };
        before = Some(last.id.clone());
        let append = async |entry: &AuditEntry| to.append_audit(entry).await;
        stream::iter(&page).map(append).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        copied += page.len() as u64;
        told(Kind::Audit, copied);
    }
}

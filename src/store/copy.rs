//! From one store to another: to many replicas, back again, or as a backup, also while the source is
//! in use.
//!
//! The one decision a reader would question: it may be run again and again. Rows that are there
//! already stay or are replaced, and what the target learned meanwhile (a later registration, a later
//! change of a corp, a later token) stands; so a move is a copy, a switch, and one more copy.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{HeldEvent, HeldFilter, PuppetPages, QueueFilter, Result, Store, StoreError};
use crate::domain::{AuditEntry, AuditId, Corp, EventId, Puppet};

/// Rows read at a time.
const PAGE: usize = 500;
/// Rows written at the same time; stores write such a batch together.
const AT_ONCE: usize = 32;
/// A store that is busy, or away for a moment, is asked again; a copy that breaks off is a nuisance.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// The kinds of rows, in the order in which they are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Corps,
    Bots,
    Events,
    ServiceEvents,
    Tokens,
    Audit,
}

/// How many rows of each kind the target has now because of the copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    pub corps: u64,
    /// Corps that were changed at the target later than at the source.
    pub later_corps: u64,
    pub bots: u64,
    /// Bots that the target knows by a later registration.
    pub later_bots: u64,
    pub events: u64,
    /// Undelivered events of services.
    pub service_events: u64,
    pub tokens: u64,
    /// Entries of the record of changes.
    pub audit: u64,
}

/// Copies everything. `told` hears of each kind how many rows are done.
pub async fn copy(from: &dyn Store, to: &dyn Store, told: &(dyn Fn(Kind, u64) + Sync)) -> Result<Copied> {
    let mut copied = Copied::default();
    told(Kind::Corps, 0);
    for corp in from.corps().await? {
        match patiently(async || put_corp(to, &corp).await).await? {
            Put::Done => copied.corps += 1,
            Put::LaterThere => copied.later_corps += 1,
        }
        told(Kind::Corps, copied.corps + copied.later_corps);
    }
    copy_bots(from, to, &mut copied, told).await?;
    copied.events = copy_events(from, to, told).await?;
    copied.service_events = copy_service_events(from, to, told).await?;
    told(Kind::Tokens, 0);
    for token in from.tokens().await? {
        patiently(async || to.put_token(&token).await).await?;
        copied.tokens += 1;
        told(Kind::Tokens, copied.tokens);
    }
    copied.audit = copy_audit(from, to, told).await?;
    Ok(copied)
}

async fn patiently<T>(work: impl AsyncFn() -> Result<T>) -> Result<T> {
    for _ in 1..TRIES {
        match work().await {
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
    work().await
}

async fn copy_bots(
    from: &dyn Store,
    to: &dyn Store,
    copied: &mut Copied,
    told: &(dyn Fn(Kind, u64) + Sync),
) -> Result<()> {
    let mut pages = PuppetPages::of(from, PAGE);
    told(Kind::Bots, 0);
    while let Some(page) = pages.next().await? {
        let put = async |puppet: &Puppet| patiently(async || put_bot(to, puppet).await).await;
        let mut outcomes = stream::iter(&page).map(put).buffer_unordered(AT_ONCE);
        while let Some(put) = outcomes.try_next().await? {
            match put {
                Put::Done => copied.bots += 1,
                Put::LaterThere => copied.later_bots += 1,
            }
        }
        told(Kind::Bots, copied.bots + copied.later_bots);
    }
    Ok(())
}

enum Put {
    Done,
    LaterThere,
}

async fn put_corp(to: &dyn Store, corp: &Corp) -> Result<Put> {
    if to.corp(&corp.id).await?.is_some_and(|there| there.updated_at > corp.updated_at) {
        return Ok(Put::LaterThere);
    }
    to.put_corp(corp).await?;
    Ok(Put::Done)
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
        let hold = async |held: &HeldEvent| patiently(async || to.hold(held).await).await;
        stream::iter(&page).map(hold).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        copied += page.len() as u64;
        told(Kind::Events, copied);
    }
}

async fn copy_service_events(from: &dyn Store, to: &dyn Store, told: &(dyn Fn(Kind, u64) + Sync)) -> Result<u64> {
    let (mut after, mut copied): (Option<EventId>, u64) = (None, 0);
    told(Kind::ServiceEvents, 0);
    loop {
        let page = from.list_queued(&QueueFilter::default(), after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(copied) };
        after = Some(last.event.id.clone());
        patiently(async || to.append_queued(&page).await).await?;
        copied += page.len() as u64;
        told(Kind::ServiceEvents, copied);
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

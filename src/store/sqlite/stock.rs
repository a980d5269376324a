//! How much the file holds. Each query reads one index from end to end: some ten milliseconds for 100,000 rows.

use jiff::Timestamp;
use rusqlite::{Connection, Row};

use super::rows::select_one;
use crate::domain::EventId;
use crate::store::{Backlog, Result, Stock};

const BOTS: &str = "SELECT count(*) FILTER (WHERE online) AS online, count(*) AS bots FROM puppet";
const HELD: &str = "
SELECT count(*) AS events, min(arrival) AS oldest FROM held_event INDEXED BY held_by_account WHERE state = 'live'";
/// The ids of events begin with their arrival, and sort by it.
const QUEUED: &str = "
SELECT count(*) AS events, coalesce(sum(size), 0) AS bytes, min(id) AS oldest
FROM service_event INDEXED BY service_event_order WHERE state = 'live'";

pub(super) fn count(db: &Connection) -> Result<Stock> {
    let bots = select_one(db, BOTS, (), |row| Ok((whole(row, "online")?, whole(row, "bots")?)))?;
    let (online, bots) = bots.unwrap_or_default();
    let held = select_one(db, HELD, (), |row| {
        let oldest: Option<i64> = row.get("oldest")?;
        let oldest = oldest.and_then(|arrival| Timestamp::from_millisecond(arrival).ok());
        Ok(Backlog { events: whole(row, "events")?, bytes: 0, oldest })
    })?;
    let queued = select_one(db, QUEUED, (), |row| {
        let oldest: Option<String> = row.get("oldest")?;
        let oldest = oldest.and_then(|id| EventId::from_text(id).arrival());
        Ok(Backlog { events: whole(row, "events")?, bytes: whole(row, "bytes")?, oldest })
    })?;
    Ok(Stock {
        online_bots: online,
        offline_bots: bots.saturating_sub(online),
        held: held.unwrap_or_default(),
        queued: queued.unwrap_or_default(),
    })
}

/// What is counted is never negative.
fn whole(row: &Row<'_>, column: &str) -> Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}

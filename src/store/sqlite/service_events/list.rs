//! Lists of queued events.

use rusqlite::Connection;

use super::row::{read_queued, state_text};
use crate::domain::EventId;
use crate::store::sqlite::rows::{List, page};
use crate::store::{QueueFilter, QueuedEvent, Result};

pub(super) fn list(
    db: &Connection,
    filter: &QueueFilter,
    after: Option<&EventId>,
    rows: usize,
) -> Result<Vec<QueuedEvent>> {
    let (sql, filter) = query(filter);
    let list = List { column: "id", sql: &sql, filter: &filter };
    page(db, &list, after.map_or("", EventId::as_str), rows, read_queued)
}

/// The query of a page with the values of its filter; before these stands the id to start after, behind
/// them the limit. By the primary key, in its order: a list is an operator's, and looks at what it shows
/// and what it leaves out.
fn query(filter: &QueueFilter) -> (String, Vec<String>) {
    let mut conditions = String::from("id > ?");
    let mut values = Vec::new();
    if let Some(state) = filter.state {
        conditions += &format!(" AND +state = '{}'", state_text(state));
    }
    // `corp/service`; a zero is what comes after a slash.
    if let Some(corp) = &filter.corp {
        conditions += " AND +queue >= ? AND +queue < ?";
        values.extend([format!("{corp}/"), format!("{corp}0")]);
    }
    if let Some(service) = &filter.service {
        conditions += " AND substr(queue, instr(queue, '/') + 1) = ?";
        values.push(service.to_string());
    }
    (format!("SELECT * FROM service_event WHERE {conditions} ORDER BY id LIMIT ?"), values)
}

/// For the test of their plans: the query of every kind of filter.
#[cfg(test)]
pub(super) fn all_queries() -> Vec<String> {
    use crate::domain::{CorpId, ServiceName};
    use crate::store::HeldState;

    let mut queries = Vec::new();
    for state in [None, Some(HeldState::Live), Some(HeldState::Expired)] {
        for corp in [None, CorpId::parse("ww1").ok()] {
            for service in [None, ServiceName::parse("crm").ok()] {
                queries.push(query(&QueueFilter { state, corp: corp.clone(), service }).0);
            }
        }
    }
    queries
}

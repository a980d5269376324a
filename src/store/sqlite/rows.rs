//! Reading rows: columns into values of the domain, and SQLite's errors into the store's.

use jiff::Timestamp;
use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row};

use crate::domain::{Invalid, Secret};
use crate::store::sealed::{MasterKeys, Place};
use crate::store::{Result, StoreError};

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::InvalidColumnType(..) => damaged("a column", &error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

pub(super) fn damaged(place: &str, reason: &str) -> StoreError {
    StoreError::Damaged { place: place.to_owned(), reason: reason.to_owned() }
}

/// The one row of a query.
pub(super) fn select_one<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// All rows of a query. A damaged row is logged and left out: it must not hide the others.
pub(super) fn select<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = db.prepare_cached(sql)?;
    let (mut rows, mut found) = (statement.query(params)?, Vec::new());
    while let Some(row) = rows.next()? {
        found.extend(readable(read(row))?);
    }
    Ok(found)
}

fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::error!(%error, "a stored row is left out");
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// A list in the order of a column, from any place on.
#[derive(Debug)]
pub(super) struct List<'a> {
    pub column: &'static str,
    /// The first parameter is the column's value to start behind, then come those of the filter, and last
    /// the limit.
    pub sql: &'a str,
    pub filter: &'a [String],
}

/// So many readable rows of the list, fewer only at its end: a damaged one is left out, and another comes in its place.
pub(super) fn page<T>(
    db: &Connection,
    list: &List<'_>,
    behind: &str,
    rows: usize,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = db.prepare_cached(list.sql)?;
    let (mut found, mut behind) = (Vec::new(), behind.to_owned());
    loop {
        let wanted = rows - found.len();
        statement.raw_bind_parameter(1, &behind)?;
        for (at, value) in (2..).zip(list.filter) {
            statement.raw_bind_parameter(at, value)?;
        }
        statement.raw_bind_parameter(list.filter.len() + 2, limit(wanted))?;
        let (mut page, mut seen) = (statement.raw_query(), 0);
        while let Some(row) = page.next()? {
            seen += 1;
            behind = row.get(list.column)?;
            found.extend(readable(read(row))?);
        }
        if seen < wanted || found.len() == rows {
            return Ok(found);
        }
    }
}

/// Runs one statement; returns how many rows it changed.
pub(super) fn change(db: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    Ok(db.prepare_cached(sql)?.execute(params)?)
}

/// A text column by its parser.
pub(super) fn parsed<T>(row: &Row<'_>, column: &str, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> Result<T> {
    let text: String = row.get(column)?;
    parse(&text).map_err(|rule| damaged(column, rule.0))
}

pub(super) fn time(row: &Row<'_>, column: &str) -> Result<Timestamp> {
    to_time(row.get(column)?)
}

pub(super) fn optional_time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column)?.map(to_time).transpose()
}

pub(super) fn to_time(millis: i64) -> Result<Timestamp> {
    Timestamp::from_millisecond(millis).map_err(|error| damaged("a time", &error.to_string()))
}

/// A sealed column.
pub(super) fn opened(row: &Row<'_>, keys: &MasterKeys, place: &Place<'_>) -> Result<Secret> {
    keys.open(place, &row.get::<_, String>(place.field)?)
}

/// A number that the domain keeps unsigned.
pub(super) fn unsigned<T: TryFrom<i64>>(row: &Row<'_>, column: &str) -> Result<T> {
    T::try_from(row.get(column)?).map_err(|_| damaged(column, "it is out of range"))
}

/// The value of a query that has exactly one row with one column.
pub(super) fn value<T: FromSql>(db: &Connection, sql: &str, params: impl Params) -> Result<T> {
    Ok(db.prepare_cached(sql)?.query_row(params, |row| row.get(0))?)
}

/// SQLite counts in `i64`.
pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

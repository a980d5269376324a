//! Lists, page by page.

use futures::TryStreamExt as _;
use mongodb::bson::{Document, doc};

use super::connection::{Connection, Limit, Promise, collection};
use super::documents::{limit, readable, text};
use crate::store::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

/// A list in the order of a text field, from any place on.
#[derive(Debug)]
pub(super) struct List {
    pub collection: &'static str,
    /// No text in it is empty.
    pub field: &'static str,
    pub direction: Direction,
    /// By other fields.
    pub filter: Document,
}

impl List {
    /// So many readable documents, fewer only at the list's end: a damaged one is left out, and another comes in its
    /// place.
    pub(super) async fn page<T>(
        &self,
        connection: &Connection,
        behind: Option<&str>,
        rows: usize,
        read: impl Fn(&Document) -> Result<T>,
    ) -> Result<Vec<T>> {
        let (mut found, mut behind) = (Vec::new(), behind.map(str::to_owned));
        loop {
            let wanted = rows - found.len();
            let documents = self.documents(connection, behind.as_deref(), wanted).await?;
            found.extend(readable(&documents, &read)?);
            match documents.last() {
                Some(last) if documents.len() == wanted && found.len() < rows => {
                    behind = Some(text(last, self.field)?.to_owned());
                }
                _ => return Ok(found),
            }
        }
    }

    async fn documents(&self, connection: &Connection, behind: Option<&str>, rows: usize) -> Result<Vec<Document>> {
        let (beyond, order) = match self.direction {
            // Also without a place to start behind: it keeps off what has no text there.
            Direction::Up => (Some(doc! { "$gt": behind.unwrap_or_default() }), 1),
            Direction::Down => (behind.map(|behind| doc! { "$lt": behind }), -1),
        };
        let mut filter = self.filter.clone();
        filter.extend(beyond.map(|beyond| (self.field.to_owned(), beyond.into())));
        let find = async |db| {
            let listed = collection(&db, self.collection, Promise::Light);
            listed.find(filter).sort(doc! { self.field: order }).limit(limit(rows)).await?.try_collect().await
        };
        connection.run(Limit::Background, find).await
    }
}

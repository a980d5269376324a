//! Durable insertion of many documents with one command.

use mongodb::bson::Document;
use mongodb::error::ErrorKind;

use super::connection::{Connection, Limit, Promise, collection};
use super::error::refused;
use crate::store::{Result, StoreError};

/// One result a document. One that is there already stays as it is, which is as good.
pub(super) async fn insert_absent(
    connection: &Connection,
    name: &'static str,
    documents: &[Document],
) -> Result<Vec<Result<()>>> {
    let insert = async |db| {
        let inserted = collection(&db, name, Promise::Durable).insert_many(documents).ordered(false).await;
        match inserted.map_err(|error| (error.kind.clone(), error)) {
            Ok(_) => Ok(Vec::new()),
            Err((kind, error)) => match *kind {
                ErrorKind::InsertMany(several) if several.write_concern_error.is_none() => {
                    Ok(refused(&several).collect())
                }
                _ => Err(error),
            },
        }
    };
    let refused: Vec<(usize, StoreError)> = connection.write(Limit::Callback, insert).await?;
    let mut results = vec![Ok(()); documents.len()];
    for (at, error) in refused {
        if let Some(result) = results.get_mut(at) {
            *result = Err(error);
        }
    }
    Ok(results)
}

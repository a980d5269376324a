//! The file's corps before the store's. The file answers even while the store is away.

use std::sync::Arc;

use async_trait::async_trait;

use super::CorpsFile;
use crate::domain::{Corp, CorpId};
use crate::store::{Corps, Result, StoreError};

/// All declared corps: those of the file hide those of the store and cannot be changed here.
pub struct DeclaredCorps {
    file: Arc<CorpsFile>,
    store: Arc<dyn Corps>,
}

impl DeclaredCorps {
    pub fn new(file: Arc<CorpsFile>, store: Arc<dyn Corps>) -> Self {
        Self { file, store }
    }

    fn changeable(&self, id: &CorpId) -> Result<()> {
        match self.file.corp(id) {
            Some(_) => Err(StoreError::ReadOnly { what: format!("corp {id}") }),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for DeclaredCorps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeclaredCorps").field("file", &self.file).finish_non_exhaustive()
    }
}

#[async_trait]
impl Corps for DeclaredCorps {
    async fn corp(&self, id: &CorpId) -> Result<Option<Corp>> {
        match self.file.corp(id) {
            Some(corp) => Ok(Some(corp)),
            None => self.store.corp(id).await,
        }
    }

    async fn corps(&self) -> Result<Vec<Corp>> {
        let mut corps = self.file.corps().to_vec();
        corps.extend(self.store.corps().await?.into_iter().filter(|corp| self.file.corp(&corp.id).is_none()));
        corps.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(corps)
    }

    async fn put_corp(&self, corp: &Corp) -> Result<()> {
        self.changeable(&corp.id)?;
        self.store.put_corp(corp).await
    }

    async fn delete_corp(&self, id: &CorpId) -> Result<bool> {
        self.changeable(id)?;
        self.store.delete_corp(id).await
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::{CorpSource, Secret};
    use crate::store::declaration::AnyService;
    use crate::store::sqlite::{KeySource, SqliteStore};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn corp(id: &str) -> Corp {
        let proxy = Some(Secret::new("http://proxy:3128"));
        let id = CorpId::parse(id).unwrap();
        Corp {
            id,
            source: CorpSource::Admin,
            credentials: Vec::new(),
            wecom_proxy: proxy,
            services: Vec::new(),
            updated_at: NOW,
        }
    }

    #[tokio::test]
    async fn the_file_goes_before_the_store_and_is_read_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("corps.json");
        std::fs::write(&path, r#"{"corps":{"ww2":{}}}"#).unwrap();
        let store = Arc::new(SqliteStore::open(dir.path(), KeySource::Kept, NOW).unwrap());
        for id in ["ww1", "ww2", "ww3"] {
            store.put_corp(&corp(id)).await.unwrap();
        }
        let corps =
            DeclaredCorps::new(Arc::new(CorpsFile::load(&path, Arc::new(AnyService), NOW).unwrap()), store.clone());

        let of_file = corps.corp(&corp("ww2").id).await.unwrap().unwrap();
        assert_eq!((of_file.source, of_file.wecom_proxy), (CorpSource::File, None));
        assert_eq!(corps.corp(&corp("ww1").id).await.unwrap(), Some(corp("ww1")));
        let all = corps.corps().await.unwrap();
        let all: Vec<_> = all.iter().map(|corp| (corp.id.as_str(), corp.source)).collect();
        assert_eq!(all, [("ww1", CorpSource::Admin), ("ww2", CorpSource::File), ("ww3", CorpSource::Admin)]);

        let refused = StoreError::ReadOnly { what: "corp ww2".to_owned() };
        assert_eq!(corps.put_corp(&corp("ww2")).await, Err(refused.clone()));
        assert_eq!(corps.delete_corp(&corp("ww2").id).await, Err(refused));
        assert_eq!(corps.delete_corp(&corp("ww3").id).await, Ok(true));
        assert_eq!(store.corp(&corp("ww2").id).await.unwrap(), Some(corp("ww2")), "the store's own stays");
    }
}

//! `CORPS_FILE`: corps declared in a file, over any store.
//!
//! The one decision a reader would question: the content is read again every few seconds instead of
//! watching the file. A mounted Secret is replaced by swapping symbolic links, which watchers miss.

mod overlay;
mod parse;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::RwLock;

pub use self::overlay::DeclaredCorps;
pub use self::parse::parse;
use super::declaration::{Faults, ServiceRules};
use crate::domain::{Corp, CorpId};

/// Why the file's content cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorpsFileError {
    #[error("{} cannot be read: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: String },
    /// All faults of the content.
    #[error("{}: {faults}", .path.display())]
    Invalid { path: PathBuf, faults: Faults },
}

/// What looking at the file brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// Nothing new since the last look, be that good or bad.
    Unchanged,
    /// New content is in force.
    Replaced { corps: usize },
    /// The file became unusable, in this way; the last good content stays in force.
    Kept(CorpsFileError),
}

/// The corps of the file, as it was when it was last good.
#[derive(Debug)]
pub struct CorpsFile {
    path: PathBuf,
    rules: Arc<dyn ServiceRules>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    corps: Arc<[Corp]>,
    /// What the last look saw.
    seen: Result<Vec<u8>, CorpsFileError>,
    fault: Option<CorpsFileError>,
}

impl CorpsFile {
    /// Reads the file at start, when a fault is an error.
    pub fn load(path: &Path, rules: Arc<dyn ServiceRules>, now: Timestamp) -> Result<Self, CorpsFileError> {
        let content = read(path)?;
        let corps = corps_of(path, &content, &*rules, now)?.into();
        Ok(Self { path: path.to_owned(), rules, state: RwLock::new(State { corps, seen: Ok(content), fault: None }) })
    }

    /// Looks at the content again.
    pub fn reload(&self, now: Timestamp) -> Reload {
        let seen = read(&self.path);
        if seen == self.state.read().seen {
            return Reload::Unchanged;
        }
        let corps_of = |content: &Vec<u8>| corps_of(&self.path, content, &*self.rules, now);
        let corps = seen.as_ref().map_err(Clone::clone).and_then(corps_of);
        let mut state = self.state.write();
        state.seen = seen;
        match corps {
            Ok(corps) => {
                state.corps = corps.into();
                state.fault = None;
                Reload::Replaced { corps: state.corps.len() }
            }
            Err(error) => {
                state.fault = Some(error.clone());
                Reload::Kept(error)
            }
        }
    }

    /// What is wrong with the file now, while its last good content is in force.
    pub fn fault(&self) -> Option<CorpsFileError> {
        self.state.read().fault.clone()
    }

    pub fn corp(&self, id: &CorpId) -> Option<Corp> {
        let corps = self.corps();
        corps.binary_search_by(|corp| corp.id.cmp(id)).ok().and_then(|at| corps.get(at).cloned())
    }

    /// All corps of the file, by id.
    pub fn corps(&self) -> Arc<[Corp]> {
        Arc::clone(&self.state.read().corps)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CorpsFileError> {
    let unreadable =
        |error: std::io::Error| CorpsFileError::Unreadable { path: path.to_owned(), reason: error.to_string() };
    std::fs::read(path).map_err(unreadable)
}

fn corps_of(
    path: &Path,
    content: &[u8],
    rules: &dyn ServiceRules,
    now: Timestamp,
) -> Result<Vec<Corp>, CorpsFileError> {
    parse(content, now, rules).map_err(|faults| CorpsFileError::Invalid { path: path.to_owned(), faults })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::declaration::AnyService;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn corp_id(text: &str) -> CorpId {
        CorpId::parse(text).unwrap()
    }

    fn write(path: &Path, ids: &[&str]) {
        let corps: serde_json::Map<_, _> = ids.iter().map(|&id| (id.to_owned(), serde_json::json!({}))).collect();
        std::fs::write(path, serde_json::json!({ "corps": corps }).to_string()).unwrap();
    }

    #[test]
    fn new_content_takes_effect_and_bad_content_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("corps.json");
        write(&path, &["ww1"]);
        let file = CorpsFile::load(&path, Arc::new(AnyService), NOW).unwrap();
        assert!(file.corp(&corp_id("ww1")).is_some());
        assert_eq!(file.reload(NOW), Reload::Unchanged);

        write(&path, &["ww2", "ww1"]);
        assert_eq!(file.reload(NOW), Reload::Replaced { corps: 2 });
        assert!(file.corp(&corp_id("ww2")).is_some());

        std::fs::write(&path, "{").unwrap();
        assert!(matches!(file.reload(NOW), Reload::Kept(CorpsFileError::Invalid { .. })));
        assert_eq!(file.reload(NOW), Reload::Unchanged, "the same fault is told once");
        assert!(file.fault().is_some());
        assert!(file.corp(&corp_id("ww2")).is_some(), "the last good content stays");

        std::fs::remove_file(&path).unwrap();
        assert!(matches!(file.reload(NOW), Reload::Kept(CorpsFileError::Unreadable { .. })));
        assert_eq!(file.reload(NOW), Reload::Unchanged);

        write(&path, &["ww1"]);
        assert_eq!(file.reload(NOW), Reload::Replaced { corps: 1 });
        assert_eq!((file.fault(), file.corp(&corp_id("ww2"))), (None, None));
    }

    #[test]
    fn a_bad_file_is_an_error_at_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("corps.json");
        assert!(matches!(CorpsFile::load(&path, Arc::new(AnyService), NOW), Err(CorpsFileError::Unreadable { .. })));
        std::fs::write(&path, r#"{"corps":{"w w":{}}}"#).unwrap();
        assert!(matches!(CorpsFile::load(&path, Arc::new(AnyService), NOW), Err(CorpsFileError::Invalid { .. })));
    }
}

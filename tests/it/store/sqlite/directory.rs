//! `DATA_DIR`: one process, its owner alone, and clear words when it cannot be used.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use wxkf_gateway::store::sqlite::OpenError;
use wxkf_gateway::store::{Corps as _, Events as _, Store as _, StoreError};

use super::{open_in, raw};
use crate::store::samples::{account, corp, corp_id, full_row, signed};

#[tokio::test]
async fn it_is_its_owners_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/data");
    let store = open_in(&dir).unwrap();
    store.put_corp(&corp("ww1")).await.unwrap();
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

#[tokio::test]
async fn a_second_user_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let first = open_in(dir.path()).unwrap();
    let error = open_in(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }));
    let text = error.to_string();
    assert!(text.contains(&dir.path().display().to_string()) && text.contains("another process"), "{text}");
    drop(first);
    open_in(dir.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_used_is_named_with_the_mend() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    let read_only = parent.path().join("read-only");
    std::fs::create_dir(&read_only).unwrap();
    std::fs::set_permissions(&read_only, std::fs::Permissions::from_mode(0o500)).unwrap();
    // Modes do not bind root.
    let bound = std::fs::write(read_only.join("probe"), "").is_err();
    for dir in [file.as_path(), &file.join("below"), &read_only].into_iter().take(if bound { 3 } else { 2 }) {
        let error = open_in(dir).unwrap_err();
        assert!(matches!(error, OpenError::Io { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("DATA_DIR {}", dir.display())) && text.contains("may write"), "{text}");
    }
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("gateway.db"), "no database at all, but long enough to be looked at".repeat(99))
        .unwrap();
    let text = open_in(dir.path()).unwrap_err().to_string();
    assert!(text.contains("not a database"), "{text}");
}

#[test]
fn a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open_in(dir.path()).unwrap());
    raw(dir.path()).pragma_update(None, "user_version", 999).unwrap();
    let error = open_in(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error}");
}

#[test]
fn a_broken_key_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(open_in(dir.path()).unwrap());
    std::fs::write(dir.path().join("master.key"), "s3cret").unwrap();
    let text = open_in(dir.path()).unwrap_err().to_string();
    assert!(text.contains("master.key") && !text.contains("s3cret"), "{text}");
}

/// A file system of one MiB; unmounted when dropped. `None` where mounting is not allowed.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path()).output();
        mount.is_ok_and(|done| done.status.success()).then_some(Self(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_until_there_is_room() {
    let Some(disk) = Small::mount() else { return eprintln!("skipped: mounting is not allowed here") };
    let dir = disk.0.path().join("data");
    let store = open_in(&dir).unwrap();
    let ballast = disk.0.path().join("ballast");
    let mut bytes = vec![0_u8; 1 << 20];
    while std::fs::write(&ballast, &bytes).is_err() {
        bytes.truncate(bytes.len() - 4_096);
    }
    let mut row = full_row(&account("ww1", "wk1"));
    Arc::make_mut(&mut row.event).payload.raw.as_mut().unwrap().body = vec![7; 60_000].into();
    let full = store.hold(&row).await;
    assert!(matches!(full, Err(StoreError::Unavailable(_))), "{full:?}");
    assert_eq!(store.held(&row.event.id).await, Ok(None), "reading goes on, and nothing half-written is there");
    assert!(open_in(&disk.0.path().join("other")).is_err_and(|error| matches!(error, OpenError::Io { .. })));

    std::fs::remove_file(&ballast).unwrap();
    store.hold(&row).await.unwrap();
    assert_eq!(store.held(&row.event.id).await, Ok(Some(row)));
    store.check().await.unwrap();
}

#[tokio::test]
async fn somebody_elses_lock_fails_writes_and_spares_reads() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_in(dir.path()).unwrap();
    let row = signed(&account("ww1", "wk1"), 1);
    let other = raw(dir.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(store.hold(&row).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.corp(&corp_id("ww1")).await, Ok(None));
    other.execute_batch("ROLLBACK").unwrap();
    store.hold(&row).await.unwrap();
}

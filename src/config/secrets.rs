//! The admin token that the gateway makes for itself, so that the console works without any setting.
//!
//! It lies readable in `DATA_DIR`: `admin-token` must show it to the operator, and whoever can read
//! the directory owns the gateway anyway.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::domain::Secret;

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

/// The generated token; `None` when there is none yet.
pub fn read_admin_token(data_dir: &Path) -> io::Result<Option<Secret>> {
    match fs::read_to_string(path(data_dir)) {
        Ok(text) if text.trim().is_empty() => Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty")),
        Ok(text) => Ok(Some(Secret::new(text.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The generated token, made when there is none. The directory must exist. A crash at any moment
/// leaves the whole file or none: it is written aside and then linked into its place.
pub fn create_admin_token(data_dir: &Path) -> io::Result<Secret> {
    if let Some(token) = read_admin_token(data_dir)? {
        return Ok(token);
    }
    let token: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    let aside = data_dir.join(format!(".admin.token.{:016x}", rand::random::<u64>()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let linked =
        writeln!(file, "{token}").and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&aside, path(data_dir)));
    fs::remove_file(&aside)?;
    match linked {
        Ok(()) => {
            File::open(data_dir)?.sync_all()?;
            Ok(Secret::new(token))
        }
        // Another process was faster; its token counts.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_admin_token(data_dir)?.ok_or(error),
        Err(error) => Err(error),
    }
}

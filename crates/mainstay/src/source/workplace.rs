//! Directories in which servers of our own work, and what is restored is tested.

use repository::{Error, Result};
use rustix::fs::{FlockOperation, OFlags, flock};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What the names of all of them begin with.
const PREFIX: &str = "mainstay-";
/// A file that is locked as long as whoever made the directory is alive.
const LOCK: &str = ".mainstay-workplace";
/// Where the work is done. Servers that run as somebody else come through the directory around it.
const INSIDE: &str = "in";

/// A directory that goes away with this. If we are killed, it goes away when the next one is made beside it.
#[derive(Debug)]
pub struct Workplace {
    directory: TempDir,
    inside: PathBuf,
    /// The system takes the lock away when we are gone, however we went.
    _lock: File,
}

impl Workplace {
    /// A new one below `parent`, named after its `purpose`. Those that are left over there from processes that are gone are removed.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn new(parent: &Path, purpose: &str) -> Result<Self> {
        remove_left_over(parent);
        let named = format!("{PREFIX}{purpose}-");
        let made = tempfile::Builder::new().prefix(&named).tempdir_in(parent);
        let directory = made.map_err(Error::local("create a directory in", parent))?;
        let at = directory.path();
        let failed = |error| Error::local("prepare", at)(error);
        let lock = locked(at).map_err(failed)?;
        let inside = at.join(INSIDE);
        DirBuilder::new().mode(0o700).create(&inside).map_err(failed)?;
        fs::set_permissions(at, Permissions::from_mode(0o711)).map_err(failed)?;
        Ok(Self {
            directory,
            inside,
            _lock: lock,
        })
    }

    /// Where to work.
    pub fn path(&self) -> &Path {
        &self.inside
    }

    /// Remove it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn close(self) -> Result<()> {
        let path = self.directory.path().to_owned();
        self.directory.close().map_err(Error::local("remove", &path))
    }
}

/// A file that gets its name when it is locked: so whoever finds it without a lock knows that nobody is alive.
fn locked(directory: &Path) -> io::Result<File> {
    let new = directory.join("lock");
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    // Where there are no locks, there is nobody to tell who is alive either, and nothing is ever taken for left over.
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        fs::rename(&new, directory.join(LOCK))?;
    }
    Ok(file)
}

fn remove_left_over(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_named = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if is_named && let Some(_lock) = abandoned(&entry.path()) {
            // What cannot be removed costs space only.
            let _: Option<()> = fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// The lock of a directory that we made, if whoever held it is gone.
fn abandoned(directory: &Path) -> Option<File> {
    let us = rustix::process::geteuid().as_raw();
    let found = fs::symlink_metadata(directory).ok()?;
    if !found.is_dir() || found.uid() != us {
        return None;
    }
    let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(no_follow)
        .open(directory.join(LOCK))
        .ok()?;
    let is_ours = file.metadata().is_ok_and(|metadata| metadata.uid() == us);
    let is_free = || flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    (is_ours && is_free()).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_any_more_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let held = Workplace::new(parent.path(), "drill").unwrap();
        let left = parent.path().join("mainstay-drill-left");
        fs::create_dir_all(left.join(INSIDE)).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        fs::write(left.join(INSIDE).join("data"), "x").unwrap();
        let others = parent.path().join("mainstay-drill-of-somebody");
        fs::create_dir_all(others.join("data")).unwrap();
        let linked = parent.path().join("mainstay-drill-link");
        std::os::unix::fs::symlink(&others, &linked).unwrap();
        let next = Workplace::new(parent.path(), "restore").unwrap();
        assert!(held.path().is_dir() && next.path().is_dir() && !left.exists());
        assert!(others.join("data").is_dir() && linked.exists());
        held.close().unwrap();
        drop(next);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2);
    }
}

//! Directories that exist and survive a power failure.

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::io::Errno;

/// The directories of one store of which this process knows that they are durable.
#[derive(Debug, Default)]
pub(super) struct Directories {
    durable: Mutex<HashSet<PathBuf>>,
}

impl Directories {
    /// Create `directory` and what is missing above it, with mode 0700, and make the new names durable.
    ///
    /// A directory that is already there may have been made a moment ago by another thread or program which has not
    /// synced it yet. So its parent is synced as well, once per directory and process, before anything in it counts.
    pub(super) fn ensure(&self, directory: &Path) -> io::Result<()> {
        if self.durable.lock().contains(directory) {
            return Ok(());
        }
        let parent = parent_of(directory);
        if make(directory)? == Made::ParentIsMissing {
            self.ensure(parent)?;
            if make(directory)? == Made::ParentIsMissing {
                return Err(Errno::NOENT.into());
            }
        }
        sync(parent)?;
        self.durable.lock().insert(directory.to_owned());
        Ok(())
    }

    /// Look at every directory afresh.
    pub(super) fn forget(&self) {
        self.durable.lock().clear();
    }
}

#[derive(PartialEq)]
enum Made {
    Exists,
    ParentIsMissing,
}

fn make(directory: &Path) -> io::Result<Made> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => Ok(Made::Exists),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Made::Exists),
        // Not asked whether the parent is there now: another thread may have made it since.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Made::ParentIsMissing),
        // An automounter or a read-only parent answers like this for a directory that is there.
        Err(_) if directory.is_dir() => Ok(Made::Exists),
        Err(error) => Err(error),
    }
}

fn parent_of(directory: &Path) -> &Path {
    match directory.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// Make the names in `directory` durable.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    match File::open(directory).and_then(|opened| opened.sync_all()) {
        // Some network and FUSE file systems have no such call; they decide themselves what is durable. A directory
        // above the store that may be entered but not read cannot be synced by us, and was not made by us.
        Err(error) if is_unsupported(&error) || error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// Whether the file system does not know the call at all.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::NOTTY)
    )
}

//! What a backup is asked to do, and what it did.

use super::job::Captured;
use crate::restic::lock::LockOptions;
use crate::restic::packer::PackOptions;
use crate::restic::snapshot::{Snapshot, Summary};
use crate::{Filter, Id, Result};
use jiff::Timestamp;
use std::io::Read;
use std::path::PathBuf;

/// Something to back up.
pub enum Source {
    /// A file or directory of this host with everything below.
    Path(PathBuf),
    /// Bytes that stand in the snapshot as one file.
    Stream {
        /// Where, an absolute path.
        path: PathBuf,
        /// The bytes.
        reader: Box<dyn Read + Send>,
        /// Called after the last byte: whether the bytes were all there were. An error makes the whole backup fail.
        finish: Box<dyn FnOnce() -> Result<()> + Send>,
    },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "Path({})", path.display()),
            Self::Stream { path, .. } => write!(f, "Stream({})", path.display()),
        }
    }
}

/// The snapshot that unchanged files are taken over from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Parent {
    /// The newest one of the same host and paths.
    #[default]
    Newest,
    /// This one: an id or its beginning.
    Id(String),
    /// None: read everything.
    None,
}

/// How to back up.
#[derive(Debug, Default)]
pub struct BackupOptions {
    /// Name of the host, if not this one's.
    pub host: Option<String>,
    /// Labels of the snapshot.
    pub tags: Vec<String>,
    /// Time of the snapshot, if not now.
    pub time: Option<Timestamp>,
    /// Where unchanged files come from.
    pub parent: Parent,
    /// What is left out.
    pub filter: Filter,
    /// The patterns that `filter` was made of, for the snapshot.
    pub excludes: Vec<String>,
    /// A file whose inode number changed may still be unchanged.
    pub ignore_inode: bool,
    /// A file whose status changed may still be unchanged.
    pub ignore_ctime: bool,
    /// Keep the time of last access (otherwise the time of modification stands in its place, as with restic).
    pub with_atime: bool,
    /// Do not descend into other file systems.
    pub one_file_system: bool,
    /// Files that are read at the same time; 0 chooses.
    pub read_concurrency: usize,
    /// How packs are made.
    pub pack: PackOptions,
    /// How long to wait for a lock.
    pub lock: LockOptions,
    /// Store nothing.
    pub dry_run: bool,
    /// Make no snapshot when nothing changed since the parent.
    pub skip_if_unchanged: bool,
    /// Make a snapshot also when there is nothing to back up.
    pub allow_empty: bool,
}

/// What a backup did.
#[derive(Debug)]
pub struct Report {
    /// The new snapshot, unless none was to be made.
    pub snapshot: Option<(Id, Snapshot)>,
    /// Counts.
    pub summary: Summary,
    /// Entries that could not be read; more than zero means that the snapshot is incomplete.
    pub problems: u64,
    /// Entries that vanished between being listed and being read.
    pub vanished: u64,
    /// Files that changed while they were read; they are read again next time.
    pub changed_while_read: u64,
}

impl Report {
    pub(super) fn new(summary: Summary, captured: &Captured) -> Self {
        Self {
            snapshot: None,
            summary,
            problems: captured.problems,
            vanished: captured.vanished,
            changed_while_read: captured.changed_while_read,
        }
    }
}

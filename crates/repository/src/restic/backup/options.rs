//! What a backup is asked to do, and what it did.

use super::job::Captured;
use crate::restic::lock::LockOptions;
use crate::restic::packer::PackOptions;
use crate::restic::repository::Repository;
use crate::restic::snapshot::{Snapshot, Summary};
use crate::{Cancel, Filter, Id, Result, Substitute};
use jiff::Timestamp;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// Something to back up.
pub enum Source {
    /// A file or directory of this host with everything below.
    Path(PathBuf),
    /// A file or directory of this host that stands below another in the snapshot: `/etc` below `/files` is `/files/etc`.
    Below {
        /// The directory in the snapshot, an absolute path.
        root: PathBuf,
        /// Where it is on this host.
        path: PathBuf,
    },
    /// Bytes that stand in the snapshot as one file.
    Stream {
        /// Where, an absolute path.
        path: PathBuf,
        /// The bytes.
        reader: Box<dyn Read + Send>,
        /// Called after the last byte: whether the bytes were all there were.
        finish: Box<dyn FnOnce() -> Result<()> + Send>,
        /// Whether a failure makes the whole backup fail. If not, the stream is left out, and the snapshot is marked as incomplete.
        required: bool,
    },
    /// One file that is made when everything else has been captured.
    Last {
        /// Where, an absolute path.
        path: PathBuf,
        /// Makes the file's content of what was captured.
        content: MakeLast,
    },
}

/// Makes a file's content of what was captured.
pub type MakeLast = Box<dyn FnOnce(&Totals) -> Vec<u8> + Send>;

/// What was captured, source by source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// In the order of their paths.
    pub parts: Vec<PartTotals>,
    /// Entries that could not be read.
    pub problems: u64,
    /// Entries that vanished between being listed and being read.
    pub vanished: u64,
    /// Files that changed while they were read.
    pub changed_while_read: u64,
}

/// What was captured of one path or stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartTotals {
    /// Where it is on this host; of a stream, where it is in the snapshot.
    pub path: PathBuf,
    /// Files and other entries that are not directories.
    pub entries: u64,
    /// Content of files.
    pub bytes: u64,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "Path({})", path.display()),
            Self::Below { root, path } => write!(f, "Below({}, {})", root.display(), path.display()),
            Self::Last { path, .. } => write!(f, "Last({})", path.display()),
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
    /// Shared by the snapshots of one run in several repositories, so that each is known as a copy of the others.
    pub original: Option<Id>,
    /// Where unchanged files come from.
    pub parent: Parent,
    /// What is left out.
    pub filter: Filter,
    /// Files that are captured in another way.
    pub substitute: Option<Arc<dyn Substitute>>,
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
    /// How packs are made, where there is one repository.
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

/// A repository to back up to.
#[derive(Debug)]
pub struct Destination<'r> {
    /// The repository.
    pub repository: &'r Repository,
    /// How packs are made.
    pub pack: PackOptions,
    /// Raised when it drops out, to end the waits of its store.
    pub give_up: Cancel,
}

/// What a backup did.
#[derive(Debug)]
pub struct Report {
    /// The new snapshot, unless none was to be made.
    pub snapshot: Option<(Id, Snapshot)>,
    /// Counts.
    pub summary: Summary,
    /// What was captured, source by source. A problem means that the snapshot is incomplete; what changed while it was read is read again
    /// next time.
    pub totals: Totals,
}

impl Report {
    pub(super) fn new(summary: Summary, captured: &Captured) -> Self {
        Self {
            snapshot: None,
            summary,
            totals: captured.totals.clone(),
        }
    }
}

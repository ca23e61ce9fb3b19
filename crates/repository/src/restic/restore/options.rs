//! What is asked for, and what came of it.

use crate::filter::{Choice, Filter};
use crate::local::apply::ApplyOptions;
use crate::local::meta::Stat;
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// How to restore.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The directory that the tree's entries come into.
    pub target: PathBuf,
    /// Which entries are restored, by their absolute paths in the snapshot; all of them by default.
    pub filter: Filter,
    /// Remove what is in restored directories but not in the snapshot, and whatever is in the way, as far as the filter takes it.
    pub delete: bool,
    /// What happens to files that exist.
    pub overwrite: Overwrite,
    /// Read every file that was written once more and compare it.
    pub verify: bool,
    /// Leave holes where the content is zeros. On by default.
    pub sparse: bool,
    /// Only plan.
    pub dry_run: bool,
    /// Refuse to start if the target's disk is certainly too small. On by default.
    pub check_space: bool,
    /// Which metadata is set.
    pub metadata: ApplyOptions,
    /// Directories that are never removed or restored into: the repository and the cache.
    pub protect: Vec<PathBuf>,
}

impl RestoreOptions {
    /// Everything, into this directory.
    pub fn new(target: impl Into<PathBuf>) -> Self {
        Self {
            target: target.into(),
            filter: Filter::default(),
            delete: false,
            overwrite: Overwrite::default(),
            verify: false,
            sparse: true,
            dry_run: false,
            check_space: true,
            metadata: ApplyOptions::default(),
            protect: Vec::new(),
        }
    }

    /// What is restored of an entry; the directories above it were asked for before.
    pub(super) fn choose(&self, path: &Path, is_dir: bool) -> Choice {
        self.filter.choose(path, is_dir)
    }
}

/// What happens to files that exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Their content is compared, and what differs is written.
    #[default]
    Always,
    /// As [`Overwrite::Always`], but a file of the same size and modification time counts as the same without being read.
    IfChanged,
    /// Only those that are older than the snapshot's are touched.
    IfNewer,
    /// They stay as they are.
    Never,
}

impl Overwrite {
    /// Whether `there` stays although the snapshot has something of this modification time in its place.
    pub(crate) fn keeps(self, there: &Stat, mtime: Timestamp) -> bool {
        match self {
            Self::Always | Self::IfChanged => false,
            Self::IfNewer => there.mtime >= mtime,
            Self::Never => true,
        }
    }
}

/// The text is none of the choices.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{0}` is not one of always, if-changed, if-newer, never")]
pub struct UnknownOverwrite(String);

impl std::str::FromStr for Overwrite {
    type Err = UnknownOverwrite;

    fn from_str(text: &str) -> Result<Self, UnknownOverwrite> {
        Ok(match text {
            "always" => Self::Always,
            "if-changed" => Self::IfChanged,
            "if-newer" => Self::IfNewer,
            "never" => Self::Never,
            other => return Err(UnknownOverwrite(other.to_owned())),
        })
    }
}

/// An entry that was not restored as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its path in the snapshot.
    pub path: PathBuf,
    /// What is wrong, lower case.
    pub message: String,
}

/// What a restore did, or would do if it was a dry run.
#[derive(Clone, Debug, Default)]
pub struct RestoreReport {
    /// Files restored; a hard link counts as one.
    pub files: u64,
    /// Directories restored.
    pub dirs: u64,
    /// Symbolic links, pipes and devices restored.
    pub others: u64,
    /// Content written, bytes.
    pub bytes: u64,
    /// Files among `files` whose content was there already.
    pub identical_files: u64,
    /// Bytes of content that were there already.
    pub identical_bytes: u64,
    /// Entries left as they were because of [`Overwrite`], and sockets.
    pub skipped: u64,
    /// Entries removed.
    pub deleted: u64,
    /// Files read again and compared.
    pub verified_files: u64,
    /// Entries that are not as they should be. More than zero: incomplete.
    pub problems: u64,
    /// The first [`RestoreReport::LISTED_PROBLEMS`] of them; the monitor was told of all.
    pub listed_problems: Vec<Problem>,
}

impl RestoreReport {
    /// Problems that the report keeps.
    pub const LISTED_PROBLEMS: usize = 1000;
}

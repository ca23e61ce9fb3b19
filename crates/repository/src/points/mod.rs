//! Snapshots in a repository of either format, behind one trait.
//!
//! A *restore point* is a snapshot in restic's format or an archive. What only one format has (packs, locks, recipients) is not here, and
//! neither is checking: what can be said about damage is too different.

mod archives;
mod restic;

pub use archives::Archives;
pub use restic::{Snapshots, ids};

use crate::archive::Manifest;
use crate::restic::ls::Descend;
use crate::restic::node::Node;
use crate::restic::restore::{RestoreOptions, RestoreReport};
use crate::restic::select::SnapshotFilter;
use crate::restic::snapshot::Snapshot;
use crate::retention::{GroupBy, Policy};
use crate::{Error, Held, Id, Monitor, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What became of restore points that were to go.
#[derive(Clone, Debug, Default)]
pub struct Forgotten {
    /// What names those that are gone.
    pub removed: Vec<String>,
    /// What stays because the store keeps it for a time.
    pub held: Held,
}

/// Something that can be restored.
#[derive(Clone, Debug)]
pub enum RestorePoint {
    /// A snapshot in restic's format.
    Snapshot(Id, Box<Snapshot>),
    /// An archive.
    Archive(Box<Manifest>),
}

impl RestorePoint {
    /// What names it: an id in hexadecimal digits, or an archive's name.
    pub fn id(&self) -> String {
        match self {
            Self::Snapshot(id, _) => id.to_hex(),
            Self::Archive(manifest) => manifest.name.clone(),
        }
    }

    /// Whether something was removed from it on purpose since it was made, so that it lacks what was captured.
    pub fn is_purged(&self) -> bool {
        match self {
            Self::Snapshot(_, snapshot) => snapshot.mainstay_purged,
            // Only a purge writes an archive again.
            Self::Archive(manifest) => manifest.original.is_some(),
        }
    }

    /// The same as people read it.
    pub fn short_id(&self) -> String {
        match self {
            Self::Snapshot(id, _) => id.short(),
            Self::Archive(manifest) => manifest.name.clone(),
        }
    }
}

/// Which restore points come into question.
#[derive(Clone, Debug, Default)]
pub struct PointFilter {
    /// Hosts, which both formats have; paths and tags, which archives do not have and which must be empty for them.
    pub snapshots: SnapshotFilter,
    /// Made by one of these jobs; of archives only, and empty for snapshots.
    pub jobs: Vec<String>,
}

impl From<SnapshotFilter> for PointFilter {
    fn from(snapshots: SnapshotFilter) -> Self {
        Self {
            snapshots,
            jobs: Vec::new(),
        }
    }
}

/// A restore point, and the directory in it that is meant instead of all.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Which.
    pub point: RestorePoint,
    /// What stood behind the colon.
    pub subfolder: Option<PathBuf>,
}

/// `NAME` or `NAME:DIRECTORY`.
fn split(text: &str) -> (&str, Option<PathBuf>) {
    match text.split_once(':') {
        Some((name, subfolder)) => (name, Some(PathBuf::from(subfolder))),
        None => (text, None),
    }
}

/// Is told of each entry: its absolute path below what was selected, and what it is. The answer says whether what is in a directory is
/// wanted; it may be told of all the same.
pub type EachEntry<'e> = dyn FnMut(&Path, &Node) -> Result<Descend> + 'e;

/// Whatever else is in a target is removed only if everything that was there is known: what could not be read may be missing only here.
///
/// # Errors
/// [`Error::Refused`] if there were problems.
pub(crate) fn refuse_if_incomplete(what: &str, problems: u64) -> Result<()> {
    if problems == 0 {
        return Ok(());
    }
    let entries = if problems == 1 { "entry is" } else { "entries are" };
    Err(Error::Refused {
        message: format!(
            "{problems} {entries} missing in the {what} or not as they were, and what it lacks would be removed"
        ),
        hint: format!("Restore without `--delete`, or another {what}."),
    })
}

/// What is to be forgotten.
#[derive(Clone, Debug)]
pub enum Forgetting {
    /// What no rule keeps, of those that the filter lets through.
    ByPolicy(Policy),
    /// These, by names as [`RestorePoints::select`] takes them.
    Named(Vec<String>),
}

/// What is to be forgotten, and among what.
#[derive(Clone, Debug)]
pub struct ForgetOptions {
    /// Which go.
    pub what: Forgetting,
    /// Which are decided about.
    pub filter: PointFilter,
    /// Snapshots that are decided about together. Archives of one host and job always are.
    pub group_by: GroupBy,
    /// A group may be left empty; never one of archives.
    pub allow_empty: bool,
    /// Whose days and weeks the rules mean.
    pub timezone: TimeZone,
}

/// What becomes of the restore points.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ForgetPlan {
    /// Every group with every decision.
    pub groups: Vec<ForgetGroup>,
    /// Those to remove, oldest first.
    pub remove: Vec<String>,
    /// Those that cannot be read; they stay.
    pub unreadable: usize,
    /// Those of the ones to remove that cannot be read. Nothing is known of them, so they are in no group.
    pub remove_unreadable: Vec<String>,
}

/// What is decided about together.
#[derive(Clone, Debug, Serialize)]
pub struct ForgetGroup {
    /// The host, if groups differ by it.
    pub host: Option<String>,
    /// The job, for archives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The paths, if groups differ by them.
    pub paths: Option<Vec<String>>,
    /// The labels, if groups differ by them.
    pub tags: Option<Vec<String>>,
    /// The newest first.
    pub decisions: Vec<ForgetDecision>,
}

/// What becomes of one, and why.
#[derive(Clone, Debug, Serialize)]
pub struct ForgetDecision {
    /// Its id, or an archive's name.
    pub id: String,
    /// The same as people read it.
    #[serde(skip)]
    pub short_id: String,
    /// When it was begun.
    pub time: Timestamp,
    /// Where.
    pub hostname: String,
    /// Of what; nothing for archives.
    pub paths: Vec<String>,
    /// Its labels; none for archives.
    pub tags: Vec<String>,
    /// Entries are missing from it.
    pub incomplete: bool,
    /// Whether it stays.
    pub keep: bool,
    /// Why it stays or goes.
    pub reasons: Vec<String>,
}

/// A repository of any format, opened.
pub trait RestorePoints: Sync {
    /// Those that the filter lets through, oldest first. What cannot be read is a problem of `monitor`.
    fn list(&self, filter: &PointFilter, monitor: &dyn Monitor) -> Result<Vec<RestorePoint>>;

    /// The one that `text` names: `latest` of those that the filter lets through, or the beginning of an id or name; with `:` and a
    /// directory behind it, that directory.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or several.
    fn select(&self, text: &str, filter: &PointFilter, monitor: &dyn Monitor) -> Result<Selected>;

    /// Call `each` for every entry, a directory before what is in it.
    fn entries(&self, selected: &Selected, each: &mut EachEntry<'_>, monitor: &dyn Monitor) -> Result<()>;

    /// Write `path` to `out`: a file as it is, a directory as a tar archive. If it is a directory, `may_be_directory` is asked before
    /// anything is written.
    fn dump(
        &self,
        selected: &Selected,
        path: &Path,
        out: &mut dyn Write,
        may_be_directory: &dyn Fn() -> Result<()>,
        monitor: &dyn Monitor,
    ) -> Result<()>;

    /// Restore into a directory.
    ///
    /// # Errors
    /// [`Error::Refused`] if the format cannot do what an option asks for.
    fn restore(&self, selected: &Selected, options: &RestoreOptions, monitor: &dyn Monitor) -> Result<RestoreReport>;

    /// Decide what goes. Nothing is changed.
    fn plan_forget(&self, options: &ForgetOptions, monitor: &dyn Monitor) -> Result<ForgetPlan>;

    /// Remove what the plan says, oldest first.
    fn forget(&self, plan: &ForgetPlan, monitor: &dyn Monitor) -> Result<Forgotten>;
}

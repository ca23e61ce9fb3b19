//! What a check found.

use crate::restic::prune::Amount;
use crate::{Id, Monitor};
use parking_lot::Mutex;
use serde::Serialize;

/// Something that is damaged or missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `key`, `snapshot`, `index`, `pack`, `tree`, `blob`.
    pub object: &'static str,
    /// Which.
    pub id: Id,
    /// What is wrong with it.
    pub reason: String,
}

/// A file or directory that cannot be restored completely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Affected {
    /// A snapshot that it is in; others may share it.
    pub snapshot: Id,
    /// Where it is in the snapshot. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Its directory cannot be read, not only content.
    pub is_directory: bool,
}

/// Result of a check.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CheckReport {
    /// Snapshots that could be read.
    pub snapshots: usize,
    /// Index files that could be read.
    pub index_files: usize,
    /// Packs in the store.
    pub packs: usize,
    /// Their size, bytes.
    pub packs_bytes: u64,
    /// Directories read, each once.
    pub trees: u64,
    /// Entries of the index that snapshots use.
    pub used: Amount,
    /// Entries of the index that no snapshot uses, further copies included.
    pub unused: Amount,
    /// Packs that were read as a whole.
    pub packs_read: u64,
    /// Bytes of them.
    pub read_bytes: u64,
    /// Packs that no index file lists: left by an interrupted run, removed by the next prune.
    pub orphan_packs: Vec<Id>,
    /// Packs that several index files list, which is harmless.
    pub packs_listed_twice: usize,
    /// What is wrong, the first ten thousand.
    pub problems: Vec<Problem>,
    /// How many problems there are.
    pub problems_total: u64,
    /// Files that cannot be restored completely, the first hundred.
    pub affected: Vec<Affected>,
    /// Every snapshot that cannot be restored completely.
    pub affected_snapshots: Vec<Id>,
}

/// Problems that are listed at most: a repository that lost everything has as many as it has blobs.
const LISTED: usize = 10_000;

/// Collects problems from many threads.
pub(super) struct Findings<'m> {
    pub monitor: &'m dyn Monitor,
    pub report: CheckReport,
    found: Mutex<(Vec<Problem>, u64)>,
}

impl<'m> Findings<'m> {
    pub fn new(monitor: &'m dyn Monitor) -> Self {
        Self {
            monitor,
            report: CheckReport::default(),
            found: Mutex::default(),
        }
    }

    pub fn problem(&self, object: &'static str, id: &Id, reason: impl Into<String>) {
        let reason = reason.into();
        self.monitor.problem(&format!("{object} {id}"), &reason);
        let mut found = self.found.lock();
        found.1 += 1;
        if found.0.len() < LISTED {
            found.0.push(Problem {
                object,
                id: *id,
                reason,
            });
        }
    }

    pub fn has_problems(&self) -> bool {
        self.found.lock().1 > 0
    }

    pub fn finish(self) -> CheckReport {
        let (mut problems, problems_total) = self.found.into_inner();
        problems.sort_by(|a, b| (a.object, a.id, &a.reason).cmp(&(b.object, b.id, &b.reason)));
        CheckReport {
            problems,
            problems_total,
            ..self.report
        }
    }
}

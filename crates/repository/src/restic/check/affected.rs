//! Which files cannot be restored.

use super::report::{Affected, Findings};
use crate::restic::index::Index;
use crate::restic::repair::rewrite::{Change, Rewriter};
use crate::restic::repository::Repository;
use crate::restic::snapshot::Snapshot;
use crate::restic::walk::Marks;
use crate::{Cancel, Id, Result};

/// Paths that are listed at most.
const LISTED: usize = 100;

/// Find what a repair of the snapshots would change. A directory that several snapshots share is listed with the newest of them.
pub fn find(
    repository: &Repository,
    index: &Index,
    snapshots: &[(Id, Snapshot)],
    bad: &Marks,
    findings: &mut Findings<'_>,
    cancel: &Cancel,
) -> Result<()> {
    let mut rewriter = Rewriter::new(repository, index, bad);
    for (id, snapshot) in snapshots {
        if !rewriter.rewrite(&snapshot.tree, cancel)?.is_same() {
            findings.report.affected_snapshots.push(*id);
        }
        let room = LISTED - findings.report.affected.len();
        let affected = |Change { path, is_directory }| Affected {
            snapshot: *id,
            path,
            is_directory,
        };
        findings
            .report
            .affected
            .extend(rewriter.take_changes().into_iter().take(room).map(affected));
    }
    Ok(())
}

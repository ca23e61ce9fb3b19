//! Looks for damage: first in what refers to what, then, when asked, in every byte stored.

mod affected;
mod data;
mod report;
mod structure;
mod subset;

pub use report::{Affected, CheckReport, Problem};
pub use subset::ReadSubset;

use super::repository::Repository;
use crate::{Cancel, Monitor, Result};

/// What is checked beside the structure.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// The packs that are read and verified; none if absent.
    pub read_data: Option<ReadSubset>,
}

/// Check a repository. Damage is in the report; an error is a store that cannot be reached, or the user's wish to stop. The caller
/// holds a shared lock at least, so that nothing is removed meanwhile.
pub fn check(
    repository: &Repository,
    options: &CheckOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<CheckReport> {
    let mut findings = report::Findings::new(monitor);
    // Snapshots before the index, and the index before the packs: what is added meanwhile is then complete or unknown.
    monitor.phase("reading snapshots");
    let snapshots = structure::snapshots(repository, &findings)?;
    monitor.phase("reading the index");
    let index = structure::load_index(repository, &mut findings, cancel)?;
    monitor.phase("comparing packs with the index");
    let packs = structure::packs(repository, &index, &mut findings)?;
    monitor.phase("checking directories");
    let used = structure::trees(repository, &index, &snapshots, &findings, cancel)?;
    structure::count_used(&index, &used, &mut findings.report);
    findings.report.snapshots = snapshots.len();
    drop(used);
    if let Some(subset) = &options.read_data {
        monitor.phase("reading packs");
        data::read_packs(repository, &index, &packs, subset, &mut findings, cancel)?;
    }
    if findings.has_problems() {
        monitor.phase("finding the files that are affected");
        affected::find(repository, &index, &snapshots, &packs.bad, &mut findings, cancel)?;
    }
    // Last, because damage here affects no file.
    monitor.phase("reading keys");
    structure::keys(repository, &findings)?;
    Ok(findings.finish())
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        self.problems_total == 0
    }
}

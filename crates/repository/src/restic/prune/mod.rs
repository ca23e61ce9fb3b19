//! Gives back the space of blobs that no snapshot uses.
//!
//! [`prepare`] makes a plan, a pure value; [`execute()`] carries it out in an order that leaves every listed snapshot restorable
//! whatever is cut off: packs that nothing lists are deleted; blobs in use are copied to new packs; these are stored, then listed in
//! new index files; old index files are deleted; the packs that only they listed are deleted last.

pub(super) mod copy;
pub(super) mod execute;
mod options;
mod packs;
mod plan;
pub(super) mod reindex;

pub use execute::execute;
pub use options::{MaxUnused, PruneOptions};
pub use plan::plan;

use super::index::Index;
use super::lock::Lock;
use super::repository::Repository;
use super::snapshot::Snapshot;
use crate::{Cancel, Error, Held, Id, Monitor, Result};
use serde::Serialize;

/// A number of blobs and their stored size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Stored, bytes.
    pub bytes: u64,
}

impl Amount {
    pub(super) fn add(&mut self, count: u64, bytes: u64) {
        self.count += count;
        self.bytes += bytes;
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.count = self.count.saturating_sub(other.count);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// What a prune would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PrunePlan {
    /// Snapshots that were looked at.
    pub snapshots: usize,
    /// Blobs that snapshots use, each once.
    pub used: Amount,
    /// Blobs that no snapshot uses.
    pub unused: Amount,
    /// Further copies of blobs in use.
    pub duplicates: Amount,
    /// Packs left as they are.
    pub keep: Amount,
    /// Packs that hold nothing in use.
    pub remove: Amount,
    /// Packs whose blobs in use are copied to new packs.
    pub repack: Amount,
    /// Blobs in use that are copied.
    pub copied: Amount,
    /// Packs that no index file lists.
    pub orphans: Amount,
    /// Bytes that the repository loses.
    pub freed_bytes: u64,
    /// Bytes of blobs not in use that remain afterwards.
    pub unused_after_bytes: u64,
    /// Packs to remove.
    pub remove_packs: Vec<Id>,
    /// Packs to repack.
    pub repack_packs: Vec<Id>,
    /// Packs that no index file lists.
    pub orphan_packs: Vec<Id>,
    /// Packs that the index lists without need, because they are gone.
    pub lost_packs: Vec<Id>,
    /// Index files to write anew.
    pub index_files: Vec<Id>,
    /// Entries of the index to copy, ordered by pack and offset.
    #[serde(skip)]
    pub(super) copies: Vec<u32>,
}

impl PrunePlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        [
            &self.remove_packs,
            &self.repack_packs,
            &self.orphan_packs,
            &self.lost_packs,
            &self.index_files,
        ]
        .iter()
        .all(|list| list.is_empty())
    }
}

/// What a prune did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PruneReport {
    /// Packs deleted.
    pub deleted_packs: u64,
    /// Their size, bytes.
    pub deleted_bytes: u64,
    /// Blobs copied to new packs.
    pub copied_blobs: u64,
    /// Their stored size, bytes.
    pub copied_bytes: u64,
    /// Index files deleted.
    pub deleted_index_files: u64,
    /// What stays for a time because the store protects it, and packs that stay because an index file does.
    pub held: Held,
}

/// A plan together with the index that it was made from.
#[derive(Debug)]
pub struct Prepared {
    /// What would be done.
    pub plan: PrunePlan,
    pub(super) index: Index,
}

/// Look at the repository and plan. The caller holds the exclusive lock from before this call until after [`execute()`]; a dry run does
/// with a shared one.
///
/// Refuses when any snapshot, index file or directory cannot be read, or when something in use is missing: what cannot be seen to be
/// in use would be deleted.
pub fn prepare(
    repository: &Repository,
    lock: &Lock,
    options: &PruneOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Prepared> {
    lock.check()?;
    monitor.phase("reading snapshots and index");
    let snapshots = readable_snapshots(repository)?;
    let index = repository.load_index().map_err(refuse)?;
    let plan = plan(repository, &index, &snapshots, options, cancel, monitor)?;
    Ok(Prepared { plan, index })
}

/// Every snapshot, or a refusal if one cannot be read.
pub(super) fn readable_snapshots(repository: &Repository) -> Result<Vec<(Id, Snapshot)>> {
    repository
        .snapshots()?
        .into_iter()
        .collect::<Result<_>>()
        .map_err(refuse)
}

/// Damage is a reason to leave everything as it is.
pub(super) fn refuse(error: Error) -> Error {
    if !error.is_damage() {
        return error;
    }
    Error::Refused {
        message: format!("nothing was pruned: {error}"),
        hint: "Run `mainstay check` to see the extent of the damage, then `mainstay repair`; prune afterwards."
            .to_owned(),
    }
}

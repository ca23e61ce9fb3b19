//! Carries a plan out, in the order that is safe under a crash.

use super::copy::Copier;
use super::plan::dropped_packs;
use super::reindex::IndexWriter;
use super::{Prepared, PruneOptions, PruneReport};
use crate::restic::lock::{Lock, LockKind};
use crate::restic::object::ObjectKind;
use crate::restic::packer::{PackOptions, Packer};
use crate::restic::parallel;
use crate::restic::repository::Repository;
use crate::{Cancel, Error, Held, Id, Monitor, Result};
use hashbrown::HashSet;

/// Prune as planned. `lock` is the exclusive lock that was held when the plan was made.
///
/// # Errors
/// [`Error::AppendOnly`] before anything is changed; those of the store. A pack is removed after everything in it is stored elsewhere.
pub fn execute(
    repository: &Repository,
    prepared: &Prepared,
    options: &PruneOptions,
    lock: &Lock,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<PruneReport> {
    demand_exclusive(lock)?;
    repository.demand_deletion(&[ObjectKind::Index, ObjectKind::Pack])?;
    let plan = &prepared.plan;
    let mut report = PruneReport::default();
    // First, because it may make the room that repacking needs. Nothing can be about to list them: the lock was held when they were found.
    monitor.phase("deleting packs that nothing lists");
    let orphans = delete_unless_held(repository, ObjectKind::Pack, &plan.orphan_packs, lock, cancel)?;
    repack(repository, prepared, options, lock, &mut report, cancel, monitor)?;
    monitor.phase("writing the index");
    let dropped = dropped_packs(plan);
    let mut writer = IndexWriter::new(repository);
    writer.push_files(&plan.index_files, &dropped, cancel)?;
    let written: HashSet<Id> = writer.finish()?.into_iter().collect();
    let old: Vec<Id> = plan
        .index_files
        .iter()
        .filter(|id| !written.contains(*id))
        .copied()
        .collect();
    let indexes = delete_unless_held(repository, ObjectKind::Index, &old, lock, cancel)?;
    report.deleted_index_files = indexes.gone.len() as u64;
    monitor.phase("deleting packs");
    let removed: Vec<Id> = plan.remove_packs.iter().chain(&plan.repack_packs).copied().collect();
    let packs = if indexes.held.is_empty() {
        delete_unless_held(repository, ObjectKind::Pack, &removed, lock, cancel)?
    } else {
        // An index file that stays lists them: whoever believes it would miss their blobs.
        let (objects, until) = (removed.len() as u64, indexes.held.until);
        Deleted {
            gone: Vec::new(),
            held: Held { objects, until },
        }
    };
    report.deleted_packs = (orphans.gone.len() + packs.gone.len()) as u64;
    for held in [orphans.held, indexes.held, packs.held] {
        report.held.add(held);
    }
    let all: HashSet<&Id> = plan.orphan_packs.iter().chain(&removed).collect();
    let planned = plan.orphans.bytes + plan.remove.bytes + plan.repack.bytes;
    report.deleted_bytes = planned.saturating_sub(bytes_left(repository, &report.held, &all)?);
    Ok(report)
}

/// The size of those of `packs` that are still there.
fn bytes_left(repository: &Repository, held: &Held, packs: &HashSet<&Id>) -> Result<u64> {
    if held.is_empty() {
        return Ok(0);
    }
    let stored = repository.list(ObjectKind::Pack)?;
    let left = stored.iter().filter(|(id, _)| packs.contains(id));
    Ok(left.map(|(_, bytes)| bytes).sum())
}

/// Complain about a lock that lets others add while this removes.
pub(in crate::restic) fn demand_exclusive(lock: &Lock) -> Result<()> {
    if lock.kind() == LockKind::Exclusive {
        return lock.check();
    }
    Err(Error::Verification(
        "something was about to be deleted without an exclusive lock".to_owned(),
    ))
}

fn repack(
    repository: &Repository,
    prepared: &Prepared,
    options: &PruneOptions,
    lock: &Lock,
    report: &mut PruneReport,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<()> {
    let copies = &prepared.plan.copies;
    if copies.is_empty() {
        return Ok(());
    }
    monitor.phase("copying blobs in use to new packs");
    let pack_options = PackOptions {
        pack_size: options.pack_size,
        ..PackOptions::default()
    };
    let ((), added) = Packer::run(repository, &pack_options, lock, cancel, monitor, |packer| {
        Copier {
            source: repository,
            index: &prepared.index,
            packer,
            same_key: true,
            compress: options.repack_uncompressed,
            monitor,
        }
        .copy(copies)
    })?;
    report.copied_blobs = added.data_blobs.into_inner() + added.tree_blobs.into_inner();
    report.copied_bytes = added.stored_bytes.into_inner();
    if report.copied_blobs == copies.len() as u64 {
        return Ok(());
    }
    Err(Error::Verification(format!(
        "{} blobs were copied instead of {}",
        report.copied_blobs,
        copies.len()
    )))
}

/// Deletions between two looks at the lock.
const BATCH: usize = 64;

/// What became of objects that were to go.
#[derive(Debug, Default)]
pub(in crate::restic) struct Deleted {
    pub(in crate::restic) gone: Vec<Id>,
    pub(in crate::restic) held: Held,
}

/// Delete objects, several at a time, as long as the lock holds. What the store keeps for a time stays, and is counted.
pub(in crate::restic) fn delete_unless_held(
    repository: &Repository,
    kind: ObjectKind,
    ids: &[Id],
    lock: &Lock,
    cancel: &Cancel,
) -> Result<Deleted> {
    let mut all = Deleted::default();
    for batch in ids.chunks(BATCH) {
        cancel.check()?;
        lock.check()?;
        let deleted = parallel::map(batch, repository.store().concurrency(), |id| {
            repository.delete(kind, id)
        });
        for (id, deleted) in batch.iter().zip(deleted) {
            if all.held.count(deleted)? {
                all.gone.push(*id);
            }
        }
    }
    Ok(all)
}

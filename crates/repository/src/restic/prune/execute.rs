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
use crate::{Cancel, Error, Id, Monitor, Result};
use hashbrown::HashSet;

/// Prune as planned. `lock` is the exclusive lock that was held when the plan was made.
pub fn execute(
    repository: &Repository,
    prepared: &Prepared,
    options: &PruneOptions,
    lock: &Lock,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<PruneReport> {
    demand_exclusive(lock)?;
    let plan = &prepared.plan;
    let mut report = PruneReport::default();
    // First, because it may make the room that repacking needs. Nothing can be about to list them: the lock was held when they were found.
    monitor.phase("deleting packs that nothing lists");
    delete_all(repository, ObjectKind::Pack, &plan.orphan_packs, lock, cancel)?;
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
    delete_all(repository, ObjectKind::Index, &old, lock, cancel)?;
    monitor.phase("deleting packs");
    let removed: Vec<Id> = plan.remove_packs.iter().chain(&plan.repack_packs).copied().collect();
    delete_all(repository, ObjectKind::Pack, &removed, lock, cancel)?;
    report.deleted_packs = (plan.orphan_packs.len() + removed.len()) as u64;
    report.deleted_bytes = plan.orphans.bytes + plan.remove.bytes + plan.repack.bytes;
    report.deleted_index_files = old.len() as u64;
    Ok(report)
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

/// Delete objects, several at a time, as long as the lock holds.
pub(in crate::restic) fn delete_all(
    repository: &Repository,
    kind: ObjectKind,
    ids: &[Id],
    lock: &Lock,
    cancel: &Cancel,
) -> Result<()> {
    for batch in ids.chunks(BATCH) {
        cancel.check()?;
        lock.check()?;
        let deleted = parallel::map(batch, repository.store().concurrency(), |id| {
            repository.delete(kind, id)
        });
        deleted.into_iter().collect::<Result<()>>()?;
    }
    Ok(())
}

//! Copies snapshots to another repository, which has another key.

use super::index::Index;
use super::lock::Lock;
use super::node::Node;
use super::object::ObjectKind;
use super::pack::BlobKind;
use super::packer::{PackOptions, Packer};
use super::prune::copy::Copier;
use super::repository::Repository;
use super::snapshot::Snapshot;
use super::tree::Tree;
use super::walk::{Marks, walk};
use crate::{Cancel, Counters, Error, Id, Monitor, Result};
use serde::Serialize;

/// How snapshots are copied.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// Size of packs and compression of what is not compressed.
    pub packs: PackOptions,
}

/// What was copied.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CopyReport {
    /// Snapshots in the source and what they are in the destination.
    pub copied: Vec<(Id, Id)>,
    /// Snapshots that were there already.
    pub skipped: Vec<Id>,
    /// Blobs that were not in the destination.
    pub blobs: u64,
    /// Their stored size, bytes.
    pub stored_bytes: u64,
}

/// Copy `snapshots` of `source` to `destination`. The caller holds a shared lock on both; `lock` is that on the
/// destination.
///
/// Blobs are copied as they are, wherever the chunkers cut; what is there already is not copied. An interrupted copy goes on where it
/// stopped. Snapshots are stored when all of their blobs are.
pub fn copy(
    source: &Repository,
    destination: &Repository,
    snapshots: &[(Id, Snapshot)],
    options: &CopyOptions,
    lock: &Lock,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<CopyReport> {
    let mut report = CopyReport::default();
    let present: Vec<(Id, Snapshot)> = destination.snapshots()?.into_iter().filter_map(Result::ok).collect();
    let (skipped, new): (Vec<&(Id, Snapshot)>, Vec<_>) = snapshots
        .iter()
        .partition(|one| present.iter().any(|there| is_copy(one, there)));
    report.skipped = skipped.iter().map(|(id, _)| *id).collect();
    if new.is_empty() {
        return Ok(report);
    }
    monitor.phase("finding what is missing in the destination");
    let (index, there) = (source.load_index()?, destination.load_index()?);
    let roots: Vec<Id> = new.iter().map(|(_, snapshot)| snapshot.tree).collect();
    let entries = missing_entries(source, &index, &there, &roots, cancel, monitor)?;
    monitor.phase("copying blobs");
    let ((), added) = Packer::run(destination, &options.packs, lock, cancel, monitor, |packer| {
        Copier {
            source,
            index: &index,
            packer,
            same_key: false,
            compress: source.config().version < destination.config().version,
            monitor,
        }
        .copy(&entries)
    })?;
    report.blobs = added.data_blobs.into_inner() + added.tree_blobs.into_inner();
    report.stored_bytes = added.stored_bytes.into_inner();
    for (id, snapshot) in new {
        cancel.check()?;
        lock.check()?;
        let copied = Snapshot {
            parent: None,
            original: snapshot.original.or(Some(*id)),
            ..snapshot.clone()
        };
        let new = destination.write_json(ObjectKind::Snapshot, &copied)?;
        destination.confirm(ObjectKind::Snapshot, &new, None)?;
        report.copied.push((*id, new));
    }
    Ok(report)
}

/// Whether `there` is `here`, copied: of the same origin and equal in all that a copy keeps.
fn is_copy((id, here): &(Id, Snapshot), (other_id, there): &(Id, Snapshot)) -> bool {
    here.original.unwrap_or(*id) == there.original.unwrap_or(*other_id)
        && here.time.timestamp() == there.time.timestamp()
        && here.tree == there.tree
        && here.paths == there.paths
        && (&here.hostname, &here.username, here.uid, here.gid)
            == (&there.hostname, &there.username, there.uid, there.gid)
        && here.excludes == there.excludes
        && here.tags() == there.tags()
}

/// Entries of the source's index for blobs that the destination lacks, ordered by pack and offset.
fn missing_entries(
    source: &Repository,
    index: &Index,
    there: &Index,
    roots: &[Id],
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Vec<u32>> {
    let used = Marks::of(index);
    walk(source, index, roots, &used, cancel, &|_, tree| {
        let tree = tree?;
        Counters::add(&monitor.counters().files, tree.nodes.len() as u64);
        mark_content(index, &used, tree)
    })?;
    let is_missing = |at: &u32| {
        let blob = index.entry(*at as usize).1;
        used.get(*at as usize) && !there.contains(blob.kind, &blob.id)
    };
    let mut entries: Vec<u32> = (0..index.len() as u32).filter(is_missing).collect();
    entries.sort_unstable_by_key(|at| {
        let (pack, blob) = index.entry(*at as usize);
        (pack, blob.offset)
    });
    Ok(entries)
}

fn mark_content(index: &Index, used: &Marks, tree: &Tree) -> Result<()> {
    for blob in tree.nodes.iter().flat_map(Node::blobs) {
        let position = index.position(BlobKind::Data, blob);
        let missing = || Error::damaged("blob", blob, "it is missing: the index does not list it");
        used.set(position.ok_or_else(missing)?);
    }
    Ok(())
}

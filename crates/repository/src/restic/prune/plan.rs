//! Decides what becomes of each pack.

use super::packs::{Pack, Packs};
use super::{Amount, PruneOptions, PrunePlan, refuse, reindex};
use crate::restic::index::Index;
use crate::restic::node::NodeKind;
use crate::restic::object::ObjectKind;
use crate::restic::pack::BlobKind;
use crate::restic::repository::Repository;
use crate::restic::snapshot::Snapshot;
use crate::restic::tree::Tree;
use crate::restic::walk::{Marks, walk};
use crate::{Cancel, Counters, Error, Id, Monitor, Result};
use hashbrown::{HashMap, HashSet};

/// What would be done to prune a repository that holds exactly `snapshots`. Nothing is changed.
pub fn plan(
    repository: &Repository,
    index: &Index,
    snapshots: &[(Id, Snapshot)],
    options: &PruneOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<PrunePlan> {
    monitor.phase("finding what is in use");
    let used = used_blobs(repository, index, snapshots, cancel, monitor).map_err(refuse)?;
    monitor.phase("listing packs");
    let stored: HashMap<Id, u64> = repository.list(ObjectKind::Pack)?.into_iter().collect();
    let mut packs = Packs::count(index, &stored);
    check_sizes(&packs, &stored).map_err(refuse)?;
    packs.choose(&used).map_err(refuse)?;
    drop(used);
    let mut plan = PrunePlan {
        snapshots: snapshots.len(),
        used: packs.used,
        duplicates: packs.duplicates,
        ..PrunePlan::default()
    };
    find_orphans(&mut plan, &packs, &stored);
    decide(&mut plan, &packs, options, repository.compresses());
    plan.index_files = reindex::files_to_rewrite(repository, &dropped_packs(&plan), cancel).map_err(refuse)?;
    Ok(plan)
}

/// Mark the first position of every blob that the snapshots use.
fn used_blobs(
    repository: &Repository,
    index: &Index,
    snapshots: &[(Id, Snapshot)],
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Marks> {
    let marks = Marks::of(index);
    let mut roots: Vec<Id> = snapshots.iter().map(|(_, snapshot)| snapshot.tree).collect();
    roots.sort_unstable();
    roots.dedup();
    walk(repository, index, &roots, &marks, cancel, &|id, tree| {
        let tree = tree?;
        Counters::add(&monitor.counters().files, tree.nodes.len() as u64);
        mark_content(index, &marks, id, tree)
    })?;
    Ok(marks)
}

fn mark_content(index: &Index, marks: &Marks, id: &Id, tree: &Tree) -> Result<()> {
    for node in &tree.nodes {
        // What this program does not understand could refer to blobs that would be deleted.
        if node.kind == NodeKind::Dir && node.subtree.is_none() {
            return Err(Error::damaged(
                "tree",
                id,
                format!("its directory `{}` has no tree", node.name.display()),
            ));
        }
        for blob in node.blobs() {
            let position = index.position(BlobKind::Data, blob);
            let missing = || Error::damaged("blob", blob, "it is in use, but the index does not list it");
            marks.set(position.ok_or_else(missing)?);
        }
    }
    Ok(())
}

/// A pack of another size than its blobs take was not written whole, or its index entries are not all of its content.
fn check_sizes(packs: &Packs<'_>, stored: &HashMap<Id, u64>) -> Result<()> {
    for (id, pack) in packs
        .ids
        .iter()
        .zip(&packs.packs)
        .filter(|(_, pack)| pack.exists && !pack.is_alias)
    {
        let (expected, size) = (pack.expected_size(), stored.get(id).copied().unwrap_or_default());
        if expected != size {
            return Err(Error::damaged(
                "pack",
                id,
                format!("it is {size} bytes long instead of {expected}"),
            ));
        }
    }
    Ok(())
}

fn find_orphans(plan: &mut PrunePlan, packs: &Packs<'_>, stored: &HashMap<Id, u64>) {
    let listed: HashSet<Id> = packs.ids.iter().copied().collect();
    for (id, size) in stored.iter().filter(|(id, _)| !listed.contains(*id)) {
        plan.orphans.add(1, *size);
        plan.orphan_packs.push(*id);
    }
    plan.orphan_packs.sort_unstable();
}

/// What becomes of a pack of which a part is kept.
struct Candidate {
    number: usize,
    pack: Pack,
    /// Repacked for another reason than the space.
    forced: bool,
}

fn decide(plan: &mut PrunePlan, packs: &Packs<'_>, options: &PruneOptions, compresses: bool) {
    let mut candidates = Vec::new();
    let small = small_packs(packs, options);
    for (number, pack) in packs.packs.iter().enumerate().filter(|(_, pack)| !pack.is_alias) {
        let mut unused = pack.all;
        unused.subtract(pack.kept);
        plan.unused.add(unused.count, unused.bytes);
        let uncompressed = options.repack_uncompressed && compresses && pack.has_uncompressed;
        let forced = pack.is_mixed() || uncompressed || small[number];
        if !pack.exists {
            plan.lost_packs.push(packs.ids[number]);
        } else if pack.kept.count == 0 {
            plan.remove.add(1, pack.expected_size());
            plan.remove_packs.push(packs.ids[number]);
        } else if (unused.count == 0 && !forced) || (options.repack_cacheable_only && pack.has_data) {
            plan.keep.add(1, pack.expected_size());
            plan.unused_after_bytes += unused.bytes;
        } else {
            plan.unused_after_bytes += unused.bytes;
            candidates.push(Candidate {
                number,
                pack: *pack,
                forced,
            });
        }
    }
    plan.unused.subtract(plan.duplicates);
    choose_repacked(plan, packs, candidates, options);
}

/// Packs of less than four fifths of the wanted size, if enough of them are there to make a full one.
fn small_packs(packs: &Packs<'_>, options: &PruneOptions) -> Vec<bool> {
    let limit = options.pack_size as u64 / 5 * 4;
    let is_small = |pack: &Pack| {
        options.repack_small && pack.exists && !pack.is_alias && pack.kept.count > 0 && pack.all.bytes < limit
    };
    let total = |trees| {
        packs
            .packs
            .iter()
            .filter(|pack| is_small(pack) && pack.has_trees == trees)
            .map(|pack| pack.kept.bytes)
            .sum::<u64>()
    };
    let worth = [total(false) > limit, total(true) > limit];
    packs
        .packs
        .iter()
        .map(|pack| is_small(pack) && worth[usize::from(pack.has_trees)])
        .collect()
}

/// The packs that give back most for what they cost come first, until little enough is left unused.
fn choose_repacked(plan: &mut PrunePlan, packs: &Packs<'_>, mut candidates: Vec<Candidate>, options: &PruneOptions) {
    let limit = options.max_unused.limit(packs.used.bytes);
    let ratio = |pack: &Pack| pack.unused_bytes() as f64 / pack.all.bytes.max(1) as f64;
    candidates.sort_by(|a, b| {
        let key = |c: &Candidate| (!c.forced, !c.pack.has_trees);
        key(a)
            .cmp(&key(b))
            .then_with(|| ratio(&b.pack).total_cmp(&ratio(&a.pack)))
    });
    let mut chosen = vec![false; packs.packs.len()];
    for Candidate { number, pack, forced } in candidates {
        let size = pack.expected_size();
        let affordable = options
            .max_repack_bytes
            .is_none_or(|max| plan.repack.bytes + size <= max);
        // Directories are small and read often, so they are always packed tightly.
        let wanted = forced || pack.has_trees || plan.unused_after_bytes > limit;
        if affordable && wanted {
            chosen[number] = true;
            plan.unused_after_bytes -= pack.unused_bytes();
            plan.repack.add(1, size);
            plan.copied.add(pack.kept.count, pack.kept.bytes);
            plan.repack_packs.push(packs.ids[number]);
        } else {
            plan.keep.add(1, size);
        }
    }
    plan.freed_bytes = (plan.remove.bytes + plan.repack.bytes + plan.orphans.bytes).saturating_sub(plan.copied.bytes);
    plan.copies = if plan.repack.count == 0 {
        Vec::new()
    } else {
        packs.kept_in(&chosen)
    };
}

/// Packs that are not listed any more afterwards.
pub(super) fn dropped_packs(plan: &PrunePlan) -> HashSet<Id> {
    [&plan.remove_packs, &plan.repack_packs, &plan.lost_packs]
        .into_iter()
        .flatten()
        .copied()
        .collect()
}

impl Amount {
    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.count == 0
    }
}

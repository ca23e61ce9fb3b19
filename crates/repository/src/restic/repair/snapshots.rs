//! Replaces snapshots that refer to something lost.

pub use super::rewrite::{Change, DamagedFiles};
use super::rewrite::{Outcome, Rewriter};
use crate::restic::compress::Sealer;
use crate::restic::index::Index;
use crate::restic::lock::Lock;
use crate::restic::object::ObjectKind;
use crate::restic::pack::BlobKind;
use crate::restic::packer::{PackOptions, Packer};
use crate::restic::prune::execute::{delete_unless_held, demand_exclusive};
use crate::restic::replace::Replacer;
use crate::restic::repository::Repository;
use crate::restic::snapshot::Snapshot;
use crate::restic::walk::Marks;
use crate::{Cancel, Held, Id, Monitor, Result};
use hashbrown::{HashMap, HashSet};
use serde::Serialize;

/// Tag of snapshots that were repaired.
pub const REPAIRED: &str = "repaired";

/// How snapshots are repaired.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only these; all if empty.
    pub snapshots: Vec<Id>,
    /// What becomes of files that lack content.
    pub damaged_files: DamagedFiles,
    /// Blobs that a check found damaged; they count as lost although the index lists them.
    pub damaged_blobs: HashSet<Id>,
    /// Remove the damaged snapshots once they are replaced, and those of which nothing is left or that cannot be read.
    pub forget: bool,
}

/// What becomes of one snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct Repair {
    /// The damaged one.
    pub snapshot: Id,
    /// The new root directory; nothing is left without one.
    pub tree: Option<Id>,
    /// What is lost. A directory that several snapshots share is listed with the first of them only.
    pub changes: Vec<Change>,
}

/// What a repair would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    /// Snapshots looked at.
    pub snapshots: usize,
    /// Those that are damaged.
    pub repairs: Vec<Repair>,
    /// Snapshot objects that cannot be read themselves: nothing is known of them.
    pub unreadable: Vec<Id>,
    /// Whether the damaged ones are removed.
    pub forget: bool,
    #[serde(skip)]
    trees: HashMap<Id, Vec<u8>>,
}

/// What a repair did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Damaged snapshot and the one that replaces it.
    pub replaced: Vec<(Id, Id)>,
    /// Snapshots removed.
    pub removed: Vec<Id>,
    /// Damaged snapshots that stay because the store keeps them for a time.
    pub held: Held,
}

/// Find what is damaged. Nothing is changed.
pub fn plan(repository: &Repository, options: &Options, cancel: &Cancel, monitor: &dyn Monitor) -> Result<Plan> {
    monitor.phase("reading snapshots and index");
    let ids = repository.list(ObjectKind::Snapshot)?;
    let index = repository.load_index()?;
    let bad = lost_entries(repository, &index, &options.damaged_blobs)?;
    let mut rewriter = Rewriter::new(repository, &index, &bad).with(options.damaged_files);
    let mut plan = Plan {
        forget: options.forget,
        ..Plan::default()
    };
    monitor.phase("checking directories");
    for (id, _) in ids
        .iter()
        .filter(|(id, _)| options.snapshots.is_empty() || options.snapshots.contains(id))
    {
        let snapshot: Snapshot = match repository.read_json(ObjectKind::Snapshot, id) {
            Err(error) if error.is_damage() => {
                plan.unreadable.push(*id);
                continue;
            }
            other => other?,
        };
        plan.snapshots += 1;
        let tree = match rewriter.rewrite(&snapshot.tree, cancel)? {
            Outcome::Same => continue,
            Outcome::Changed(tree) => Some(tree),
            Outcome::Lost => None,
        };
        plan.repairs.push(Repair {
            snapshot: *id,
            tree,
            changes: rewriter.take_changes(),
        });
    }
    plan.trees = rewriter.trees;
    Ok(plan)
}

/// Entries of the index whose pack is gone, or that are known to be damaged.
fn lost_entries(repository: &Repository, index: &Index, damaged: &HashSet<Id>) -> Result<Marks> {
    let stored: HashSet<Id> = repository
        .list(ObjectKind::Pack)?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let gone: Vec<bool> = index.pack_list().iter().map(|id| !stored.contains(id)).collect();
    let bad = Marks::of(index);
    for at in 0..index.len() {
        let (pack, blob) = index.entry(at);
        if gone[pack as usize] || damaged.contains(&blob.id) {
            bad.set(at);
        }
    }
    Ok(bad)
}

/// Repair as planned: new directories first, then new snapshots, and only then the damaged ones are removed.
pub fn execute(
    repository: &Repository,
    plan: &Plan,
    lock: &Lock,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Report> {
    demand_exclusive(lock)?;
    if plan.forget {
        repository.demand_deletion(&[ObjectKind::Snapshot])?;
    }
    let replacer = Replacer::new(repository)?;
    monitor.phase("storing directories");
    store_trees(repository, &plan.trees, lock, cancel, monitor)?;
    let mut report = Report::default();
    for repair in &plan.repairs {
        let Some(tree) = repair.tree else { continue };
        lock.check()?;
        let old: Snapshot = repository.read_json(ObjectKind::Snapshot, &repair.snapshot)?;
        let new = replacer.store(&repaired(old, repair, tree))?;
        report.replaced.push((repair.snapshot, new));
    }
    if plan.forget {
        let damaged = plan.repairs.iter().map(|repair| repair.snapshot);
        let removed: Vec<Id> = damaged.chain(plan.unreadable.iter().copied()).collect();
        let deleted = delete_unless_held(repository, ObjectKind::Snapshot, &removed, lock, cancel)?;
        (report.removed, report.held) = (deleted.gone, deleted.held);
    }
    Ok(report)
}

fn repaired(mut snapshot: Snapshot, repair: &Repair, tree: Id) -> Snapshot {
    snapshot.tree = tree;
    snapshot.original = snapshot.original.or(Some(repair.snapshot));
    let tags = snapshot.tags.get_or_insert_default();
    if !tags.iter().any(|tag| tag == REPAIRED) {
        tags.push(REPAIRED.to_owned());
    }
    // Something is missing from it, so it must never count as the newest good one. Its directories may be shared with another
    // snapshot that names what is lost.
    snapshot.mainstay_problems = Some(snapshot.mainstay_problems.unwrap_or(0) + repair.changes.len().max(1) as u64);
    snapshot
}

/// Store directories; the packer indexes them.
pub fn store_trees(
    repository: &Repository,
    trees: &HashMap<Id, Vec<u8>>,
    lock: &Lock,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<()> {
    if trees.is_empty() {
        return Ok(());
    }
    // Also those that the index lists already: what it lists may be what is lost.
    Packer::run(repository, &PackOptions::default(), lock, cancel, monitor, |packer| {
        let mut sealer = Sealer::new(packer.level())?;
        let mut sealed = Vec::new();
        for (id, json) in trees {
            let uncompressed_length = sealer.seal(repository.key(), BlobKind::Tree, json, &mut sealed)?;
            packer.add(BlobKind::Tree, *id, &sealed, json.len(), uncompressed_length)?;
        }
        Ok(())
    })?;
    Ok(())
}

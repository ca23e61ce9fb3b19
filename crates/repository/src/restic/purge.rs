//! Removes content from every snapshot, for good: on request of the person whose data it is, or because it should never have been
//! backed up.
//!
//! First a plan, which shows what matches and where; then snapshots are replaced by ones without it, the old ones are removed, everything
//! that nothing uses any more is given back, and what is left is searched for what was to go.

use super::index::Index;
use super::lock::Lock;
use super::node::Node;
use super::object::ObjectKind;
use super::pack::{self, BlobKind};
use super::prune::execute::{delete_unless_held, demand_exclusive};
use super::prune::{self, MaxUnused, PruneOptions};
use super::repair::snapshots::store_trees;
use super::replace::Replacer;
use super::repository::Repository;
use super::select::SnapshotFilter;
use super::snapshot::Snapshot;
use super::tree::Tree;
use super::walk::{Fold, Step, fold};
use crate::held::keeps_versions;
use crate::{Cancel, Error, Filter, Held, Id, Monitor, Result};
use hashbrown::{HashMap, HashSet};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What is to go.
#[derive(Clone, Debug)]
pub struct PurgeOptions {
    /// From these snapshots.
    pub snapshots: SnapshotFilter,
    /// What it includes goes, with everything below.
    pub content: Filter,
}

/// What would go.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PurgePlan {
    /// Snapshots that were looked at.
    pub looked_at: usize,
    /// Those that hold something of it.
    pub snapshots: Vec<PurgedSnapshot>,
    /// Every path that goes, once.
    pub paths: Vec<PurgedPath>,
    #[serde(skip)]
    trees: HashMap<Id, Vec<u8>>,
    #[serde(skip)]
    blobs: HashSet<(BlobKind, Id)>,
}

/// A snapshot that holds something that is to go.
#[derive(Clone, Debug, Serialize)]
pub struct PurgedSnapshot {
    /// Which.
    pub id: Id,
    /// When it was begun.
    pub time: jiff::Timestamp,
    /// Where.
    pub hostname: String,
    /// Its new root directory; none if nothing is left of it, so that it goes as a whole.
    pub tree: Option<Id>,
}

/// A path that is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PurgedPath {
    /// In the snapshots; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Its content, bytes; of the largest version.
    pub bytes: u64,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct PurgeReport {
    /// Snapshots, and what they were replaced by.
    pub replaced: Vec<(Id, Option<Id>)>,
    /// Pieces of content and directories that are gone.
    pub blobs_gone: usize,
    /// Pieces that other files, which do not match, have in common with what matched: they stay, as content of those files. What the store
    /// keeps for a time is among them.
    pub blobs_shared: usize,
    /// What was to go, and stays because the store keeps it for a time.
    pub held: Held,
    /// Packs that hold something which no index lists: what is in them cannot be told.
    pub unexplained_packs: Vec<Id>,
    /// Space that was given back, bytes.
    pub freed_bytes: u64,
    /// Whether the store keeps as old versions what is deleted; none if it does not say.
    pub keeps_versions: Option<bool>,
}

impl PurgeReport {
    /// Whether nothing of it can be left but what other files have in common with it.
    pub fn is_proven(&self) -> bool {
        self.unexplained_packs.is_empty() && self.held.is_empty() && self.keeps_versions != Some(true)
    }
}

/// Find what matches. Nothing is changed.
///
/// # Errors
/// Damage: what cannot be read cannot be searched.
pub fn plan(
    repository: &Repository,
    options: &PurgeOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<PurgePlan> {
    monitor.phase("reading snapshots and index");
    let index = repository.load_index()?;
    let mut purger = Purger {
        repository,
        index: &index,
        content: &options.content,
        known: HashMap::new(),
        trees: HashMap::new(),
        blobs: HashSet::new(),
        paths: BTreeMap::new(),
    };
    let mut plan = PurgePlan::default();
    monitor.phase("searching");
    for snapshot in repository.snapshots()? {
        let (id, snapshot) = snapshot?;
        if !options.snapshots.matches(&snapshot) {
            continue;
        }
        plan.looked_at += 1;
        let tree = match fold(&mut purger, &snapshot.tree, cancel)? {
            Left::Everything => continue,
            Left::Some(tree) => Some(tree),
            Left::Nothing => None,
        };
        plan.snapshots.push(PurgedSnapshot {
            id,
            time: snapshot.time.timestamp(),
            hostname: snapshot.hostname,
            tree,
        });
    }
    let path = |(path, bytes)| PurgedPath { path, bytes };
    plan.paths = purger.paths.into_iter().map(path).collect();
    (plan.trees, plan.blobs) = (purger.trees, purger.blobs);
    Ok(plan)
}

/// Remove what the plan says, and look whether it is gone. Needs the exclusive lock.
///
/// # Errors
/// [`Error::AppendOnly`] before anything is changed; those of the store. Until the old snapshots are removed, which comes after the new
/// ones are stored, nothing is lost.
pub fn execute(
    repository: &Repository,
    options: &PurgeOptions,
    plan: &PurgePlan,
    lock: &Lock,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<PurgeReport> {
    demand_exclusive(lock)?;
    repository.demand_deletion(&[ObjectKind::Snapshot, ObjectKind::Index, ObjectKind::Pack])?;
    let replacer = Replacer::new(repository)?;
    monitor.phase("storing directories");
    store_trees(repository, &plan.trees, lock, cancel, monitor)?;
    let mut replaced = Vec::new();
    for one in &plan.snapshots {
        lock.check()?;
        let new = one
            .tree
            .map(|tree| replace(repository, &replacer, &one.id, tree, &options.content))
            .transpose()?;
        replaced.push((one.id, new));
    }
    let old: Vec<Id> = plan.snapshots.iter().map(|one| one.id).collect();
    let mut held = delete_unless_held(repository, ObjectKind::Snapshot, &old, lock, cancel)?.held;
    let everything = PruneOptions {
        max_unused: MaxUnused::Bytes(0),
        ..PruneOptions::default()
    };
    let prepared = prune::prepare(repository, lock, &everything, cancel, monitor)?;
    let pruned = prune::execute(repository, &prepared, &everything, lock, cancel, monitor)?;
    held.add(pruned.held);
    monitor.phase("looking whether it is gone");
    let index = repository.load_index()?;
    if let Some(cache) = repository.cache() {
        // Directories are kept on this host, too.
        let listed: HashSet<Id> = index.pack_list().iter().copied().collect();
        cache.retain(ObjectKind::Pack, |id| listed.contains(id));
    }
    let shared = plan.blobs.iter().filter(|(kind, id)| index.contains(*kind, id)).count();
    Ok(PurgeReport {
        replaced,
        blobs_gone: plan.blobs.len() - shared,
        blobs_shared: shared,
        held,
        unexplained_packs: unexplained(repository, &index)?,
        freed_bytes: pruned.deleted_bytes.saturating_sub(pruned.copied_bytes),
        keeps_versions: keeps_versions(&**repository.store()),
    })
}

/// Store the snapshot with another tree; returns its id.
fn replace(repository: &Repository, replacer: &Replacer<'_>, id: &Id, tree: Id, content: &Filter) -> Result<Id> {
    let mut snapshot: Snapshot = repository.read_json(ObjectKind::Snapshot, id)?;
    snapshot.tree = tree;
    snapshot.original = snapshot.original.or(Some(*id));
    snapshot.mainstay_purged = true;
    snapshot.paths.retain(|path| !content.includes(Path::new(path)));
    replacer.store(&snapshot)
}

/// Packs that are larger than what the index says is in them, or that it does not list.
fn unexplained(repository: &Repository, index: &Index) -> Result<Vec<Id>> {
    let trailer = pack::trailer_length(std::iter::empty()) as u64;
    let mut expected: HashMap<u32, u64> = HashMap::new();
    for at in 0..index.len() {
        let (pack, blob) = index.entry(at);
        *expected.entry(pack).or_insert(trailer) += u64::from(blob.length) + blob.header_length() as u64;
    }
    let list = index.pack_list();
    let expected: HashMap<Id, u64> = expected
        .into_iter()
        .map(|(at, size)| (list[at as usize], size))
        .collect();
    let stored = repository.list(ObjectKind::Pack)?.into_iter();
    Ok(stored
        .filter(|(id, size)| expected.get(id) != Some(size))
        .map(|(id, _)| id)
        .collect())
}

/// What is left of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Everything,
    Some(Id),
    /// It has nothing in it any more but directories of which nothing is left.
    Nothing,
}

struct Purger<'a> {
    repository: &'a Repository,
    index: &'a Index,
    content: &'a Filter,
    /// By tree and hash of the path: the same directory may match in one place and not in another.
    known: HashMap<(Id, Id), Left>,
    trees: HashMap<Id, Vec<u8>>,
    blobs: HashSet<(BlobKind, Id)>,
    paths: BTreeMap<String, u64>,
}

fn joined(path: &[u8], node: &Node) -> PathBuf {
    Path::new(OsStr::from_bytes(path)).join(&node.name)
}

impl Purger<'_> {
    fn take(&mut self, path: &Path, node: &Node) {
        self.blobs.extend(node.blobs().iter().map(|id| (BlobKind::Data, *id)));
        let bytes = self.paths.entry(path.to_string_lossy().into_owned()).or_default();
        *bytes = node.size.max(*bytes);
    }
}

impl Fold for Purger<'_> {
    type Value = Left;

    fn enter(&mut self, id: &Id, path: &[u8]) -> Result<Step<Left>> {
        let place = Path::new(OsStr::from_bytes(path));
        if !self.content.includes(place) && !self.content.may_include_below(place) {
            return Ok(Step::Known(Left::Everything));
        }
        if let Some(known) = self.known.get(&(*id, Id::hash(path))) {
            return Ok(Step::Known(*known));
        }
        self.repository.read_tree(self.index, id).map(Step::Into)
    }

    fn leave(&mut self, id: &Id, path: &[u8], tree: Tree, below: Vec<Option<Left>>) -> Result<Left> {
        let count = tree.nodes.len();
        let mut nodes = Vec::with_capacity(count);
        let (mut changed, mut holds_something) = (false, false);
        for (mut node, left) in tree.nodes.into_iter().zip(below) {
            let place = joined(path, &node);
            if self.content.includes(&place) {
                self.take(&place, &node);
                changed = true;
                continue;
            }
            match left {
                Some(Left::Some(subtree)) => node.subtree = Some(subtree),
                Some(Left::Nothing) => node.subtree = Some(self.store(&Tree::default())),
                Some(Left::Everything) | None => {}
            }
            changed |= matches!(left, Some(Left::Some(_) | Left::Nothing));
            holds_something |= left != Some(Left::Nothing);
            nodes.push(node);
        }
        let left = if !changed {
            Left::Everything
        } else if !holds_something {
            Left::Nothing
        } else {
            Left::Some(self.store(&Tree { nodes }))
        };
        if changed {
            // The names are in it.
            self.blobs.insert((BlobKind::Tree, *id));
        }
        self.known.insert((*id, Id::hash(path)), left);
        Ok(left)
    }
}

impl Purger<'_> {
    fn store(&mut self, tree: &Tree) -> Id {
        let json = tree.to_json();
        let id = Id::hash(&json);
        self.trees.insert(id, json);
        id
    }
}

/// That something was found.
///
/// # Errors
/// [`Error::NotFound`] if nothing matches.
pub fn check_found(plan: &PurgePlan, patterns: &[String]) -> Result<()> {
    if plan.snapshots.is_empty() {
        return Err(Error::NotFound {
            what: "path",
            name: patterns.join("`, `"),
        });
    }
    Ok(())
}

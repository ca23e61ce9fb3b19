//! What differs between two trees.

use super::index::Index;
use super::ls::{self, Descend, Visitor};
use super::node::{Node, NodeKind};
use super::pack::BlobKind;
use super::repository::Repository;
use crate::{Cancel, Error, Id, Monitor, Result};
use hashbrown::HashSet;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// How an entry differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only in the second tree.
    Added,
    /// Only in the first tree.
    Removed,
    /// Of another kind. Unlike with restic, what is in a directory on either side is reported too.
    Kind,
    /// A file with other content.
    Content,
    /// Owner, permissions, times, attributes or the target of a link; only looked at if asked for.
    Metadata,
    /// A file with other content, size or time of which did not change: its content may have been damaged unnoticed.
    Suspicious,
}

impl Change {
    /// The sign that restic shows for it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Removed => "-",
            Self::Kind => "T",
            Self::Content => "M",
            Self::Metadata => "U",
            Self::Suspicious => "M?",
        }
    }
}

/// Counts of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideTotals {
    /// Files.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Links, pipes, devices.
    pub others: u64,
    /// Blobs of content that only this tree uses.
    pub data_blobs: u64,
    /// Trees that only this tree uses.
    pub tree_blobs: u64,
    /// Plain size of those blobs and trees, bytes.
    pub bytes: u64,
}

/// All differences, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffReport {
    /// Files whose content differs.
    pub changed_files: u64,
    /// What only the second tree has.
    pub added: SideTotals,
    /// What only the first tree has.
    pub removed: SideTotals,
}

/// Compare the directories `before` and `after` and call `each` with the absolute path and both entries of everything that differs.
///
/// What is in a directory that only one side has is reported entry by entry. Directories that cannot be read are problems.
#[expect(
    clippy::too_many_arguments,
    reason = "the repository with its index, two trees, and what every operation takes"
)]
pub fn diff(
    repository: &Repository,
    index: &Index,
    before: &Id,
    after: &Id,
    options: &DiffOptions,
    each: &mut dyn FnMut(&Path, Change) -> Result<()>,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<DiffReport> {
    let mut differ = Differ {
        repository,
        index,
        options,
        each,
        cancel,
        monitor,
        path: PathBuf::from("/"),
        report: DiffReport::default(),
        sides: [Objects::default(), Objects::default()],
        common: Vec::new(),
    };
    differ.trees(Some(*before), Some(*after))?;
    differ.finish()
}

/// What counts as a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffOptions {
    /// Also metadata.
    pub metadata: bool,
}

type Objects = HashSet<(BlobKind, Id)>;

const BEFORE: usize = 0;
const AFTER: usize = 1;

struct Differ<'a> {
    repository: &'a Repository,
    index: &'a Index,
    options: &'a DiffOptions,
    each: &'a mut dyn FnMut(&Path, Change) -> Result<()>,
    cancel: &'a Cancel,
    monitor: &'a dyn Monitor,
    path: PathBuf,
    report: DiffReport,
    /// What each side uses where they differ.
    sides: [Objects; 2],
    /// Directories that are the same on both sides.
    common: Vec<Id>,
}

/// Two directories with the same path whose entries are being compared.
struct Pair {
    before: std::iter::Peekable<std::vec::IntoIter<Node>>,
    after: std::iter::Peekable<std::vec::IntoIter<Node>>,
}

impl Pair {
    /// The next name, with its entry on either side.
    fn next(&mut self) -> Option<(Option<Node>, Option<Node>)> {
        let order = match (self.before.peek(), self.after.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(before), Some(after)) => super::node::name_order(&before.name, &after.name),
        };
        let before = if order.is_le() { self.before.next() } else { None };
        let after = if order.is_ge() { self.after.next() } else { None };
        Some((before, after))
    }
}

impl Differ<'_> {
    /// A loop instead of recursion: how deep a tree is, is decided by whoever wrote it.
    fn trees(&mut self, before: Option<Id>, after: Option<Id>) -> Result<()> {
        let mut pairs: Vec<Pair> = self.open(before, after)?.into_iter().collect();
        while let Some(pair) = pairs.last_mut() {
            self.cancel.check()?;
            let Some((before, after)) = pair.next() else {
                pairs.pop();
                self.path.pop();
                continue;
            };
            let name = before
                .as_ref()
                .or(after.as_ref())
                .map(|node| node.name.clone())
                .unwrap_or_default();
            self.path.push(name);
            self.entry(before.as_ref(), after.as_ref())?;
            let subtree =
                |node: &Option<Node>| node.as_ref().filter(|node| node.is_dir()).and_then(|node| node.subtree);
            match self.open(subtree(&before), subtree(&after))? {
                Some(pair) => pairs.push(pair),
                None => drop(self.path.pop()),
            }
        }
        Ok(())
    }

    /// Begin to compare two directories; nothing if there is none, or both are the same.
    fn open(&mut self, before: Option<Id>, after: Option<Id>) -> Result<Option<Pair>> {
        if before == after {
            self.common.extend(before);
            return Ok(None);
        }
        let before = self.read(BEFORE, before)?.into_iter().peekable();
        let after = self.read(AFTER, after)?.into_iter().peekable();
        Ok(Some(Pair { before, after }))
    }

    fn read(&mut self, side: usize, tree: Option<Id>) -> Result<Vec<Node>> {
        let Some(id) = tree else { return Ok(Vec::new()) };
        self.sides[side].insert((BlobKind::Tree, id));
        match self.repository.read_tree(self.index, &id) {
            Ok(tree) => Ok(tree.nodes),
            Err(error) => ls::report_unreadable(self.monitor, &self.path, error).map(|()| Vec::new()),
        }
    }

    fn entry(&mut self, before: Option<&Node>, after: Option<&Node>) -> Result<()> {
        for (side, node) in [(BEFORE, before), (AFTER, after)] {
            let blobs = node.map(Node::blobs).unwrap_or_default();
            self.sides[side].extend(blobs.iter().map(|id| (BlobKind::Data, *id)));
        }
        let change = match (before, after) {
            (None, None) => None,
            (Some(node), None) => {
                count(&mut self.report.removed, node);
                Some(Change::Removed)
            }
            (None, Some(node)) => {
                count(&mut self.report.added, node);
                Some(Change::Added)
            }
            (Some(before), Some(after)) => self.change(before, after),
        };
        change.map_or(Ok(()), |change| (self.each)(&self.path, change))
    }

    fn change(&mut self, before: &Node, after: &Node) -> Option<Change> {
        if before.kind != after.kind {
            return Some(Change::Kind);
        }
        if before.kind == NodeKind::File && before.blobs() != after.blobs() {
            self.report.changed_files += 1;
            let looks_the_same = (before.size, before.mtime, before.ctime, before.inode)
                == (after.size, after.mtime, after.ctime, after.inode);
            return Some(if looks_the_same {
                Change::Suspicious
            } else {
                Change::Content
            });
        }
        (self.options.metadata && !has_same_metadata(before, after)).then_some(Change::Metadata)
    }

    /// Count what only one side uses.
    fn finish(mut self) -> Result<DiffReport> {
        let [before, after] = std::mem::take(&mut self.sides);
        let mut removed: Objects = before.difference(&after).copied().collect();
        let mut added: Objects = after.difference(&before).copied().collect();
        drop((before, after));
        // What moved, or was copied, is also used by directories that are the same on both sides.
        let mut common = Common {
            sides: [&mut removed, &mut added],
            seen: HashSet::new(),
            monitor: self.monitor,
        };
        for tree in std::mem::take(&mut self.common) {
            if common.sides.iter().any(|side| !side.is_empty()) && common.visit(&tree) {
                ls::walk(self.repository, self.index, &tree, &mut common, self.cancel)?;
            }
        }
        total(self.index, &removed, &mut self.report.removed);
        total(self.index, &added, &mut self.report.added);
        Ok(self.report)
    }
}

fn count(side: &mut SideTotals, node: &Node) {
    match node.kind {
        NodeKind::File => side.files += 1,
        NodeKind::Dir => side.dirs += 1,
        _ => side.others += 1,
    }
}

fn total(index: &Index, objects: &Objects, side: &mut SideTotals) {
    for (kind, id) in objects {
        match kind {
            BlobKind::Data => side.data_blobs += 1,
            BlobKind::Tree => side.tree_blobs += 1,
        }
        side.bytes += index
            .find(*kind, id)
            .map_or(0, |found| u64::from(found.blob.plain_length()));
    }
}

fn has_same_metadata(a: &Node, b: &Node) -> bool {
    let plain = |node: &Node| {
        (
            node.mode,
            node.mtime,
            node.uid,
            node.gid,
            node.links,
            node.device,
            node.size,
            node.inode,
            node.device_id,
        )
    };
    // As with restic, a directory differs if anything in it does.
    let of_dirs = |node: &Node| (node.mode, node.mtime, node.uid, node.gid, node.subtree);
    let is_same = if a.is_dir() {
        of_dirs(a) == of_dirs(b)
    } else {
        plain(a) == plain(b)
    };
    is_same
        && a.ctime == b.ctime
        && a.link_target == b.link_target
        && a.extended_attributes == b.extended_attributes
        && (&a.user, &a.group) == (&b.user, &b.group)
}

/// Takes away from both sides what directories use that are the same on both.
struct Common<'a> {
    sides: [&'a mut Objects; 2],
    seen: HashSet<Id>,
    monitor: &'a dyn Monitor,
}

impl Common<'_> {
    fn remove(&mut self, kind: BlobKind, id: &Id) {
        for side in &mut self.sides {
            side.remove(&(kind, *id));
        }
    }

    /// Whether a directory has not been looked at before.
    fn visit(&mut self, tree: &Id) -> bool {
        self.remove(BlobKind::Tree, tree);
        self.seen.insert(*tree)
    }
}

impl Visitor for Common<'_> {
    fn entry(&mut self, _: &Path, node: Node) -> Result<Descend> {
        node.blobs().iter().for_each(|id| self.remove(BlobKind::Data, id));
        let is_new = node.subtree.is_some_and(|tree| self.visit(&tree));
        Ok(if is_new { Descend::Yes } else { Descend::No })
    }

    fn unreadable(&mut self, path: &Path, error: Error) -> Result<()> {
        ls::report_unreadable(self.monitor, path, error)
    }
}

#[cfg(test)]
mod tests;

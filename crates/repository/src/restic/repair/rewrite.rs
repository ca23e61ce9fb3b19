//! Directories without what is lost.

use crate::restic::index::Index;
use crate::restic::node::{Node, NodeKind};
use crate::restic::pack::BlobKind;
use crate::restic::repository::Repository;
use crate::restic::tree::Tree;
use crate::restic::walk::{Fold, Marks, Step, fold};
use crate::{Cancel, Id, Result};
use hashbrown::HashMap;

/// What becomes of files that lack a part of their content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DamagedFiles {
    /// They are left out: what is not there cannot be taken for good.
    #[default]
    LeaveOut,
    /// What is left of them is joined, as restic does.
    Truncate,
}

/// What became of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is lost in it.
    Same,
    /// It is replaced by this one.
    Changed(Id),
    /// It cannot be read at all.
    Lost,
}

impl Outcome {
    /// Whether nothing is lost.
    pub fn is_same(self) -> bool {
        self == Self::Same
    }
}

/// A path at which something is lost.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// In the snapshot; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// The directory cannot be read, not only a file's content.
    pub is_directory: bool,
}

/// Rewrites trees; remembers every one that it has seen.
pub struct Rewriter<'a> {
    repository: &'a Repository,
    index: &'a Index,
    bad: &'a Marks,
    damaged_files: DamagedFiles,
    /// Trees in which nothing is lost.
    sound: Marks,
    changed: HashMap<Id, Outcome>,
    changes: Vec<Change>,
    /// New trees by id.
    pub trees: HashMap<Id, Vec<u8>>,
}

impl<'a> Rewriter<'a> {
    /// `bad` are entries of the index that cannot be read.
    pub fn new(repository: &'a Repository, index: &'a Index, bad: &'a Marks) -> Self {
        Self {
            repository,
            index,
            bad,
            damaged_files: DamagedFiles::default(),
            sound: Marks::of(index),
            changed: HashMap::new(),
            changes: Vec::new(),
            trees: HashMap::new(),
        }
    }

    /// What becomes of damaged files.
    pub fn with(mut self, damaged_files: DamagedFiles) -> Self {
        self.damaged_files = damaged_files;
        self
    }

    /// What becomes of a snapshot's tree.
    pub fn rewrite(&mut self, root: &Id, cancel: &Cancel) -> Result<Outcome> {
        fold(self, root, cancel)
    }

    /// The paths that were found since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn is_lost(&self, kind: BlobKind, id: &Id) -> bool {
        self.index.positions(kind, id).all(|at| self.bad.get(at))
    }

    fn note(&mut self, path: &[u8], name: Option<&Node>) {
        use std::os::unix::ffi::OsStrExt as _;
        let mut path = path.to_vec();
        if let Some(node) = name {
            if path != b"/" {
                path.push(b'/');
            }
            path.extend_from_slice(node.name.as_bytes());
        }
        self.changes.push(Change {
            path: String::from_utf8_lossy(&path).into_owned(),
            is_directory: name.is_none(),
        });
    }

    /// The entry without what is lost; `None` if it goes.
    fn rewrite_file(&self, mut node: Node) -> Option<Node> {
        if self.damaged_files == DamagedFiles::LeaveOut {
            return None;
        }
        let left: Vec<Id> = node
            .blobs()
            .iter()
            .filter(|id| !self.is_lost(BlobKind::Data, id))
            .copied()
            .collect();
        let length = |id: &Id| {
            self.index
                .find(BlobKind::Data, id)
                .map_or(0, |found| u64::from(found.blob.plain_length()))
        };
        node.size = left.iter().map(length).sum();
        node.content = Some(left);
        Some(node)
    }

    fn store(&mut self, tree: &Tree) -> Id {
        let json = tree.to_json();
        let id = Id::hash(&json);
        self.trees.insert(id, json);
        id
    }

    fn is_damaged(&self, node: &Node) -> bool {
        match node.kind {
            NodeKind::File => node
                .content
                .as_ref()
                .is_none_or(|content| content.iter().any(|id| self.is_lost(BlobKind::Data, id))),
            NodeKind::Dir => node.subtree.is_none(),
            _ => false,
        }
    }
}

impl Fold for Rewriter<'_> {
    type Value = Outcome;

    fn enter(&mut self, id: &Id, path: &[u8]) -> Result<Step<Outcome>> {
        if self
            .index
            .position(BlobKind::Tree, id)
            .is_some_and(|at| self.sound.get(at))
        {
            return Ok(Step::Known(Outcome::Same));
        }
        if let Some(outcome) = self.changed.get(id) {
            return Ok(Step::Known(*outcome));
        }
        match self.repository.read_tree(self.index, id) {
            Ok(tree) => Ok(Step::Into(tree)),
            Err(error) if error.is_damage() => {
                self.note(path, None);
                self.changed.insert(*id, Outcome::Lost);
                Ok(Step::Known(Outcome::Lost))
            }
            Err(error) => Err(error),
        }
    }

    fn leave(&mut self, id: &Id, path: &[u8], tree: Tree, below: Vec<Option<Outcome>>) -> Result<Outcome> {
        let mut nodes = Vec::with_capacity(tree.nodes.len());
        let mut changed = false;
        for (mut node, outcome) in tree.nodes.into_iter().zip(below) {
            let replaced = match outcome {
                Some(Outcome::Changed(subtree)) => Some(subtree),
                Some(Outcome::Lost) => Some(self.store(&Tree::default())),
                Some(Outcome::Same) => None,
                None if self.is_damaged(&node) => {
                    changed = true;
                    self.note(path, Some(&node));
                    nodes.extend((node.kind == NodeKind::File).then(|| self.rewrite_file(node)).flatten());
                    continue;
                }
                None => None,
            };
            changed |= replaced.is_some();
            node.subtree = replaced.or(node.subtree);
            nodes.push(node);
        }
        let outcome = if changed {
            Outcome::Changed(self.store(&Tree { nodes }))
        } else {
            Outcome::Same
        };
        match (outcome, self.index.position(BlobKind::Tree, id)) {
            (Outcome::Same, Some(at)) => drop(self.sound.set(at)),
            _ => drop(self.changed.insert(*id, outcome)),
        }
        Ok(outcome)
    }
}

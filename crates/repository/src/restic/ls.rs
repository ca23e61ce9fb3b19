//! Walking through what a snapshot holds: in order, with directories read ahead.

use super::index::Index;
use super::node::Node;
use super::pack::BlobKind;
use super::parallel;
use super::repository::Repository;
use super::tree::Tree;
use crate::{Cancel, Error, Id, Monitor, Result};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// What to do with a directory that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descend {
    /// Visit what is in it.
    Yes,
    /// Go on with the next entry.
    No,
}

/// Is told of every entry, in the order of names, a directory before what is in it. Paths are absolute: the walk's root is `/`.
pub trait Visitor {
    /// One entry. The answer counts for directories only.
    fn entry(&mut self, path: &Path, node: Node) -> Result<Descend>;

    /// Everything in this directory was visited; called for those with [`Descend::Yes`].
    fn leave(&mut self, path: &Path) -> Result<()> {
        let _ = path;
        Ok(())
    }

    /// What is in this directory cannot be read; [`Visitor::leave`] follows, and the walk goes on unless this is an error.
    fn unreadable(&mut self, path: &Path, error: Error) -> Result<()>;
}

/// Directories that are read ahead at the same level.
const AHEAD_TREES: usize = 64;
/// Text of directories that are read ahead at the same level, bytes; it bounds the memory that a wide tree takes.
const AHEAD_BYTES: u64 = 1 << 20;

/// Walk through the directory `root`.
///
/// # Errors
/// Those of the visitor, and [`Error::Interrupted`]. Damage is the visitor's business.
pub fn walk(
    repository: &Repository,
    index: &Index,
    root: &Id,
    visitor: &mut dyn Visitor,
    cancel: &Cancel,
) -> Result<()> {
    let mut path = PathBuf::from("/");
    let mut levels = match repository.read_tree(index, root) {
        Ok(tree) => vec![Level::new(tree)],
        Err(error) => {
            visitor.unreadable(&path, error)?;
            return visitor.leave(&path);
        }
    };
    // A loop instead of recursion: how deep a tree is, is decided by whoever wrote it.
    while let Some(level) = levels.last_mut() {
        cancel.check()?;
        let Some(node) = level.nodes.next() else {
            levels.pop();
            visitor.leave(&path)?;
            path.pop();
            continue;
        };
        let subtree = node.is_dir().then_some(node.subtree);
        path.push(&node.name);
        match (visitor.entry(&path, node)?, subtree) {
            (Descend::Yes, Some(subtree)) => match level.load(repository, index, subtree) {
                Ok(tree) => levels.push(Level::new(tree)),
                Err(error) => {
                    visitor.unreadable(&path, error)?;
                    visitor.leave(&path)?;
                    path.pop();
                }
            },
            _ => drop(path.pop()),
        }
    }
    Ok(())
}

/// A directory that is being visited.
struct Level {
    nodes: std::vec::IntoIter<Node>,
    ahead: VecDeque<(Id, Result<Tree>)>,
}

impl Level {
    fn new(tree: Tree) -> Self {
        Self {
            nodes: tree.nodes.into_iter(),
            ahead: VecDeque::new(),
        }
    }

    fn load(&mut self, repository: &Repository, index: &Index, subtree: Option<Id>) -> Result<Tree> {
        let id = subtree.ok_or_else(|| Error::Damaged {
            object: "tree",
            name: "?".to_owned(),
            reason: "a directory has no tree".to_owned(),
        })?;
        // Whatever is before it was skipped by the visitor.
        while let Some((ahead, tree)) = self.ahead.pop_front() {
            if ahead == id {
                return tree;
            }
        }
        self.read_ahead(repository, index, id);
        self.ahead
            .pop_front()
            .map_or_else(|| repository.read_tree(index, &id), |(_, tree)| tree)
    }

    fn read_ahead(&mut self, repository: &Repository, index: &Index, first: Id) {
        let mut bytes = 0;
        let following = self
            .nodes
            .as_slice()
            .iter()
            .filter(|node| node.is_dir())
            .filter_map(|node| node.subtree);
        let mut batch = vec![first];
        for id in following.take(AHEAD_TREES - 1) {
            bytes += index
                .find(BlobKind::Tree, &id)
                .map_or(0, |found| u64::from(found.blob.plain_length()));
            if bytes > AHEAD_BYTES {
                break;
            }
            batch.push(id);
        }
        let threads = if repository.is_remote() {
            repository.store().concurrency()
        } else {
            parallel::cores()
        };
        let trees = parallel::map(&batch, threads, |id| repository.read_tree(index, id));
        self.ahead = batch.into_iter().zip(trees).collect();
    }
}

/// Call `each` for the entries of the directory `root`, of directories in it only where `each` asks for it.
///
/// Directories that cannot be read are problems of `monitor`. Paths are absolute: the listing's root is `/`.
pub fn list(
    repository: &Repository,
    index: &Index,
    root: &Id,
    each: &mut dyn FnMut(&Path, &Node) -> Result<Descend>,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<()> {
    walk(repository, index, root, &mut Lister { each, monitor }, cancel)
}

struct Lister<'a> {
    each: &'a mut dyn FnMut(&Path, &Node) -> Result<Descend>,
    monitor: &'a dyn Monitor,
}

impl Visitor for Lister<'_> {
    fn entry(&mut self, path: &Path, node: Node) -> Result<Descend> {
        (self.each)(path, &node)
    }

    fn unreadable(&mut self, path: &Path, error: Error) -> Result<()> {
        report_unreadable(self.monitor, path, error)
    }
}

/// Report a directory that is damaged; anything else, such as a store that cannot be reached, ends the work.
pub(super) fn report_unreadable(monitor: &dyn Monitor, path: &Path, error: Error) -> Result<()> {
    if !error.is_damage() {
        return Err(error);
    }
    monitor.problem(
        &path.display().to_string(),
        &format!("its directory cannot be read: {error}"),
    );
    Ok(())
}

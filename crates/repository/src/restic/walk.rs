//! Visits every directory that snapshots refer to, each once, on several threads.
//!
//! What has been visited is remembered as one bit per entry of the index, and what is still to do as one number per directory, so
//! that memory hardly grows with the repository.

use super::index::Index;
use super::pack::BlobKind;
use super::parallel;
use super::repository::Repository;
use super::tree::Tree;
use crate::{Cancel, Error, Id, Result};
use hashbrown::HashSet;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};

/// One bit per entry of an index; threads set bits at the same time.
pub struct Marks(Box<[AtomicU64]>);

impl std::fmt::Debug for Marks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Marks({} set)", self.count())
    }
}

impl Marks {
    /// `length` bits, none set.
    pub fn new(length: usize) -> Self {
        Self((0..length.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    /// One bit for each entry of `index`.
    pub fn of(index: &Index) -> Self {
        Self::new(index.len())
    }

    /// Set a bit; whether it was not set before.
    pub fn set(&self, at: usize) -> bool {
        let bit = 1 << (at % 64);
        self.0[at / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// Whether a bit is set.
    pub fn get(&self, at: usize) -> bool {
        self.0[at / 64].load(Ordering::Relaxed) & (1 << (at % 64)) != 0
    }

    /// Number of bits that are set.
    pub fn count(&self) -> usize {
        self.0
            .iter()
            .map(|word| word.load(Ordering::Relaxed).count_ones() as usize)
            .sum()
    }
}

/// Visit `roots` and everything below them. Each tree is read once and given to `visit`, together with its id; one that cannot be
/// read is given as the error. `marks` remembers what was visited, so that a second walk with the same marks passes over it.
///
/// The first error that `visit` returns ends the walk.
pub fn walk(
    repository: &Repository,
    index: &Index,
    roots: &[Id],
    marks: &Marks,
    cancel: &Cancel,
    visit: &(dyn Fn(&Id, Result<&Tree>) -> Result<()> + Sync),
) -> Result<()> {
    let walk = Walk {
        repository,
        index,
        marks,
        cancel,
        visit,
        state: Mutex::default(),
        changed: Condvar::new(),
    };
    walk.push(roots);
    let threads = if repository.is_remote() {
        repository.store().concurrency()
    } else {
        parallel::cores()
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| walk.work());
        }
    });
    walk.state.into_inner().failure.map_or(Ok(()), Err)
}

struct Walk<'a> {
    repository: &'a Repository,
    index: &'a Index,
    marks: &'a Marks,
    cancel: &'a Cancel,
    visit: &'a (dyn Fn(&Id, Result<&Tree>) -> Result<()> + Sync),
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Entries of the index; depth first, so that the list stays short.
    waiting: Vec<u32>,
    /// Trees that the index does not list; each is reported once.
    missing: HashSet<Id>,
    unreported: Vec<Id>,
    at_work: usize,
    failure: Option<Error>,
}

enum Task {
    Read(Id),
    Report(Id),
}

impl Walk<'_> {
    fn push(&self, trees: &[Id]) {
        let mut state = self.state.lock();
        for id in trees.iter().rev() {
            match self.index.position(BlobKind::Tree, id) {
                Some(position) if self.marks.set(position) => state.waiting.push(position as u32),
                Some(_) => {}
                None => {
                    if state.missing.insert(*id) {
                        state.unreported.push(*id);
                    }
                }
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    fn work(&self) {
        while let Some(task) = self.next() {
            let done = self.run(task);
            let mut state = self.state.lock();
            state.at_work -= 1;
            if let Err(error) = done {
                state.failure.get_or_insert(error);
            }
            self.changed.notify_all();
        }
    }

    /// Blocks until there is something to do; `None` when all is done, or something failed.
    fn next(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return None;
            }
            let task = match state.unreported.pop() {
                Some(id) => Some(Task::Report(id)),
                None => state
                    .waiting
                    .pop()
                    .map(|position| Task::Read(self.index.entry(position as usize).1.id)),
            };
            if task.is_some() {
                state.at_work += 1;
                return task;
            }
            if state.at_work == 0 {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    fn run(&self, task: Task) -> Result<()> {
        self.cancel.check()?;
        match task {
            Task::Report(id) => (self.visit)(&id, Err(missing(&id))),
            Task::Read(id) => match self.repository.read_tree(self.index, &id) {
                Ok(tree) => {
                    (self.visit)(&id, Ok(&tree))?;
                    let below: Vec<Id> = tree
                        .nodes
                        .iter()
                        .filter(|node| node.is_dir())
                        .filter_map(|node| node.subtree)
                        .collect();
                    self.push(&below);
                    Ok(())
                }
                Err(error) => (self.visit)(&id, Err(error)),
            },
        }
    }
}

/// A tree that the index does not list.
pub(super) fn missing(id: &Id) -> Error {
    Error::damaged("tree", id, "it is missing: the index does not list it")
}

/// Computes a value for every directory from those of its subdirectories.
pub trait Fold {
    /// Computed for each directory.
    type Value;

    /// Before a directory: its value, if it is known or cannot be computed, or its content to go on with.
    fn enter(&mut self, id: &Id, path: &[u8]) -> Result<Step<Self::Value>>;

    /// After everything below. `below` holds a value for each entry that is a directory.
    fn leave(&mut self, id: &Id, path: &[u8], tree: Tree, below: Vec<Option<Self::Value>>) -> Result<Self::Value>;
}

/// How to go on with a directory.
#[derive(Debug)]
pub enum Step<V> {
    /// Not into it.
    Known(V),
    /// Into it.
    Into(Tree),
}

struct Frame<V> {
    id: Id,
    tree: Tree,
    below: Vec<Option<V>>,
    /// Length of the path up to this directory.
    path: usize,
}

/// Fold the tree `root`, without recursion: paths may be thousands of directories deep. A directory entry without a tree counts as
/// one that has no value.
pub fn fold<F: Fold>(folder: &mut F, root: &Id, cancel: &Cancel) -> Result<F::Value> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut path = Vec::new();
    let mut frames = match folder.enter(root, b"/")? {
        Step::Known(value) => return Ok(value),
        Step::Into(tree) => vec![Frame {
            id: *root,
            tree,
            below: Vec::new(),
            path: 0,
        }],
    };
    loop {
        cancel.check()?;
        let Some(frame) = frames.last_mut() else {
            return Err(missing(root));
        };
        path.truncate(frame.path);
        let Some(node) = frame.tree.nodes.get(frame.below.len()) else {
            let Some(Frame { id, tree, below, .. }) = frames.pop() else {
                return Err(missing(root));
            };
            let value = folder.leave(&id, if path.is_empty() { b"/" } else { &path }, tree, below)?;
            match frames.last_mut() {
                Some(parent) => parent.below.push(Some(value)),
                None => return Ok(value),
            }
            continue;
        };
        let Some(subtree) = node.subtree.filter(|_| node.is_dir()) else {
            frame.below.push(None);
            continue;
        };
        path.push(b'/');
        path.extend_from_slice(node.name.as_bytes());
        match folder.enter(&subtree, &path)? {
            Step::Known(value) => frame.below.push(Some(value)),
            Step::Into(tree) => frames.push(Frame {
                id: subtree,
                tree,
                below: Vec::new(),
                path: path.len(),
            }),
        }
    }
}

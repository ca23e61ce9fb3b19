//! A directory that is being captured. It becomes a tree as soon as its last entry is finished, and is then an entry of its
//! parent.

use super::blobs::Saver;
use super::job::Job;
use super::options::PartTotals;
use super::scan_cache::{Digest, NO_DIGEST, Seen};
use crate::restic::node::Node;
use crate::restic::pack::BlobKind;
use crate::restic::tree::TreeBuilder;
use crate::{Counters, Id, Result};
use parking_lot::Mutex;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A directory that is being captured.
pub struct Directory {
    /// Where it is, on this host and in the snapshot.
    pub path: PathBuf,
    /// Where it will be an entry, and which; `None` for the root.
    parent: Option<(Arc<Directory>, usize)>,
    /// Itself as an entry; `None` if its parent does not need it because everything but trees is the same there.
    node: Option<Node>,
    /// Its tree in the parent snapshot.
    before: Option<Id>,
    entries: Entries,
    /// Entries that are not finished, and one more while it is being scanned.
    open: AtomicUsize,
    digest: Digest,
    tainted: AtomicBool,
    /// On the way to the sources: what is finished in it is a part of its own.
    is_named: bool,
    /// What is finished, with everything below.
    counted: Mutex<(u64, u64)>,
}

/// What a directory's tree is made of.
enum Entries {
    /// Status of all entries is the same as when this tree was stored; only directories in it may differ.
    Same {
        tree: Id,
        changed: Mutex<Vec<(OsString, Id)>>,
    },
    /// Finished entries as JSON, by their place in the order of names.
    New(Mutex<Vec<Option<Box<[u8]>>>>),
}

/// What is known of a directory before its entries are.
pub struct Beginning {
    pub path: PathBuf,
    pub parent: Option<(Arc<Directory>, usize)>,
    pub node: Option<Node>,
    pub before: Option<Id>,
    pub digest: Digest,
    pub is_named: bool,
}

impl Directory {
    /// A directory whose entries have the same status as when `tree` was stored.
    pub fn same(beginning: Beginning, tree: Id) -> Arc<Self> {
        Self::begin(
            beginning,
            Entries::Same {
                tree,
                changed: Mutex::default(),
            },
        )
    }

    /// A directory whose entries are collected.
    pub fn new(beginning: Beginning, entries: usize) -> Arc<Self> {
        Self::begin(beginning, Entries::New(Mutex::new(vec![None; entries])))
    }

    fn begin(beginning: Beginning, entries: Entries) -> Arc<Self> {
        let Beginning {
            path,
            parent,
            node,
            before,
            digest,
            is_named,
        } = beginning;
        let (open, tainted) = (AtomicUsize::new(1), AtomicBool::new(false));
        Arc::new(Self {
            path,
            parent,
            node,
            before,
            entries,
            open,
            digest,
            tainted,
            is_named,
            counted: Mutex::default(),
        })
    }

    /// Whether only its directories are looked at.
    pub fn is_same(&self) -> bool {
        matches!(self.entries, Entries::Same { .. })
    }

    /// Its tree in the parent snapshot.
    pub fn before(&self) -> Option<Id> {
        self.before
    }

    /// Something here was not captured as it was listed: look at everything again next time.
    pub fn taint(&self) {
        self.tainted.store(true, Ordering::Relaxed);
    }

    /// Announce `count` entries that will be [released](Self::release).
    pub fn expect(&self, count: usize) {
        self.open.fetch_add(count, Ordering::Relaxed);
    }

    /// An entry is known.
    pub fn set(&self, slot: usize, node: &Node) {
        if let Entries::New(slots) = &self.entries {
            let mut json = Vec::with_capacity(448);
            node.push_json(&mut json);
            slots.lock()[slot] = Some(json.into_boxed_slice());
        }
    }

    /// An entry of `bytes` bytes was captured.
    pub fn count(&self, job: &Job<'_>, name: &OsStr, bytes: u64) {
        if self.is_named {
            push_part(job, &self.path.join(name), (1, bytes));
        } else {
            let mut counted = self.counted.lock();
            *counted = (counted.0 + 1, counted.1 + bytes);
        }
    }

    /// What was captured at `path` or below.
    fn count_all(&self, job: &Job<'_>, path: &Path, counted: (u64, u64)) {
        if self.is_named {
            push_part(job, path, counted);
        } else {
            let mut all = self.counted.lock();
            *all = (all.0 + counted.0, all.1 + counted.1);
        }
    }

    /// `count` entries are finished, whether they were set or left out. Whoever finishes the last one makes the tree, and the trees
    /// above that are finished with it.
    pub fn release(self: &Arc<Self>, count: usize, job: &Job<'_>, saver: &mut Saver<'_>) -> Result<()> {
        let mut directory = Arc::clone(self);
        let mut count = count;
        while directory.open.fetch_sub(count, Ordering::AcqRel) == count {
            let tree = directory.save(job, saver)?;
            let counted = *directory.counted.lock();
            let Some((parent, slot)) = &directory.parent else {
                if !directory.is_named {
                    push_part(job, &directory.path, counted);
                }
                // There is one root, and it is finished once.
                let _: Result<(), Id> = job.root.set(tree);
                return Ok(());
            };
            parent.set_directory(*slot, &directory, tree);
            if !directory.is_named {
                parent.count_all(job, &directory.path, counted);
            }
            let parent = Arc::clone(parent);
            directory = parent;
            count = 1;
        }
        Ok(())
    }

    /// A directory in this one is finished.
    fn set_directory(&self, slot: usize, child: &Self, tree: Id) {
        match (&self.entries, &child.node) {
            (Entries::Same { changed, .. }, _) => {
                if child.before != Some(tree) {
                    changed
                        .lock()
                        .push((child.path.file_name().unwrap_or_default().to_owned(), tree));
                }
            }
            (Entries::New(_), Some(node)) => self.set(
                slot,
                &Node {
                    subtree: Some(tree),
                    ..node.clone()
                },
            ),
            (Entries::New(_), None) => {}
        }
    }

    fn save(&self, job: &Job<'_>, saver: &mut Saver<'_>) -> Result<Id> {
        let tree = match &self.entries {
            Entries::Same { tree, changed } => replace_subtrees(*tree, &changed.lock(), job, saver)?,
            Entries::New(slots) => {
                let mut builder = TreeBuilder::default();
                std::mem::take(&mut *slots.lock())
                    .iter()
                    .flatten()
                    .for_each(|node| builder.push_raw(node));
                saver.save(BlobKind::Tree, &builder.finish())?
            }
        };
        let digest = if self.tainted.load(Ordering::Relaxed) {
            NO_DIGEST
        } else {
            self.digest
        };
        job.seen.lock().push(Seen::new(&self.path, digest, tree));
        let counts = &job.counts;
        Counters::add(
            match self.before {
                None => &counts.dirs_new,
                Some(before) if before == tree => &counts.dirs_unmodified,
                Some(_) => &counts.dirs_changed,
            },
            1,
        );
        Ok(tree)
    }
}

fn push_part(job: &Job<'_>, path: &Path, (entries, bytes): (u64, u64)) {
    let path = path.to_owned();
    job.parts.lock().push(PartTotals { path, entries, bytes });
}

/// The tree `tree` with other trees for some of its directories.
fn replace_subtrees(tree: Id, changed: &[(OsString, Id)], job: &Job<'_>, saver: &mut Saver<'_>) -> Result<Id> {
    if changed.is_empty() {
        return Ok(tree);
    }
    let mut stored = job.read_tree(&tree)?;
    for node in stored.nodes.iter_mut().filter(|node| node.is_dir()) {
        if let Some((_, subtree)) = changed.iter().find(|(name, _)| *name == node.name) {
            node.subtree = Some(*subtree);
        }
    }
    saver.save(BlobKind::Tree, &stored.to_json())
}

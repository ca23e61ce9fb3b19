//! How large snapshots are, counted in the ways that restic counts.

use super::index::Index;
use super::node::{Node, NodeKind};
use super::pack::BlobKind;
use super::repository::Repository;
use super::snapshot::Snapshot;
use super::tree::Tree;
use super::walk::{Fold, Marks, Step, fold, walk};
use crate::{Cancel, Counters, Error, Id, Monitor, Result};
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::atomic::AtomicU64;

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What a restore of every snapshot would write, hard links once.
    #[default]
    RestoreSize,
    /// Every file content once.
    FilesByContents,
    /// What the blobs take in the repository.
    RawData,
    /// The blobs of every file, by path and content.
    BlobsPerFile,
}

/// The counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Snapshots counted.
    pub snapshots_count: usize,
    /// Bytes; what they are of depends on the mode.
    pub total_size: u64,
    /// Plain bytes behind `total_size`, if that is compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_uncompressed_size: Option<u64>,
    /// Entries, files, or nothing, depending on the mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_file_count: Option<u64>,
    /// Blobs, in the modes that count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_blob_count: Option<u64>,
}

/// Count `snapshots`. The caller holds a shared lock.
pub fn stats(
    repository: &Repository,
    index: &Index,
    snapshots: &[(Id, Snapshot)],
    mode: Mode,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Stats> {
    monitor.phase("reading directories");
    let roots: Vec<Id> = snapshots.iter().map(|(_, snapshot)| snapshot.tree).collect();
    let counted = match mode {
        Mode::RestoreSize => restore_size(repository, index, &roots, cancel)?,
        Mode::FilesByContents => files_by_contents(repository, index, &roots, cancel, monitor)?,
        Mode::RawData => raw_data(repository, index, &roots, cancel, monitor)?,
        Mode::BlobsPerFile => blobs_per_file(repository, index, &roots, cancel)?,
    };
    Ok(Stats {
        snapshots_count: snapshots.len(),
        ..counted
    })
}

fn raw_data(
    repository: &Repository,
    index: &Index,
    roots: &[Id],
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Stats> {
    let used = Marks::of(index);
    walk(repository, index, roots, &used, cancel, &|_, tree| {
        let tree = tree?;
        Counters::add(&monitor.counters().files, tree.nodes.len() as u64);
        for blob in tree.nodes.iter().flat_map(Node::blobs) {
            used.set(index.position(BlobKind::Data, blob).ok_or_else(|| missing(blob))?);
        }
        Ok(())
    })?;
    let (mut stored, mut plain) = (0, 0);
    for at in (0..index.len()).filter(|at| used.get(*at)) {
        let blob = index.entry(at).1;
        stored += u64::from(blob.length);
        plain += u64::from(blob.plain_length());
    }
    let total_blob_count = Some(used.count() as u64);
    Ok(Stats {
        total_size: stored,
        total_uncompressed_size: Some(plain),
        total_blob_count,
        ..Stats::default()
    })
}

fn missing(blob: &Id) -> Error {
    Error::damaged("blob", blob, "it is missing: the index does not list it")
}

/// A name for a file's content: the hash of its blobs' ids.
fn content_id(node: &Node) -> Id {
    let bytes: Vec<u8> = node.blobs().iter().flat_map(|id| id.0).collect();
    Id::hash(&bytes)
}

fn files_by_contents(
    repository: &Repository,
    index: &Index,
    roots: &[Id],
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Stats> {
    let seen = Mutex::new(HashSet::new());
    let total = AtomicU64::new(0);
    walk(repository, index, roots, &Marks::of(index), cancel, &|_, tree| {
        let tree = tree?;
        Counters::add(&monitor.counters().files, tree.nodes.len() as u64);
        for node in tree.nodes.iter().filter(|node| node.kind == NodeKind::File) {
            if seen.lock().insert(content_id(node)) {
                Counters::add(&total, node.size);
            }
        }
        Ok(())
    })?;
    let files = seen.into_inner().len() as u64;
    Ok(Stats {
        total_size: total.into_inner(),
        total_file_count: Some(files),
        ..Stats::default()
    })
}

/// Entries and bytes of a directory with everything below, and the files in it that have several links.
#[derive(Clone, Default)]
struct Size {
    entries: u64,
    bytes: u64,
    links: Vec<((u64, u64), u64)>,
}

/// Directories that snapshots share are counted once and remembered, unless they hold hard links, which count once per snapshot.
struct Sizes<'a> {
    repository: &'a Repository,
    index: &'a Index,
    known: HashMap<Id, (u64, u64)>,
}

impl Fold for Sizes<'_> {
    type Value = Size;

    fn enter(&mut self, id: &Id, _: &[u8]) -> Result<Step<Size>> {
        if let Some((entries, bytes)) = self.known.get(id) {
            return Ok(Step::Known(Size {
                entries: *entries,
                bytes: *bytes,
                links: Vec::new(),
            }));
        }
        self.repository.read_tree(self.index, id).map(Step::Into)
    }

    fn leave(&mut self, id: &Id, _: &[u8], tree: Tree, below: Vec<Option<Size>>) -> Result<Size> {
        let mut size = Size {
            entries: tree.nodes.len() as u64,
            ..Size::default()
        };
        for node in &tree.nodes {
            if node.links > 1 && node.inode != 0 && node.kind == NodeKind::File {
                size.links.push(((node.device_id, node.inode), node.size));
            } else {
                size.bytes += node.size;
            }
        }
        for below in below.into_iter().flatten() {
            size.entries += below.entries;
            size.bytes += below.bytes;
            size.links.extend(below.links);
        }
        if size.links.is_empty() {
            self.known.insert(*id, (size.entries, size.bytes));
        }
        Ok(size)
    }
}

fn restore_size(repository: &Repository, index: &Index, roots: &[Id], cancel: &Cancel) -> Result<Stats> {
    let mut sizes = Sizes {
        repository,
        index,
        known: HashMap::new(),
    };
    let (mut entries, mut bytes) = (0, 0);
    for root in roots {
        let size = fold(&mut sizes, root, cancel)?;
        let links: HashMap<(u64, u64), u64> = size.links.into_iter().collect();
        entries += size.entries;
        bytes += size.bytes + links.values().sum::<u64>();
    }
    Ok(Stats {
        total_size: bytes,
        total_file_count: Some(entries),
        ..Stats::default()
    })
}

/// Counts each blob once per path. A directory that was seen at the same path is not counted again.
struct BlobsPerFile<'a> {
    repository: &'a Repository,
    index: &'a Index,
    seen: HashSet<(Id, Id)>,
    contents: HashSet<Id>,
    blobs: HashSet<(Id, Id)>,
    paths: HashSet<Id>,
    bytes: u64,
}

impl Fold for BlobsPerFile<'_> {
    type Value = ();

    fn enter(&mut self, id: &Id, path: &[u8]) -> Result<Step<()>> {
        if !self.seen.insert((*id, Id::hash(path))) {
            return Ok(Step::Known(()));
        }
        self.repository.read_tree(self.index, id).map(Step::Into)
    }

    fn leave(&mut self, _: &Id, path: &[u8], tree: Tree, _: Vec<Option<()>>) -> Result<()> {
        use std::os::unix::ffi::OsStrExt as _;
        for node in tree.nodes.iter().filter(|node| !node.blobs().is_empty()) {
            // As restic does: a content that was counted at one path is not counted at another.
            if !self.contents.insert(content_id(node)) {
                continue;
            }
            let path = Id::hash(&[path, b"/", node.name.as_bytes()].concat());
            self.paths.insert(path);
            for blob in node.blobs() {
                if self.blobs.insert((path, *blob)) {
                    let found = self.index.find(BlobKind::Data, blob).ok_or_else(|| missing(blob))?;
                    self.bytes += u64::from(found.blob.plain_length());
                }
            }
        }
        Ok(())
    }
}

fn blobs_per_file(repository: &Repository, index: &Index, roots: &[Id], cancel: &Cancel) -> Result<Stats> {
    let (seen, contents, blobs, paths) = Default::default();
    let mut count = BlobsPerFile {
        repository,
        index,
        seen,
        contents,
        blobs,
        paths,
        bytes: 0,
    };
    roots.iter().try_for_each(|root| fold(&mut count, root, cancel))?;
    let (files, blobs) = (count.paths.len() as u64, count.blobs.len() as u64);
    Ok(Stats {
        total_size: count.bytes,
        total_file_count: Some(files),
        total_blob_count: Some(blobs),
        ..Stats::default()
    })
}

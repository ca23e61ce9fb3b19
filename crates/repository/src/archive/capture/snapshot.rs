//! What an archive is made of when the same has just been stored in a repository: that snapshot, read and compared with its ids.

use crate::restic::blob_reader::BlobReader;
use crate::restic::index::Index;
use crate::restic::node::Node;
use crate::restic::pack::BlobKind;
use crate::restic::repository::Repository;
use crate::restic::snapshot::Snapshot;
use crate::restic::tree::Tree;
use crate::{Error, Id, Result};
use std::ops::Range;
use std::path::PathBuf;

/// A snapshot that an archive is made of.
pub struct FromSnapshot<'a> {
    pub(super) repository: &'a Repository,
    pub(super) index: Index,
    pub(super) tree: Id,
    pub(super) items: Vec<StoredItem>,
    problems: u64,
}

/// Something in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredItem {
    /// What was captured from the file system: a file, or a directory with everything below.
    Path(PathBuf),
    /// What was captured as a stream. A long one becomes several members, as if it came from its source.
    Stream(PathBuf),
}

impl<'a> FromSnapshot<'a> {
    /// These items of `snapshot`, in this order. One that is not in it is a problem of the archive, unless it is one of the snapshot already.
    ///
    /// # Errors
    /// [`Error::UnreadableSnapshot`] if the repository's index cannot be read.
    pub fn open(repository: &'a Repository, snapshot: &Snapshot, items: Vec<StoredItem>) -> Result<Self> {
        let index = repository.load_index().map_err(|error| unreadable(repository, error))?;
        Ok(Self {
            repository,
            index,
            tree: snapshot.tree,
            items,
            problems: snapshot.mainstay_problems.unwrap_or_default(),
        })
    }

    /// Entries that could not be read when the snapshot was made.
    pub(in crate::archive) fn problems(&self) -> u64 {
        self.problems
    }

    /// A reader of content, for one thread.
    pub(super) fn reader(&self) -> SnapshotReader<'_> {
        SnapshotReader {
            snapshot: self,
            blobs: BlobReader::new(self.repository, &self.index),
            last: None,
            content: Vec::new(),
        }
    }

    pub(super) fn read_tree(&self, id: &Id) -> Result<Tree> {
        self.repository
            .read_tree(&self.index, id)
            .map_err(|error| self.unreadable(error))
    }

    /// The blobs of a file.
    pub(super) fn content(&self, node: &Node) -> Result<Vec<StoredBlob>> {
        let stored = |id: &Id| match self.index.find(BlobKind::Data, id) {
            Some(found) => Ok(StoredBlob {
                id: *id,
                length: u64::from(found.blob.plain_length()),
                stored_bytes: u64::from(found.blob.length),
            }),
            None => Err(self.unreadable(missing_blob(id))),
        };
        node.blobs().iter().map(stored).collect()
    }

    pub(super) fn unreadable(&self, error: Error) -> Error {
        unreadable(self.repository, error)
    }
}

fn missing_blob(id: &Id) -> Error {
    Error::damaged("blob", id, "it is missing: the index does not list it")
}

fn unreadable(repository: &Repository, error: Error) -> Error {
    match error {
        Error::Interrupted => error,
        other => Error::UnreadableSnapshot {
            location: repository.store().location(),
            source: Box::new(other),
        },
    }
}

/// A blob of a file.
#[derive(Clone, Copy, Debug)]
pub struct StoredBlob {
    pub id: Id,
    /// Of its content, bytes.
    pub length: u64,
    /// What it takes in the repository.
    pub stored_bytes: u64,
}

/// Reads content of a snapshot's files.
pub struct SnapshotReader<'a> {
    snapshot: &'a FromSnapshot<'a>,
    blobs: BlobReader<'a>,
    /// The blob that was read last.
    last: Option<Id>,
    content: Vec<u8>,
}

impl SnapshotReader<'_> {
    /// A part of a blob.
    ///
    /// # Errors
    /// [`Error::UnreadableSnapshot`].
    pub fn read(&mut self, id: &Id, range: &Range<u64>) -> Result<&[u8]> {
        if self.last != Some(*id) {
            self.last = None;
            let read = self.blobs.read(id, &mut self.content);
            read.map_err(|error| self.snapshot.unreadable(error))?;
            self.last = Some(*id);
        }
        let too_short = || {
            let error = Error::damaged("blob", id, "it is shorter than the index says");
            self.snapshot.unreadable(error)
        };
        let range = range.start as usize..range.end as usize;
        self.content.get(range).ok_or_else(too_short)
    }
}

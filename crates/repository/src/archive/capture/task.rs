//! The work between finding entries and writing them: a task becomes one frame of the archive.

use crate::Id;
use crate::archive::entry::EntryKind;
use crate::archive::header::{Member, padding};
use crate::archive::sparse::SparseMap;
use crate::local::meta::Stat;
use crate::restic::node::Node;
use std::ffi::OsString;
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use tar::EntryType;

/// Files that a task, and so the queue of them, holds open at most, directories included. A process may usually have 1024.
const MAX_HANDLES: usize = 100;
/// What the headers of an entry take, about, bytes.
const HEADER_BYTES: u64 = 1536;

/// Consecutive pieces of the tar stream.
#[derive(Debug, Default)]
pub struct Task {
    pub pieces: Vec<Piece>,
    /// Bytes of the tar stream, about.
    pub weight_bytes: u64,
    /// Files that it holds open, at most.
    handles: usize,
}

/// A part of the tar stream.
#[derive(Debug)]
pub enum Piece {
    /// A small file, which is opened and read by whoever makes the frame.
    Small {
        dir: Arc<OwnedFd>,
        file: OsString,
        /// Path in the archive.
        name: Vec<u8>,
        /// When it was found.
        stat: Stat,
    },
    /// An entry without content, or the beginning of one.
    Head(Box<Head>),
    /// Bytes that are there already, and padding.
    Bytes(Vec<u8>),
    /// A part of a large file's stored bytes.
    Range { file: Arc<LargeFile>, range: Range<u64> },
    /// A part of a blob of the snapshot that the archive is made of.
    Blob { id: Id, range: Range<u64> },
}

/// Everything about an entry but its content.
#[derive(Debug)]
pub struct Head {
    /// Path in the archive.
    pub name: Vec<u8>,
    pub node: Node,
    pub kind: EntryKind,
    /// Where a link leads to.
    pub target: Vec<u8>,
    /// Content in the archive, bytes.
    pub stored_bytes: u64,
    /// Content in the archive is a map and the parts of a sparse file.
    pub is_sparse: bool,
    /// From 1 on, for one of several pieces of a stream.
    pub part: u32,
}

impl Head {
    /// An entry without content.
    pub fn new(name: &[u8], node: Node, kind: EntryKind) -> Self {
        Self {
            name: name.to_vec(),
            target: node.link_target.clone(),
            node,
            kind,
            stored_bytes: 0,
            is_sparse: false,
            part: 0,
        }
    }

    /// Append its headers.
    pub fn push(&self, out: &mut Vec<u8>) -> crate::Result<()> {
        let comment = (self.part > 0).then(|| format!("{}{}", crate::archive::PART_COMMENT, self.part));
        let member = Member {
            target: &self.target,
            size: self.stored_bytes,
            sparse_size: self.is_sparse.then_some(self.node.size),
            comment: comment.as_deref(),
            ..Member::new(&self.name, &self.node, entry_type(self.kind))
        };
        member.push(out)
    }
}

fn entry_type(kind: EntryKind) -> EntryType {
    match kind {
        EntryKind::File => EntryType::Regular,
        EntryKind::HardLink => EntryType::Link,
        EntryKind::Dir => EntryType::Directory,
        EntryKind::Symlink => EntryType::Symlink,
        EntryKind::Device => EntryType::Block,
        EntryKind::CharDev => EntryType::Char,
        EntryKind::Fifo => EntryType::Fifo,
    }
}

/// A file that is open from when it was found until its last byte is read, so that its size in the header holds.
#[derive(Debug)]
pub struct LargeFile {
    pub file: File,
    /// Path in the archive.
    pub name: Vec<u8>,
    /// When it was opened.
    pub stat: Stat,
    pub map: SparseMap,
    /// Bytes that are not read yet.
    pub left_bytes: AtomicU64,
    /// Something about it was reported: once is enough.
    pub is_reported: AtomicBool,
}

impl Task {
    /// Whether there is no room for more.
    pub fn is_full(&self, frame_bytes: u64) -> bool {
        self.weight_bytes >= frame_bytes || self.handles >= MAX_HANDLES
    }

    /// Add a piece; `opens` files stay open for it.
    pub fn push(&mut self, piece: Piece, opens: usize) {
        self.weight_bytes += match &piece {
            Piece::Small { stat, .. } => HEADER_BYTES + stat.size + padding(stat.size) as u64,
            Piece::Head(_) => HEADER_BYTES,
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Range { range, .. } | Piece::Blob { range, .. } => range.end - range.start,
        };
        self.handles += opens;
        self.pieces.push(piece);
    }
}

//! What an archive says of one entry.

use crate::restic::mode::{from_system, permissions};
use crate::restic::node::{Node, NodeKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// Another name of a file that comes before it.
    HardLink,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A block device.
    Device,
    /// A character device.
    CharDev,
    /// A named pipe.
    Fifo,
}

impl EntryKind {
    /// The kind of a node of the file system; `None` for sockets and the like, which tar has no entries for.
    pub fn of(kind: NodeKind) -> Option<Self> {
        match kind {
            NodeKind::File => Some(Self::File),
            NodeKind::Dir => Some(Self::Dir),
            NodeKind::Symlink => Some(Self::Symlink),
            NodeKind::Device => Some(Self::Device),
            NodeKind::CharDev => Some(Self::CharDev),
            NodeKind::Fifo => Some(Self::Fifo),
            NodeKind::Socket | NodeKind::Irregular => None,
        }
    }
}

/// An entry, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Within the archive, relative, any bytes.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Content, bytes; 0 for everything but files.
    pub size: u64,
    /// Permissions, set-user-ID and the like: the last twelve bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Where a symbolic link points to; of a hard link, the path within the archive.
    pub target: PathBuf,
    /// Where it stands in the tar stream.
    pub(super) place: Place,
}

/// Where an entry stands in the tar stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Where its first header begins, bytes; unknown (0) when an archive is read from its beginning.
    pub offset: u64,
    /// Headers, content and padding, bytes.
    pub length: u64,
    /// From 1 on, if it is a piece of a stream that has several.
    pub part: u32,
}

impl Entry {
    /// From what is written into the archive.
    pub(super) fn new(path: &[u8], kind: EntryKind, node: &Node, size: u64, target: &[u8]) -> Self {
        Self {
            path: path_of(path.to_vec()),
            kind,
            size,
            mode: permissions(node.mode),
            uid: node.uid,
            gid: node.gid,
            mtime: node.mtime,
            target: path_of(target.to_vec()),
            place: Place::default(),
        }
    }

    /// The same as restic's format has it. Where a hard link leads to is in `link_target`; what an archive's index does not know, such as
    /// attributes and inodes, is empty.
    pub fn node(&self) -> Node {
        let kind = match self.kind {
            EntryKind::File | EntryKind::HardLink => NodeKind::File,
            EntryKind::Dir => NodeKind::Dir,
            EntryKind::Symlink => NodeKind::Symlink,
            EntryKind::Device => NodeKind::Device,
            EntryKind::CharDev => NodeKind::CharDev,
            EntryKind::Fifo => NodeKind::Fifo,
        };
        let mut node = Node::new(self.path.file_name().unwrap_or_default(), kind, self.node_mode());
        (node.uid, node.gid, node.size, node.mtime) = (self.uid, self.gid, self.size, self.mtime);
        node.link_target = self.target.as_os_str().as_bytes().to_vec();
        node
    }

    /// Its mode as [`Node`]s have it.
    pub fn node_mode(&self) -> u32 {
        let kind_bits = match self.kind {
            EntryKind::File | EntryKind::HardLink => 0o100_000,
            EntryKind::Dir => 0o040_000,
            EntryKind::Symlink => 0o120_000,
            EntryKind::Device => 0o060_000,
            EntryKind::CharDev => 0o020_000,
            EntryKind::Fifo => 0o010_000,
        };
        from_system(kind_bits | self.mode).1
    }
}

/// A path of any bytes.
pub(super) fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

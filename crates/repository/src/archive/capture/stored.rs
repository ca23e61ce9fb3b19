//! From a snapshot to tasks. The archive holds what one from the sources would hold, in the same order and under the same names.

use super::holes;
use super::queue::TaskWriter;
use super::snapshot::{FromSnapshot, SnapshotReader, StoredItem};
use super::stream::{PART_BYTES, part_head, stream_node};
use super::task::{Head, Piece};
use crate::archive::entry::EntryKind;
use crate::archive::header::padding;
use crate::restic::ls::{self, Descend, Visitor};
use crate::restic::node::{Node, NodeKind};
use crate::restic::tree::Tree;
use crate::{Cancel, Counters, Error, Id, Monitor, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Turns a snapshot into tasks.
pub struct StoredWalker<'a> {
    snapshot: &'a FromSnapshot<'a>,
    out: TaskWriter<'a>,
    cancel: &'a Cancel,
    monitor: &'a dyn Monitor,
    reader: SnapshotReader<'a>,
    /// Directories that lead to the item that was looked up last.
    way: Vec<(Id, Tree)>,
    /// Files with several names, of which some are still to come.
    first_names: HashMap<(u64, u64), FirstName>,
}

/// The first name of a file that has several.
struct FirstName {
    name: Vec<u8>,
    /// While a backup runs, a file may vanish and another take its inode, so the content has to be the same.
    content: Id,
    left: u64,
}

impl<'a> StoredWalker<'a> {
    pub fn new(
        snapshot: &'a FromSnapshot<'a>,
        out: TaskWriter<'a>,
        cancel: &'a Cancel,
        monitor: &'a dyn Monitor,
    ) -> Self {
        Self {
            snapshot,
            out,
            cancel,
            monitor,
            reader: snapshot.reader(),
            way: Vec::new(),
            first_names: HashMap::new(),
        }
    }

    /// Everything, and the end of the archive.
    pub fn run(mut self) -> Result<()> {
        let snapshot = self.snapshot;
        for item in &snapshot.items {
            let (StoredItem::Path(path) | StoredItem::Stream(path)) = item;
            let Some(node) = self.find(path)? else {
                self.report_missing(item, path);
                continue;
            };
            let name = path.strip_prefix("/").unwrap_or(path);
            match item {
                StoredItem::Path(_) => self.path(name, node)?,
                StoredItem::Stream(_) => self.stream(name.as_os_str().as_bytes(), &node)?,
            }
        }
        self.out.finish()
    }

    /// A stream may be missing because it failed, which was reported then.
    fn report_missing(&self, item: &StoredItem, path: &Path) {
        if matches!(item, StoredItem::Path(_)) || self.snapshot.problems() == 0 {
            let message = "it is not in the snapshot, and is left out";
            self.monitor.problem(&path.display().to_string(), message);
        }
    }

    /// The entry at a path. There may be thousands of them in one directory, which is read once.
    fn find(&mut self, path: &Path) -> Result<Option<Node>> {
        let (mut tree, mut found) = (Some(self.snapshot.tree), None);
        for (depth, name) in path.iter().skip(1).enumerate() {
            let Some(id) = tree else { return Ok(None) };
            if self.way.get(depth).is_none_or(|(known, _)| *known != id) {
                self.way.truncate(depth);
                self.way.push((id, self.snapshot.read_tree(&id)?));
            }
            let Some(node) = self.way[depth].1.find(name) else {
                return Ok(None);
            };
            tree = node.subtree.filter(|_| node.is_dir());
            found = Some((depth, name));
        }
        Ok(found.and_then(|(depth, name)| self.way[depth].1.find(name).cloned()))
    }

    fn path(&mut self, name: &Path, node: Node) -> Result<()> {
        let (is_dir, tree) = (node.is_dir(), node.subtree);
        self.entry(name.as_os_str().as_bytes(), node)?;
        if !is_dir {
            return Ok(());
        }
        let missing = || Error::damaged("tree", &Id::default(), format!("`{}` has none", name.display()));
        let tree = tree.ok_or_else(|| self.snapshot.unreadable(missing()))?;
        let (snapshot, cancel) = (self.snapshot, self.cancel);
        let mut below = Below { walker: self, name };
        ls::walk(snapshot.repository, &snapshot.index, &tree, &mut below, cancel)
    }

    fn entry(&mut self, name: &[u8], mut node: Node) -> Result<()> {
        let Some(kind) = EntryKind::of(node.kind) else {
            // Sockets hold nothing; whoever listens makes them again.
            return Ok(());
        };
        if let Some(first) = self.first_name(name, &node) {
            node.extended_attributes.clear();
            let mut head = Head::new(name, node, EntryKind::HardLink);
            head.target = first;
            return self.head(head);
        }
        if kind == EntryKind::File {
            return self.file(name, node);
        }
        self.head(Head::new(name, node, kind))
    }

    fn head(&mut self, head: Head) -> Result<()> {
        self.out.push(Piece::Head(Box::new(head)), 0)
    }

    /// Under which name the same file is in the archive already; if there is none, this is it.
    fn first_name(&mut self, name: &[u8], node: &Node) -> Option<Vec<u8>> {
        if node.links < 2 || node.kind == NodeKind::Symlink {
            return None;
        }
        let key = (node.device_id, node.inode);
        let content = content_id(node);
        match self.first_names.get_mut(&key) {
            Some(first) if first.content == content => {
                first.left = first.left.saturating_sub(1);
                let (name, left) = (first.name.clone(), first.left);
                if left == 0 {
                    self.first_names.remove(&key);
                }
                Some(name)
            }
            _ => {
                let first = FirstName {
                    name: name.to_vec(),
                    content,
                    left: node.links - 1,
                };
                self.first_names.insert(key, first);
                None
            }
        }
    }

    fn file(&mut self, name: &[u8], mut node: Node) -> Result<()> {
        let content = self.snapshot.content(&node)?;
        let size = content.iter().map(|blob| blob.length).sum();
        let map = holes::map(&content, size, &mut self.reader)?;
        (node.size, node.content) = (size, None);
        let text = (map.data_bytes < size).then(|| map.to_text(size));
        let mut head = Head::new(name, node, EntryKind::File);
        head.is_sparse = text.is_some();
        head.stored_bytes = map.data_bytes + text.as_ref().map_or(0, |text| text.len() as u64);
        Counters::add(&self.monitor.counters().files, 1);
        self.head(head)?;
        self.out.push(Piece::Bytes(text.unwrap_or_default()), 0)?;
        let mut offset = 0;
        for blob in content {
            for part in map.stored(offset..offset + blob.length) {
                self.blob(blob.id, part.start - offset..part.end - offset)?;
            }
            offset += blob.length;
        }
        self.end_of_file(map.data_bytes)
    }

    fn blob(&mut self, id: Id, range: Range<u64>) -> Result<()> {
        self.out.make_room(range.end - range.start)?;
        self.out.push(Piece::Blob { id, range }, 0)
    }

    fn end_of_file(&mut self, stored_bytes: u64) -> Result<()> {
        self.out.push(Piece::Bytes(vec![0; padding(stored_bytes)]), 0)
    }

    /// Cut where one from its source is cut, so that names do not depend on which repository could be reached.
    fn stream(&mut self, name: &[u8], node: &Node) -> Result<()> {
        let content = self.snapshot.content(node)?;
        let mut left: u64 = content.iter().map(|blob| blob.length).sum();
        let is_long = left >= PART_BYTES;
        let mut blobs = content.into_iter().map(|blob| (blob.id, 0..blob.length));
        let (stream, mut rest) = (stream_node(node.mtime), None);
        Counters::add(&self.monitor.counters().files, 1);
        for number in u32::from(is_long).. {
            let size = left.min(PART_BYTES);
            self.head(part_head(name, &stream, size, number))?;
            let mut missing = size;
            while missing > 0 {
                let Some((id, range)) = rest.take().or_else(|| blobs.next()) else {
                    break;
                };
                let end = range.end.min(range.start + missing);
                missing -= end - range.start;
                rest = (end < range.end).then_some((id, end..range.end));
                self.blob(id, range.start..end)?;
            }
            self.end_of_file(size)?;
            left -= size;
            if left == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// What tells one content from another.
fn content_id(node: &Node) -> Id {
    let bytes: Vec<u8> = node.blobs().iter().flat_map(|id| id.0).collect();
    Id::hash(&bytes)
}

/// What is below an item.
struct Below<'w, 'a> {
    walker: &'w mut StoredWalker<'a>,
    /// The item's name in the archive.
    name: &'w Path,
}

impl Visitor for Below<'_, '_> {
    fn entry(&mut self, path: &Path, node: Node) -> Result<Descend> {
        let name = self.name.join(path.strip_prefix("/").unwrap_or(path));
        self.walker.entry(name.as_os_str().as_bytes(), node)?;
        Ok(Descend::Yes)
    }

    fn unreadable(&mut self, _: &Path, error: Error) -> Result<()> {
        Err(self.walker.snapshot.unreadable(error))
    }
}

//! Entries of a tar archive.

use super::Queue;
use crate::archive::header::{END_BYTES, Member, padding};
use crate::restic::index::Index;
use crate::restic::ls::{self, Descend, Visitor};
use crate::restic::node::{Node, NodeKind};
use crate::restic::pack::BlobKind;
use crate::restic::repository::Repository;
use crate::{Cancel, Error, Id, Monitor, Result};
use hashbrown::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tar::EntryType;

pub fn write<'a>(
    repository: &Repository,
    index: &'a Index,
    root: &Id,
    prefix: &Path,
    queue: Queue<'a>,
    cancel: &Cancel,
    monitor: &'a dyn Monitor,
) -> Result<()> {
    let prefix = prefix.strip_prefix("/").unwrap_or(prefix).to_owned();
    let mut writer = Writer {
        index,
        queue,
        prefix,
        monitor,
        first_names: HashMap::new(),
    };
    ls::walk(repository, index, root, &mut writer, cancel)?;
    writer.queue.push_bytes(vec![0; END_BYTES])?;
    writer.queue.finish()
}

struct Writer<'a> {
    index: &'a Index,
    queue: Queue<'a>,
    prefix: PathBuf,
    monitor: &'a dyn Monitor,
    first_names: HashMap<(u64, u64), (Vec<Id>, PathBuf)>,
}

impl Writer<'_> {
    fn name(&self, path: &Path) -> PathBuf {
        self.prefix.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn file(&mut self, name: &Path, node: &Node) -> Result<()> {
        if let Some(first) = self.first_name(name, node) {
            return self
                .queue
                .push_bytes(headers(name, node, EntryType::Link, first.as_os_str().as_bytes(), 0)?);
        }
        let mut size = 0;
        for id in node.blobs() {
            let Some(found) = self.index.find(BlobKind::Data, id) else {
                self.monitor.problem(
                    &name.display().to_string(),
                    &format!("it is left out: blob `{id}` is missing"),
                );
                self.first_names.remove(&(node.device_id, node.inode));
                return Ok(());
            };
            size += u64::from(found.blob.plain_length());
        }
        self.queue
            .push_bytes(headers(name, node, EntryType::Regular, b"", size)?)?;
        node.blobs().iter().try_for_each(|id| self.queue.push_blob(id))?;
        match padding(size) {
            0 => Ok(()),
            zeros => self.queue.push_bytes(vec![0; zeros]),
        }
    }

    /// Under which name the same file is in the archive already.
    fn first_name(&mut self, name: &Path, node: &Node) -> Option<PathBuf> {
        if node.links < 2 {
            return None;
        }
        let key = (node.device_id, node.inode);
        match self.first_names.get(&key) {
            // While a backup runs, a file may vanish and another take its inode.
            Some((content, first)) if content.as_slice() == node.blobs() => Some(first.clone()),
            _ => {
                self.first_names.insert(key, (node.blobs().to_vec(), name.to_owned()));
                None
            }
        }
    }
}

impl Visitor for Writer<'_> {
    fn entry(&mut self, path: &Path, node: Node) -> Result<Descend> {
        let name = self.name(path);
        let special = |kind| headers(&name, &node, kind, &node.link_target, 0);
        let bytes = match node.kind {
            NodeKind::File => {
                self.file(&name, &node)?;
                return Ok(Descend::No);
            }
            NodeKind::Dir => special(EntryType::Directory)?,
            NodeKind::Symlink => special(EntryType::Symlink)?,
            NodeKind::Device => special(EntryType::Block)?,
            NodeKind::CharDev => special(EntryType::Char)?,
            NodeKind::Fifo => special(EntryType::Fifo)?,
            NodeKind::Socket | NodeKind::Irregular => {
                self.monitor.note(&format!(
                    "`{}` is left out: tar has no entries of its kind",
                    name.display()
                ));
                return Ok(Descend::No);
            }
        };
        self.queue.push_bytes(bytes)?;
        Ok(Descend::Yes)
    }

    fn unreadable(&mut self, path: &Path, error: Error) -> Result<()> {
        ls::report_unreadable(self.monitor, path, error)
    }
}

fn headers(name: &Path, node: &Node, kind: EntryType, target: &[u8], size: u64) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let name = name.as_os_str().as_bytes();
    let member = Member {
        target,
        size,
        ..Member::new(name, node, kind)
    };
    member.push(&mut out)?;
    Ok(out)
}

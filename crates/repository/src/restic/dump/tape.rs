//! Entries of a tar archive.

use super::Queue;
use crate::restic::index::Index;
use crate::restic::ls::{self, Descend, Visitor};
use crate::restic::mode::permissions;
use crate::restic::node::{Node, NodeKind};
use crate::restic::pack::BlobKind;
use crate::restic::repository::Repository;
use crate::{Cancel, Error, Id, Monitor, Result};
use hashbrown::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

const BLOCK: u64 = 512;
/// Longest name in the fields of a header, bytes.
const SHORT_NAME: usize = 100;
/// Greatest number in the octal fields of a header for owner and group.
const MAX_OCTAL_ID: u64 = 0o7_777_777;

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
    // Two empty blocks end an archive.
    writer.queue.push_bytes(vec![0; 2 * BLOCK as usize])?;
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
        let padding = (BLOCK - size % BLOCK) % BLOCK;
        if padding == 0 {
            Ok(())
        } else {
            self.queue.push_bytes(vec![0; padding as usize])
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

/// An entry's header, with a PAX header before it for what does not fit into the classic one.
fn headers(name: &Path, node: &Node, kind: EntryType, target: &[u8], size: u64) -> Result<Vec<u8>> {
    let mut name = name.as_os_str().as_bytes().to_vec();
    if kind == EntryType::Directory {
        name.push(b'/');
    }
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(permissions(node.mode));
    header.set_uid(u64::from(node.uid));
    header.set_gid(u64::from(node.gid));
    header.set_size(size);
    header.set_mtime(u64::try_from(node.mtime.as_second()).unwrap_or(0));
    fill(&mut header.as_old_mut().name, &name);
    fill(&mut header.as_old_mut().linkname, target);
    if matches!(kind, EntryType::Block | EntryType::Char) {
        header.set_device_major(rustix::fs::major(node.device)).map_err(io)?;
        header.set_device_minor(rustix::fs::minor(node.device)).map_err(io)?;
    }
    // Names that do not fit are left out here; numbers are enough to restore by.
    header
        .set_username(&node.user)
        .or_else(|_| header.set_username(""))
        .map_err(io)?;
    header
        .set_groupname(&node.group)
        .or_else(|_| header.set_groupname(""))
        .map_err(io)?;
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder
        .append_pax_extensions(
            extensions(&name, node, target)
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_slice())),
        )
        .map_err(io)?;
    // Without `finish`, which would end the archive.
    builder.get_mut().extend_from_slice(header.as_bytes());
    Ok(std::mem::take(builder.get_mut()))
}

fn io(error: std::io::Error) -> Error {
    Error::Verification(format!("a header of the archive cannot be made: {error}"))
}

fn fill(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

fn extensions(name: &[u8], node: &Node, target: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let is_short = |text: &[u8]| text.len() <= SHORT_NAME && text.is_ascii();
    let mut add = |key: &str, value: &[u8]| all.push((key.to_owned(), value.to_vec()));
    if !is_short(name) {
        add("path", name);
    }
    if !is_short(target) {
        add("linkpath", target);
    }
    if node.mtime.subsec_nanosecond() != 0 || node.mtime.as_second() < 0 {
        add("mtime", decimal_seconds(node.mtime).as_bytes());
    }
    for (key, id) in [("uid", node.uid), ("gid", node.gid)] {
        if u64::from(id) > MAX_OCTAL_ID {
            add(key, id.to_string().as_bytes());
        }
    }
    for attribute in &node.extended_attributes {
        add(&format!("SCHILY.xattr.{}", attribute.name), &attribute.value);
        // GNU tar sets access lists from their text after it has set the attributes, and unsets them where there is no text.
        if let Some((key, text)) = super::acl::record(&attribute.name, &attribute.value) {
            add(key, text.as_bytes());
        }
    }
    all
}

/// Seconds since 1970 with their fraction.
fn decimal_seconds(time: jiff::Timestamp) -> String {
    let nanoseconds = time.as_nanosecond();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let nanoseconds = nanoseconds.unsigned_abs();
    format!(
        "{sign}{}.{:09}",
        nanoseconds / 1_000_000_000,
        nanoseconds % 1_000_000_000
    )
}

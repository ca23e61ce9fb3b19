//! From an archive to tasks for another one, which lacks what has to go.
//!
//! Entries keep their order and their headers' content. A file with several names whose first name goes, while another stays, stays in the
//! first one's place under the other name: its content is that file's, too, and is still to be read only once.

use super::queue::TaskWriter;
use super::stream::part_suffix;
use super::task::{Head, Piece};
use crate::archive::entry::EntryKind;
use crate::archive::failure::carried;
use crate::archive::header::padding;
use crate::archive::reader::{Archive, Member};
use crate::archive::sparse::SparseMap;
use crate::{Counters, Error, Filter, Monitor, Result};
use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What is read of a file at once, bytes.
const CHUNK_BYTES: u64 = 1 << 20;

/// An archive, and what of it has to go.
pub struct Rewritten<'a> {
    /// Which.
    pub(in crate::archive) archive: &'a Archive<'a>,
    /// What it includes goes.
    pub(in crate::archive) content: &'a Filter,
    /// First names of files that go, each with the first of the file's names that stay.
    pub(in crate::archive) heirs: &'a HashMap<PathBuf, PathBuf>,
}

impl Rewritten<'_> {
    pub(super) fn problems(&self) -> u64 {
        self.archive.manifest().counts.problems
    }

    /// Everything that stays, and the end of the archive.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the archive is not what its manifest says; what was written until then is no archive then.
    pub(super) fn run(self, mut out: TaskWriter<'_>, monitor: &dyn Monitor) -> Result<()> {
        let tar_bytes = self.archive.stream(&mut |member, content| match self.staying(member) {
            Some(member) => push(&mut out, member, content, monitor),
            None => Ok(()),
        })?;
        if tar_bytes != self.archive.manifest().tar_bytes {
            return Err(self.archive.damaged("it has another length than its manifest says"));
        }
        out.finish()
    }

    /// What becomes of a member; nothing if it goes.
    fn staying(&self, mut member: Member) -> Option<Member> {
        let entry = &mut member.entry;
        if goes(self.content, &entry.path) {
            entry.path.clone_from(self.heirs.get(&entry.path)?);
            return Some(member);
        }
        if entry.kind == EntryKind::HardLink
            && let Some(heir) = self.heirs.get(&entry.target)
        {
            if *heir == entry.path {
                return None;
            }
            entry.target.clone_from(heir);
        }
        Some(member)
    }
}

/// Whether an entry has to go, by its path in the archive.
pub(in crate::archive) fn goes(content: &Filter, path: &Path) -> bool {
    content.includes(&Path::new("/").join(path))
}

fn push(out: &mut TaskWriter<'_>, member: Member, content: &mut dyn Read, monitor: &dyn Monitor) -> Result<()> {
    let Member { entry, node, parts } = member;
    let is_file = entry.kind == EntryKind::File;
    let (map, size) = (parts.map(|parts| map_of(parts, node.size)).transpose()?, node.size);
    let data_bytes = match &map {
        Some(map) => map.data_bytes,
        None if is_file => size,
        None => 0,
    };
    let text = map.map(|map| map.to_text(size));
    let mut name = entry.path.as_os_str().as_bytes().to_vec();
    if entry.place.part > 0 {
        name.extend(part_suffix(entry.place.part));
    }
    let mut head = Head::new(&name, node, entry.kind);
    head.target = entry.target.as_os_str().as_bytes().to_vec();
    head.part = entry.place.part;
    head.is_sparse = text.is_some();
    head.stored_bytes = data_bytes + text.as_ref().map_or(0, |text| text.len() as u64);
    if is_file {
        Counters::add(&monitor.counters().files, 1);
    }
    out.push(Piece::Head(Box::new(head)), 0)?;
    out.push(Piece::Bytes(text.unwrap_or_default()), 0)?;
    let mut left = data_bytes;
    while left > 0 {
        let mut chunk = vec![0; left.min(CHUNK_BYTES) as usize];
        content.read_exact(&mut chunk).map_err(carried)?;
        left -= chunk.len() as u64;
        Counters::add(&monitor.counters().bytes, chunk.len() as u64);
        out.make_room(chunk.len() as u64)?;
        out.push(Piece::Bytes(chunk), 0)?;
    }
    out.push(Piece::Bytes(vec![0; padding(data_bytes)]), 0)
}

/// The map of a sparse file, whose empty part at its end is only written.
fn map_of(parts: Vec<Range<u64>>, size: u64) -> Result<SparseMap> {
    let parts = parts.into_iter().filter(|part| !part.is_empty()).map(Ok);
    SparseMap::new(parts, size).map_err(Error::local("read", "the map of a sparse file"))
}

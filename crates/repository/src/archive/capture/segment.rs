//! From a task to bytes of the tar stream. Whatever happens to a file meanwhile, as many bytes follow its header as it says.

use super::snapshot::SnapshotReader;
use super::source::shown;
use super::task::{Head, LargeFile, Piece, Task};
use crate::archive::entry::{Entry, EntryKind};
use crate::archive::header::padding;
use crate::local::meta::{Stat, stat_fd};
use crate::local::node::node_from_stat;
use crate::local::scan::open_file;
use crate::local::users::Users;
use crate::local::xattr::xattrs_of_fd;
use crate::{Counters, Error, Id, Monitor, Result};
use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

/// Files up to this size are read in one go, bytes.
pub const SMALL_BYTES: u64 = 1 << 20;
/// What is read of one that has grown since it was found, bytes.
const MAX_SMALL_BYTES: u64 = 2 * SMALL_BYTES;

/// Some bytes of the tar stream, and the entries that begin in it.
#[derive(Debug, Default)]
pub struct Segment {
    pub bytes: Vec<u8>,
    /// With their places counted from the beginning of the segment.
    pub entries: Vec<Entry>,
}

/// Makes segments.
pub struct Reader<'a> {
    pub users: &'a Users,
    pub monitor: &'a dyn Monitor,
    /// Where an archive comes from that is made of a snapshot.
    pub blobs: Option<SnapshotReader<'a>>,
}

impl Reader<'_> {
    /// The bytes of a task, in `segment`, whose room is used again.
    ///
    /// # Errors
    /// [`Error::UnreadableSnapshot`]; what cannot be read of the sources is reported to the monitor.
    pub fn read(&mut self, task: Task, segment: &mut Segment) -> Result<()> {
        segment.bytes.clear();
        segment.entries.clear();
        for piece in task.pieces {
            match piece {
                Piece::Small { dir, file, name, .. } => self.small(segment, &dir, &file, &name)?,
                Piece::Head(head) => self.head(segment, &head)?,
                Piece::Bytes(bytes) => segment.bytes.extend_from_slice(&bytes),
                Piece::Range { file, range } => self.range(segment, &file, range),
                Piece::Blob { id, range } => self.blob(segment, &id, range)?,
            }
        }
        Ok(())
    }

    fn head(&self, segment: &mut Segment, head: &Head) -> Result<()> {
        let start = segment.bytes.len();
        head.push(&mut segment.bytes)?;
        let size = if head.is_sparse {
            head.node.size
        } else {
            head.stored_bytes
        };
        let size = if head.kind == EntryKind::File { size } else { 0 };
        let mut entry = Entry::new(&head.name, head.kind, &head.node, size, &head.target);
        let headers = segment.bytes.len() - start;
        entry.place.offset = start as u64;
        entry.place.length = (headers + padding(head.stored_bytes)) as u64 + head.stored_bytes;
        entry.place.part = head.part;
        segment.entries.push(entry);
        if self.monitor.wants_entries() {
            let path = shown(&head.name);
            self.monitor.event(crate::Event::Entry {
                path: path.as_ref(),
                what: "new",
                size,
            });
        }
        Ok(())
    }

    /// A file that cannot be opened or read at all is left out.
    fn small(&self, segment: &mut Segment, dir: &OwnedFd, file: &OsStr, name: &[u8]) -> Result<()> {
        let before = (segment.bytes.len(), segment.entries.len());
        match self.small_file(segment, dir, file, name)? {
            Ok(()) => {}
            Err(error) => {
                segment.bytes.truncate(before.0);
                segment.entries.truncate(before.1);
                self.left_out(name, &error);
            }
        }
        Ok(())
    }

    fn small_file(&self, segment: &mut Segment, dir: &OwnedFd, file: &OsStr, name: &[u8]) -> Result<io::Result<()>> {
        let (file, stat) = match open_file(dir, file) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        // It may have grown without bound since it was found.
        let size = stat.size.min(MAX_SMALL_BYTES);
        match self.file_head(&file, name, &stat, size) {
            Ok(head) => self.head(segment, &head)?,
            Err(error) => return Ok(Err(error)),
        }
        let start = segment.bytes.len();
        if let Err(error) = read_up_to(&file, &mut segment.bytes, size as usize, 0) {
            return Ok(Err(error));
        }
        self.finish_small(&file, &stat, name, (segment.bytes.len() - start) as u64);
        segment.bytes.resize(start + size as usize + padding(size), 0);
        Ok(Ok(()))
    }

    /// The head of a regular file of which `size` bytes are stored.
    pub fn file_head(&self, file: &impl AsFd, name: &[u8], stat: &Stat, size: u64) -> io::Result<Head> {
        let mut node = node_from_stat(OsStr::new(""), stat, self.users);
        node.extended_attributes = xattrs_of_fd(file)?;
        node.size = size;
        let mut head = Head::new(name, node, EntryKind::File);
        head.stored_bytes = size;
        Ok(head)
    }

    /// Count a file of which `read_bytes` were read, and report it if it is not what it was when it was opened.
    pub fn finish_small(&self, file: &impl AsFd, stat: &Stat, name: &[u8], read_bytes: u64) {
        if read_bytes < stat.size.min(MAX_SMALL_BYTES) {
            self.monitor.problem(&shown(name), SHRANK);
        } else if read_bytes < stat.size {
            self.monitor.problem(&shown(name), GREW);
        } else {
            self.report_change(file, stat, name);
        }
        self.count_file(read_bytes);
    }

    /// Report that a file is not what it was when it was opened, unless it shrank, which was reported.
    fn report_change(&self, file: &impl AsFd, before: &Stat, name: &[u8]) {
        let Ok(now) = stat_fd(file) else { return };
        if now.size > before.size {
            self.monitor.problem(&shown(name), GREW);
        } else if now.mtime != before.mtime && now.size == before.size {
            self.monitor.problem(&shown(name), "it changed while it was read");
        }
    }

    /// Part of a large file's stored bytes; padding after the last.
    fn range(&self, segment: &mut Segment, file: &LargeFile, range: Range<u64>) {
        let bytes = range.end - range.start;
        for place in file.map.places(range.clone()) {
            let end = segment.bytes.len() + (place.end - place.start) as usize;
            let wanted = end - segment.bytes.len();
            let read = read_up_to(&file.file, &mut segment.bytes, wanted, place.start);
            if segment.bytes.len() < end {
                self.report_once(file, read.err());
                segment.bytes.resize(end, 0);
            }
        }
        Counters::add(&self.monitor.counters().bytes, bytes);
        if range.end == file.map.data_bytes {
            segment.bytes.resize(segment.bytes.len() + padding(range.end), 0);
        }
        // The last part to be read need not be the end: parts are read side by side.
        if file.left_bytes.fetch_sub(bytes, Ordering::AcqRel) == bytes {
            Counters::add(&self.monitor.counters().files, 1);
            if !file.is_reported.load(Ordering::Acquire) {
                self.report_change(&file.file, &file.stat, &file.name);
            }
        }
    }

    fn blob(&mut self, segment: &mut Segment, id: &Id, range: Range<u64>) -> Result<()> {
        let missing = || Error::Verification("an archive of the sources has blobs".to_owned());
        let content = self.blobs.as_mut().ok_or_else(missing)?.read(id, &range)?;
        segment.bytes.extend_from_slice(content);
        Counters::add(&self.monitor.counters().bytes, range.end - range.start);
        Ok(())
    }

    fn report_once(&self, file: &LargeFile, error: Option<io::Error>) {
        if file.is_reported.swap(true, Ordering::AcqRel) {
            return;
        }
        let message = match error {
            Some(error) => unread(&error),
            None => SHRANK.to_owned(),
        };
        self.monitor.problem(&shown(&file.name), &message);
    }

    /// Report an entry that is not in the archive.
    pub fn left_out(&self, name: &[u8], error: &io::Error) {
        let message = if error.kind() == io::ErrorKind::NotFound {
            "it vanished before it was read, and is left out".to_owned()
        } else {
            format!("it cannot be read, and is left out: {error}")
        };
        self.monitor.problem(&shown(name), &message);
    }

    /// Report a file whose own content was stored although there would be something better.
    pub fn stored_as_it_is(&self, name: &[u8], error: &io::Error) {
        self.monitor
            .problem(&shown(name), &format!("{error}; it is stored as it is"));
    }

    /// Report content that ended too early.
    pub fn cut_short(&self, name: &[u8], error: &io::Error) {
        self.monitor.problem(&shown(name), &unread(error));
    }

    /// Report a stream that is not in the archive.
    pub fn failed(&self, name: &[u8], error: &Error) {
        let source = std::error::Error::source(error).map(|source| format!(": {source}"));
        let message = format!("{error}{}; it is left out", source.unwrap_or_default());
        self.monitor.problem(&shown(name), &message);
    }

    pub fn count_file(&self, bytes: u64) {
        Counters::add(&self.monitor.counters().files, 1);
        Counters::add(&self.monitor.counters().bytes, bytes);
    }
}

const SHRANK: &str = "it shrank while it was read: what is missing is zeros in the archive";
const GREW: &str = "it grew while it was read: what came last is not in the archive";

/// Append `wanted` bytes of the file from `offset` on, or fewer at its end. After an error, what was read before it is there.
pub fn read_up_to(file: &impl AsFd, out: &mut Vec<u8>, wanted: usize, offset: u64) -> io::Result<()> {
    let start = out.len();
    out.resize(start + wanted, 0);
    let mut done = 0;
    let result = loop {
        match rustix::io::pread(file, &mut out[start + done..], offset + done as u64) {
            Ok(0) => break Ok(()),
            Ok(read) => done += read,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => break Err(error.into()),
        }
    };
    out.truncate(start + done);
    result
}

fn unread(error: &io::Error) -> String {
    format!("a part of it cannot be read, and is zeros in the archive: {error}")
}

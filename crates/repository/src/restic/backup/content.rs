//! Where the bytes of a file or stream come from, and the memory that they are read into.

use super::scan::TICK;
use crate::clock;
use crate::local::holes::DataSegments;
use crate::local::meta::{Stat, stat_fd};
use crate::local::scan::open_file;
use crate::restic::chunker::{MAX_SIZE, MIN_SIZE};
use crate::restic::compress;
use parking_lot::Mutex;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

/// Buffers that are used again: their memory is there already.
#[derive(Default)]
pub struct Buffers(Mutex<Vec<Vec<u8>>>);

const KEPT_BUFFERS: usize = 4;

impl Buffers {
    /// An empty one.
    pub fn take(&self) -> Vec<u8> {
        let mut buffer = self.take_used();
        buffer.clear();
        buffer
    }

    /// One with whatever was in it: what is written over need not be made zeros first.
    pub fn take_used(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    pub fn put(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock();
        if kept.len() < KEPT_BUFFERS && buffer.len() <= compress::KEPT {
            kept.push(buffer);
        }
    }
}

/// Open a file whose timestamps tell of every later change: one that changed a moment ago could change again within the same tick of the
/// file system's clock and look unchanged to the next backup. So the tick is waited for.
pub fn open_settled(holder: &OwnedFd, name: &OsStr) -> io::Result<(File, Stat)> {
    const TRIES: usize = 3;
    let (file, mut stat) = open_file(holder, name)?;
    for _ in 0..TRIES {
        let age = clock::now().duration_since(stat.ctime);
        if age >= TICK || age.is_negative() {
            break;
        }
        std::thread::sleep(Duration::try_from(TICK - age).unwrap_or_default());
        stat = stat_fd(&file)?;
    }
    Ok((file, stat))
}

pub fn accessed(file: &File) -> io::Result<jiff::Timestamp> {
    jiff::Timestamp::try_from(file.metadata()?.accessed()?).map_err(io::Error::other)
}

/// Append a whole small file; `false` if it has grown out of being small.
pub fn read_small(file: &File, expected: usize, content: &mut Vec<u8>) -> io::Result<bool> {
    let start = content.len();
    let mut room = expected + 1;
    loop {
        let length = content.len();
        content.resize(length + room, 0);
        let read = read_at(file, &mut content[length..], (length - start) as u64)?;
        content.truncate(length + read);
        // A short read is the end of a regular file, but a file system may know better: only nothing is nothing.
        if read == 0 || (read < room && content.len() - start == expected) {
            return Ok(true);
        }
        if content.len() - start > MIN_SIZE {
            return Ok(false);
        }
        room = 64 << 10;
    }
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Content that is read until the end of its first blob is found.
pub struct Part {
    /// Longer than what has been read: the rest is room that has been made before.
    bytes: Vec<u8>,
    length: usize,
}

/// Bytes that are read at once: what lies behind the end of a blob is copied to the next one.
const READ: usize = 128 << 10;

impl Part {
    /// Beginning with `content`, in memory that was used before.
    pub fn begin(mut bytes: Vec<u8>, content: &[u8]) -> Self {
        let length = content.len();
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        bytes[..length].copy_from_slice(content);
        Self { bytes, length }
    }

    /// What has been read.
    pub fn content(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Read more; `true` at the end of the content.
    pub fn read(&mut self, content: &mut dyn Content) -> io::Result<bool> {
        let end = self.length.max(MIN_SIZE) + READ;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let read = content.read(&mut self.bytes[self.length..end])?;
        self.length += read;
        Ok(read == 0)
    }

    /// Take away everything.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Move what lies behind the first `length` bytes into a part of its own, in memory that was used before.
    pub fn split_off(&mut self, length: usize, bytes: Vec<u8>) -> Self {
        let rest = Self::begin(bytes, &self.content()[length..]);
        self.length = length;
        rest
    }

    /// The memory, to be used again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

/// Bytes that come one after the other.
pub trait Content {
    /// The next bytes; none at the end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// How many bytes are known to be zeros, from `unread` bytes before the next one on.
    fn hole(&mut self, _unread: usize) -> io::Result<u64> {
        Ok(0)
    }

    /// Give the last `unread` bytes back if they are the beginning of a hole that is worth skipping.
    fn back_to_hole(&mut self, unread: usize) -> io::Result<bool> {
        let worth = self.hole(unread)? >= MAX_SIZE as u64;
        if worth {
            self.unread(unread as u64);
        }
        Ok(worth)
    }

    /// Give bytes back, to be read again.
    fn unread(&mut self, _length: u64) {}

    /// Pass over bytes that are known.
    fn skip(&mut self, _length: u64) {}
}

pub struct FileContent<'a> {
    file: &'a File,
    position: u64,
    size: u64,
    segments: Option<DataSegments<'a>>,
    /// The next part that is not a hole, and where the hole before it begins.
    data: Range<u64>,
    hole_start: u64,
}

impl<'a> FileContent<'a> {
    pub fn new(file: &'a File, stat: &Stat) -> Self {
        let segments = stat.may_have_holes().then(|| DataSegments::new(file, stat.size));
        Self {
            file,
            position: 0,
            size: stat.size,
            segments,
            data: 0..0,
            hole_start: 0,
        }
    }
}

impl Content for FileContent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }

    fn hole(&mut self, unread: usize) -> io::Result<u64> {
        let Some(segments) = &mut self.segments else {
            return Ok(0);
        };
        let from = self.position - unread as u64;
        while self.data.end <= from {
            self.hole_start = self.data.end;
            self.data = segments.next().transpose()?.unwrap_or(self.size..u64::MAX);
        }
        let is_hole = from >= self.hole_start;
        Ok(if is_hole {
            self.data.start.saturating_sub(from)
        } else {
            0
        })
    }

    fn unread(&mut self, length: u64) {
        self.position -= length;
    }

    fn skip(&mut self, length: u64) {
        self.position += length;
    }
}

pub struct StreamContent {
    pub reader: Box<dyn io::Read + Send>,
}

impl Content for StreamContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

//! The compressed stream: frames in order, with the index between them and the seek table at the end.

use crate::Result;
use crate::archive::capture::{Frame, Frames};
use crate::archive::failure::carry;
use crate::archive::index::IndexWriter;
use crate::archive::manifest::Counts;
use crate::archive::seekable::SeekTable;
use std::collections::VecDeque;
use std::io::{self, Read};

/// Reads as the bytes that are to be encrypted.
pub struct ArchiveStream {
    frames: Frames,
    /// Bytes that come before the next frame.
    pending: VecDeque<Vec<u8>>,
    /// How much of the first of them was read.
    position: usize,
    /// Everything handed out or pending, bytes.
    offset: u64,
    /// Only where the format has frames that are skipped.
    seek: Option<Seek>,
    is_finished: bool,
    pub tar_bytes: u64,
    pub counts: Counts,
}

#[derive(Default)]
struct Seek {
    index: IndexWriter,
    table: SeekTable,
}

impl ArchiveStream {
    pub fn new(frames: Frames, is_seekable: bool) -> Self {
        Self {
            frames,
            pending: VecDeque::new(),
            position: 0,
            offset: 0,
            seek: is_seekable.then(Seek::default),
            is_finished: false,
            tar_bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Make bytes pending, unless there are none any more.
    fn fill(&mut self) -> Result<()> {
        match self.frames.next() {
            Some(frame) => self.add(frame?),
            None if self.is_finished => Ok(()),
            None => self.finish(),
        }
    }

    fn add(&mut self, frame: Frame) -> Result<()> {
        for mut entry in frame.entries {
            entry.place.offset += self.tar_bytes;
            self.counts.add(entry.kind, entry.size);
            if let Some(seek) = &mut self.seek {
                seek.index.push(&entry)?;
            }
        }
        self.tar_bytes += frame.plain_bytes as u64;
        self.push(frame.content, frame.plain_bytes)?;
        let offset = self.offset;
        match &mut self.seek {
            Some(seek) => match seek.index.full_piece(offset)? {
                Some(piece) => self.push(piece, 0),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn push(&mut self, content: Vec<u8>, plain_bytes: usize) -> Result<()> {
        if let Some(seek) = &mut self.seek {
            seek.table.push(content.len(), plain_bytes)?;
        }
        self.offset += content.len() as u64;
        self.pending.push_back(content);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.is_finished = true;
        let Some(mut seek) = self.seek.take() else {
            return Ok(());
        };
        let piece = seek.index.last_piece(self.offset)?.unwrap_or_default();
        let root = seek.index.root(self.tar_bytes)?;
        for frame in [piece, root].into_iter().filter(|frame| !frame.is_empty()) {
            seek.table.push(frame.len(), 0)?;
            self.push(frame, 0)?;
        }
        self.push(seek.table.to_frame()?, 0)
    }
}

impl Read for ArchiveStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.pending.front().is_none_or(|first| self.position == first.len()) {
            self.position = 0;
            self.pending.pop_front();
            if self.pending.is_empty() {
                self.fill().map_err(carry)?;
            }
            if self.pending.is_empty() {
                return Ok(0);
            }
        }
        let Some(first) = self.pending.front() else {
            return Ok(0);
        };
        let length = out.len().min(first.len() - self.position);
        out[..length].copy_from_slice(&first[self.position..self.position + length]);
        self.position += length;
        Ok(length)
    }
}

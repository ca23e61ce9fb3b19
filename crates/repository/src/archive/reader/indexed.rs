//! Reading parts of an archive through its index and seek table.

use crate::archive::entry::Entry;
use crate::archive::failure::carried;
use crate::archive::index::{MAX_PIECE_BYTES, MAX_ROOT_BYTES, Root, parse_piece, parse_root};
use crate::archive::seekable::{FOOTER_BYTES, SeekTable};
use crate::{Error, Result};
use std::io::{self, Read, Seek, SeekFrom};

/// Greatest frame that is decompressed at once, bytes: four times what we write.
const MAX_FRAME_BYTES: u32 = 64 << 20;

/// The frames of the tar stream, and what is in them.
pub struct Indexed<R> {
    stream: R,
    frames: Vec<FramePlace>,
    root: Root,
    /// The frame that was read last, and its number: small files stand side by side in one.
    last: (Option<usize>, Vec<u8>),
}

/// Where a frame is.
#[derive(Clone, Copy, Debug)]
struct FramePlace {
    /// In the compressed stream, bytes.
    offset: u64,
    stored_bytes: u32,
    /// In the tar stream, bytes.
    tar_offset: u64,
    plain_bytes: u32,
}

impl<R: Read + Seek> Indexed<R> {
    /// `None` if the archive carries no index that can be used: it can still be read from its beginning.
    pub fn new(mut stream: R) -> Result<Option<Self>> {
        let end = stream.seek(SeekFrom::End(0)).map_err(carried)?;
        let Some(footer_at) = end.checked_sub(FOOTER_BYTES as u64) else {
            return Ok(None);
        };
        let footer = read_at(&mut stream, footer_at, FOOTER_BYTES)?;
        let table_bytes = footer.first_chunk().and_then(SeekTable::frame_bytes);
        let Some(table_at) = table_bytes.and_then(|bytes| end.checked_sub(bytes)) else {
            return Ok(None);
        };
        let table = read_at(&mut stream, table_at, (end - table_at) as usize)?;
        let Some((frames, root_at)) = SeekTable::parse(&table).and_then(|table| places(&table, table_at)) else {
            return Ok(None);
        };
        let root_bytes = usize::try_from(table_at - root_at)
            .ok()
            .filter(|bytes| *bytes <= MAX_ROOT_BYTES);
        let Some(root_bytes) = root_bytes else { return Ok(None) };
        let root = parse_root(&read_at(&mut stream, root_at, root_bytes)?);
        Ok(root.map(|root| Self {
            stream,
            frames,
            root,
            last: (None, Vec::new()),
        }))
    }

    /// Every entry, in order.
    pub fn each_entry(&mut self, each: &mut dyn FnMut(&mut Self, Entry) -> Result<()>) -> Result<()> {
        for piece in self.root.pieces.clone() {
            let bytes = usize::try_from(piece.stored_bytes).unwrap_or(usize::MAX);
            if bytes > MAX_PIECE_BYTES {
                return Err(damaged("a piece of its index is too large"));
            }
            let frame = read_at(&mut self.stream, piece.offset, bytes)?;
            let entries = parse_piece(&frame).ok_or_else(|| damaged("a piece of its index cannot be read"))?;
            entries.into_iter().try_for_each(|entry| each(self, entry))?;
        }
        Ok(())
    }

    /// The tar stream from `offset` on, `length` bytes.
    pub fn range(&mut self, offset: u64, length: u64) -> TarRange<'_, R> {
        TarRange {
            indexed: self,
            offset,
            left: length,
        }
    }

    /// What the frame that holds this byte of the tar stream has from there on.
    fn frame_at(&mut self, offset: u64) -> Result<&[u8]> {
        let number = self
            .frames
            .partition_point(|frame| frame.tar_offset + u64::from(frame.plain_bytes) <= offset);
        let frame = *self
            .frames
            .get(number)
            .ok_or_else(|| damaged("its index points behind its end"))?;
        if self.last.0 != Some(number) {
            self.last.0 = None;
            self.last.1 = self.read_frame(frame)?;
            self.last.0 = Some(number);
        }
        Ok(&self.last.1[(offset - frame.tar_offset) as usize..])
    }

    fn read_frame(&mut self, frame: FramePlace) -> Result<Vec<u8>> {
        if frame.plain_bytes > MAX_FRAME_BYTES || frame.stored_bytes > 2 * MAX_FRAME_BYTES {
            return Err(damaged("a frame is too large"));
        }
        let stored = read_at(&mut self.stream, frame.offset, frame.stored_bytes as usize)?;
        let plain = zstd::bulk::decompress(&stored, frame.plain_bytes as usize)
            .map_err(|error| damaged(&format!("a frame cannot be decompressed: {error}")))?;
        if plain.len() != frame.plain_bytes as usize {
            return Err(damaged("a frame has another size than its seek table says"));
        }
        Ok(plain)
    }
}

/// Where the frames are, and where the last of them, the index's root, begins.
fn places(table: &SeekTable, table_at: u64) -> Option<(Vec<FramePlace>, u64)> {
    let (mut offset, mut tar_offset) = (0_u64, 0_u64);
    let mut frames = Vec::with_capacity(table.frames.len());
    for frame in &table.frames {
        if frame.plain_bytes > 0 {
            frames.push(FramePlace {
                offset,
                stored_bytes: frame.stored_bytes,
                tar_offset,
                plain_bytes: frame.plain_bytes,
            });
        }
        offset += u64::from(frame.stored_bytes);
        tar_offset += u64::from(frame.plain_bytes);
    }
    let root = table.frames.last()?;
    (offset == table_at && root.plain_bytes == 0).then_some((frames, table_at - u64::from(root.stored_bytes)))
}

fn read_at(stream: &mut (impl Read + Seek), offset: u64, length: usize) -> Result<Vec<u8>> {
    stream.seek(SeekFrom::Start(offset)).map_err(carried)?;
    // Grows with what is there: a length from an archive is not believed.
    let mut bytes = Vec::new();
    stream.take(length as u64).read_to_end(&mut bytes).map_err(carried)?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(damaged("it ends too early"))
    }
}

/// An archive that is not what was written.
fn damaged(reason: &str) -> Error {
    Error::Damaged {
        object: "archive",
        name: "index".to_owned(),
        reason: reason.to_owned(),
    }
}

/// A part of the tar stream.
pub struct TarRange<'a, R> {
    indexed: &'a mut Indexed<R>,
    offset: u64,
    left: u64,
}

impl<R: Read + Seek> Read for TarRange<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let frame = self.indexed.frame_at(self.offset);
        let frame = frame.map_err(crate::archive::failure::carry)?;
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let length = out.len().min(left).min(frame.len());
        out[..length].copy_from_slice(&frame[..length]);
        self.offset += length as u64;
        self.left -= length as u64;
        Ok(length)
    }
}

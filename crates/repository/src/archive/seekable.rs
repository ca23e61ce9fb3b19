//! The seek table at the end of an archive: where each frame begins, in the file and in the tar stream.
//!
//! Source: "Zstandard Seekable Format", version 0.1.0, in `contrib/seekable_format` of the zstd repository. Programs that do not
//! know it skip the frame in which the table stands. Frames that hold parts of our own index stand in the table as frames
//! without content.

use crate::{Error, Result};

/// First magic number of frames that decompressors skip; the last four bits are free. Source: RFC 8878, section 3.1.2.
const SKIPPABLE: u32 = 0x184D_2A50;
/// The seekable format uses the last of them.
const SEEK_TABLE: u32 = SKIPPABLE | 0xE;
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
/// Magic number and length.
pub const SKIPPABLE_HEADER_BYTES: usize = 8;
/// Number of frames, descriptor, magic number.
pub const FOOTER_BYTES: usize = 9;
const ENTRY_BYTES: usize = 8;
/// With a checksum behind each entry, which others may write.
const CHECKED_ENTRY_BYTES: usize = 12;
const CHECKSUM_FLAG: u8 = 1 << 7;
const RESERVED_BITS: u8 = 0b0111_1100;
/// A table of this many frames is enough for 500 TiB. Source: the format's own limit.
const MAX_FRAMES: u32 = 0x0800_0000;

/// A frame that decompressors skip, of the kind 0 to 15.
pub fn skippable(kind: u8, content: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(content.len()).map_err(|_| too_large())?;
    let mut out = Vec::with_capacity(SKIPPABLE_HEADER_BYTES + content.len());
    out.extend((SKIPPABLE | u32::from(kind)).to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend_from_slice(content);
    Ok(out)
}

fn too_large() -> Error {
    Error::Verification("a frame of the archive is too large".to_owned())
}

/// Sizes of one frame, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// In the file.
    pub stored_bytes: u32,
    /// Of the tar stream; 0 for a frame that is skipped.
    pub plain_bytes: u32,
}

/// The sizes of all frames but the table itself, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeekTable {
    /// In the order of the file.
    pub frames: Vec<Frame>,
}

impl SeekTable {
    /// Note the next frame.
    pub fn push(&mut self, stored_bytes: usize, plain_bytes: usize) -> Result<()> {
        let number = |bytes: usize| u32::try_from(bytes).map_err(|_| too_large());
        let (stored_bytes, plain_bytes) = (number(stored_bytes)?, number(plain_bytes)?);
        self.frames.push(Frame {
            stored_bytes,
            plain_bytes,
        });
        Ok(())
    }

    /// The frame that ends the archive.
    pub fn to_frame(&self) -> Result<Vec<u8>> {
        let count = u32::try_from(self.frames.len()).map_err(|_| too_large())?;
        let mut content = Vec::with_capacity(self.frames.len() * ENTRY_BYTES + FOOTER_BYTES);
        for frame in &self.frames {
            content.extend(frame.stored_bytes.to_le_bytes());
            content.extend(frame.plain_bytes.to_le_bytes());
        }
        content.extend(count.to_le_bytes());
        content.push(0);
        content.extend(SEEKABLE_MAGIC.to_le_bytes());
        skippable((SEEK_TABLE & 0xF) as u8, &content)
    }

    /// How many bytes the table's frame takes, from the last [`FOOTER_BYTES`] of the archive; `None` if there is no table.
    pub fn frame_bytes(footer: &[u8; FOOTER_BYTES]) -> Option<u64> {
        let (count, descriptor) = (number(footer, 0)?, footer[4]);
        if number(footer, 5)? != SEEKABLE_MAGIC || descriptor & RESERVED_BITS != 0 || count > MAX_FRAMES {
            return None;
        }
        Some((SKIPPABLE_HEADER_BYTES + FOOTER_BYTES) as u64 + u64::from(count) * entry_bytes(descriptor) as u64)
    }

    /// The table from its frame; `None` if it is damaged.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let content = frame.get(SKIPPABLE_HEADER_BYTES..)?;
        let footer = content.last_chunk::<FOOTER_BYTES>()?;
        let is_whole = Self::frame_bytes(footer) == Some(frame.len() as u64)
            && number(frame, 0) == Some(SEEK_TABLE)
            && number(frame, 4) == u32::try_from(content.len()).ok();
        let entries = content.strip_suffix(footer)?.chunks_exact(entry_bytes(footer[4]));
        let frames = entries.map(|entry| {
            Some(Frame {
                stored_bytes: number(entry, 0)?,
                plain_bytes: number(entry, 4)?,
            })
        });
        let frames = frames.collect::<Option<_>>()?;
        is_whole.then_some(Self { frames })
    }
}

fn entry_bytes(descriptor: u8) -> usize {
    if descriptor & CHECKSUM_FLAG == 0 {
        ENTRY_BYTES
    } else {
        CHECKED_ENTRY_BYTES
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> SeekTable {
        let mut table = SeekTable::default();
        for (stored, plain) in [(100, 4 << 20), (30, 0), (7, 512)] {
            table.push(stored, plain).unwrap();
        }
        table
    }

    #[test]
    fn reads_what_it_wrote() {
        let frame = table().to_frame().unwrap();
        let footer = frame.last_chunk().unwrap();
        assert_eq!(SeekTable::frame_bytes(footer), Some(frame.len() as u64));
        assert_eq!(SeekTable::parse(&frame), Some(table()));
        assert_eq!(zstd::decode_all(frame.as_slice()).unwrap(), [0; 0]);
    }

    #[test]
    fn damage_is_no_table() {
        let frame = table().to_frame().unwrap();
        assert_eq!(SeekTable::parse(&frame[1..]), None);
        assert_eq!(SeekTable::parse(&[]), None);
        for at in [0, 5, frame.len() - 9, frame.len() - 5, frame.len() - 1] {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x40;
            assert_eq!(SeekTable::parse(&damaged), None, "{at}");
        }
    }
}

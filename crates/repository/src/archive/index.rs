//! The list of entries that an archive carries with it, so that listing it and reading one file need not read all of it.
//!
//! It stands in frames that every decompressor skips, between the frames of the tar stream: whenever a *piece* of the list is
//! full it is written, so that the memory that it takes does not grow with the archive. The last frame before the seek
//! table is the *root*, which says where the pieces are. A piece is JSON lines, compressed; what stands in it is data of
//! whoever wrote the archive and is checked like everything else in it.

use super::entry::{Entry, EntryKind, Place, path_of};
use super::seekable::{SKIPPABLE_HEADER_BYTES, skippable};
use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const PIECE_KIND: u8 = 0xA;
const ROOT_KIND: u8 = 0xB;
const ROOT_MAGIC: &[u8] = b"mainstay archive index\n";
const VERSION: u32 = 1;
/// A piece is written when it has so many bytes, uncompressed.
const PIECE_BYTES: usize = 2 << 20;
/// The greatest piece that is read, stored and uncompressed, bytes: a frame's worth of the longest paths fits.
pub const MAX_PIECE_BYTES: usize = 64 << 20;
/// The greatest root that is read, bytes: enough for some billion entries.
pub const MAX_ROOT_BYTES: usize = 16 << 20;
const LEVEL: i32 = 3;

/// One line of a piece. Short names, because there is a line for every file.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(rename = "p")]
    path: Text<'a>,
    #[serde(rename = "k")]
    kind: EntryKind,
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(rename = "m")]
    mode: u32,
    #[serde(rename = "u", default, skip_serializing_if = "is_zero_u32")]
    uid: u32,
    #[serde(rename = "g", default, skip_serializing_if = "is_zero_u32")]
    gid: u32,
    #[serde(rename = "t")]
    mtime: Timestamp,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    target: Option<Text<'a>>,
    #[serde(rename = "o")]
    offset: u64,
    #[serde(rename = "n")]
    length: u64,
    #[serde(rename = "c", default, skip_serializing_if = "is_zero_u32")]
    part: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

/// Bytes that are text most of the time.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text<'a> {
    Plain(std::borrow::Cow<'a, str>),
    Encoded { b64: String },
}

impl<'a> Text<'a> {
    fn new(path: &'a Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Plain(text.into()),
            None => Self::Encoded {
                b64: BASE64.encode(path.as_os_str().as_bytes()),
            },
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Plain(text) => Some(text.into_owned().into_bytes()),
            Self::Encoded { b64 } => BASE64.decode(b64).ok(),
        }
    }
}

/// Where a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PiecePlace {
    /// Where its frame begins in the compressed stream, bytes.
    pub offset: u64,
    /// Its frame, bytes.
    pub stored_bytes: u64,
}

/// Where everything is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    version: u32,
    /// In the order of the archive.
    pub pieces: Vec<PiecePlace>,
    /// How many there are in all pieces.
    pub entries: u64,
    /// The tar stream, bytes.
    pub tar_bytes: u64,
}

/// Collects entries into pieces.
#[derive(Debug, Default)]
pub struct IndexWriter {
    lines: Vec<u8>,
    root: Root,
}

impl IndexWriter {
    /// Add an entry.
    pub fn push(&mut self, entry: &Entry) -> Result<()> {
        let line = Line {
            path: Text::new(&entry.path),
            kind: entry.kind,
            size: entry.size,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            target: (!entry.target.as_os_str().is_empty()).then(|| Text::new(&entry.target)),
            offset: entry.place.offset,
            length: entry.place.length,
            part: entry.place.part,
        };
        serde_json::to_writer(&mut self.lines, &line).map_err(unwritable)?;
        self.lines.push(b'\n');
        self.root.entries += 1;
        Ok(())
    }

    /// The frame of a piece, if one is full. It has to be written at `offset` of the compressed stream.
    pub fn full_piece(&mut self, offset: u64) -> Result<Option<Vec<u8>>> {
        if self.lines.len() < PIECE_BYTES {
            return Ok(None);
        }
        self.last_piece(offset)
    }

    /// The frame of what is left, if anything is.
    pub fn last_piece(&mut self, offset: u64) -> Result<Option<Vec<u8>>> {
        if self.lines.is_empty() {
            return Ok(None);
        }
        let frame = skippable(
            PIECE_KIND,
            &zstd::bulk::compress(&self.lines, LEVEL).map_err(unwritable)?,
        )?;
        self.lines.clear();
        let stored_bytes = frame.len() as u64;
        self.root.pieces.push(PiecePlace { offset, stored_bytes });
        Ok(Some(frame))
    }

    /// The frame that says where the pieces are; the last one before the seek table.
    pub fn root(mut self, tar_bytes: u64) -> Result<Vec<u8>> {
        self.root.version = VERSION;
        self.root.tar_bytes = tar_bytes;
        let mut content = ROOT_MAGIC.to_vec();
        serde_json::to_writer(&mut content, &self.root).map_err(unwritable)?;
        skippable(ROOT_KIND, &content)
    }
}

fn unwritable(error: impl std::fmt::Display) -> Error {
    Error::Verification(format!("the archive's index cannot be made: {error}"))
}

/// The root from its frame; `None` if it is another frame, damaged, or of a version that is not known.
pub fn parse_root(frame: &[u8]) -> Option<Root> {
    let json = content(frame, ROOT_KIND)?.strip_prefix(ROOT_MAGIC)?;
    let root: Root = serde_json::from_slice(json).ok()?;
    (root.version == VERSION).then_some(root)
}

/// The entries of a piece from its frame; `None` if it is damaged.
pub fn parse_piece(frame: &[u8]) -> Option<Vec<Entry>> {
    let compressed = content(frame, PIECE_KIND)?;
    let size = zstd::zstd_safe::get_frame_content_size(compressed).ok()??;
    let size = usize::try_from(size).ok().filter(|size| *size <= MAX_PIECE_BYTES)?;
    let lines = zstd::bulk::decompress(compressed, size).ok()?;
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(parse_line).collect()
}

fn content(frame: &[u8], kind: u8) -> Option<&[u8]> {
    let (header, content) = frame.split_at_checked(SKIPPABLE_HEADER_BYTES)?;
    let expected = skippable(kind, &[]).ok()?;
    let length = u32::try_from(content.len()).ok()?;
    (header[..4] == expected[..4] && header[4..] == length.to_le_bytes()).then_some(content)
}

fn parse_line(line: &[u8]) -> Option<Entry> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let target = match line.target {
        Some(target) => target.bytes()?,
        None => Vec::new(),
    };
    Some(Entry {
        path: path_of(line.path.bytes()?),
        kind: line.kind,
        size: line.size,
        mode: line.mode & 0o7777,
        uid: line.uid,
        gid: line.gid,
        mtime: line.mtime,
        target: path_of(target),
        place: Place {
            offset: line.offset,
            length: line.length,
            part: line.part,
        },
    })
}

/// Any lines in a frame that is right.
#[cfg(fuzzing)]
pub fn fuzz_piece(lines: &[u8]) -> Option<Vec<u8>> {
    skippable(PIECE_KIND, &zstd::bulk::compress(lines, 1).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restic::node::{Node, NodeKind};

    fn entry(path: &[u8], number: u64) -> Entry {
        let node = Node::new("", NodeKind::File, 0o640);
        let mut entry = Entry::new(path, EntryKind::Symlink, &node, number, b"../\xff");
        entry.place = Place {
            offset: number * 512,
            length: 1024,
            part: (number % 3) as u32,
        };
        entry
    }

    #[test]
    fn reads_what_it_wrote_in_pieces() {
        let mut writer = IndexWriter::default();
        let entries: Vec<Entry> = (0..30_000)
            .map(|n| entry(format!("dir/{n}\u{fc}\n").as_bytes(), n))
            .collect();
        let (mut stream, mut found) = (Vec::new(), Vec::new());
        for entry in &entries {
            writer.push(entry).unwrap();
            stream.extend(writer.full_piece(stream.len() as u64).unwrap().unwrap_or_default());
        }
        writer.push(&entry(b"bad-\xff\xfe", 1)).unwrap();
        stream.extend(writer.last_piece(stream.len() as u64).unwrap().unwrap());
        assert_eq!(writer.last_piece(0).unwrap(), None);
        let root = parse_root(&writer.root(77).unwrap()).unwrap();
        assert!(root.pieces.len() > 1 && root.tar_bytes == 77 && root.entries == 30_001);
        for piece in root.pieces {
            let start = piece.offset as usize;
            found.extend(parse_piece(&stream[start..start + piece.stored_bytes as usize]).unwrap());
        }
        assert_eq!(found.pop(), Some(entry(b"bad-\xff\xfe", 1)));
        assert_eq!(found, entries);
        assert_eq!(zstd::decode_all(stream.as_slice()).unwrap(), [0; 0]);
    }

    #[test]
    fn damage_and_bombs_are_refused() {
        let mut writer = IndexWriter::default();
        writer.push(&entry(b"a", 1)).unwrap();
        let piece = writer.last_piece(0).unwrap().unwrap();
        assert!(parse_piece(&piece[..piece.len() - 1]).is_none() && parse_root(&piece).is_none());
        let bomb = zstd::bulk::compress(&vec![b'\n'; MAX_PIECE_BYTES + 1], 1).unwrap();
        assert!(parse_piece(&skippable(PIECE_KIND, &bomb).unwrap()).is_none());
        let newer = skippable(
            ROOT_KIND,
            &[ROOT_MAGIC, br#"{"version":2,"pieces":[],"entries":0,"tar_bytes":0}"#].concat(),
        );
        assert!(parse_root(&newer.unwrap()).is_none());
    }
}

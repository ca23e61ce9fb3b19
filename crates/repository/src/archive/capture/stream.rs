//! Streams of unknown length as members of a tar archive, whose headers begin with the length.
//!
//! Up to [`PART_BYTES`] a stream is kept in memory until it ends, and becomes an ordinary member. A longer one becomes several
//! members `NAME.part000001`, `NAME.part000002`, …, all but the last of [`PART_BYTES`]: `cat NAME.part*` puts it together, and
//! Mainstay does so by itself. The alternatives were to stage it on disk, which takes the space of a whole dump, and to read it twice,
//! which gives two different dumps.

use super::source::{Stream, shown};
use super::task::{Head, Piece};
use super::walk::Walker;
use crate::archive::entry::EntryKind;
use crate::archive::header::padding;
use crate::restic::node::{Node, NodeKind};
use crate::{Counters, Error, Result, clock};
use jiff::Timestamp;
use std::io::Read;

/// Longest member that a stream becomes, bytes.
pub const PART_BYTES: u64 = 32 << 20;
const CHUNK_BYTES: u64 = 1 << 20;
const STREAM_MODE: u32 = 0o600;

impl Walker<'_> {
    pub(super) fn stream(&mut self, name: &[u8], stream: Stream) -> Result<()> {
        let Stream {
            mut reader,
            finish,
            required,
        } = stream;
        let node = stream_node(clock::now());
        let first = read_part(&mut reader, name).and_then(|part| {
            // Only a stream that ended well is worth a member.
            if part.size < PART_BYTES {
                finish().map(|()| (part, None))
            } else {
                Ok((part, Some(finish)))
            }
        });
        match first {
            Ok((part, None)) => self.part(name, &node, part, 0)?,
            Ok((mut part, Some(finish))) => {
                for number in 1.. {
                    self.part(name, &node, part, number)?;
                    part = read_part(&mut reader, name)?;
                    if part.size == 0 {
                        break;
                    }
                }
                finish()?;
            }
            Err(error) if !required && !self.cancel.is_cancelled() => {
                self.reader.failed(name, &error);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.found += 1;
        Counters::add(&self.reader.monitor.counters().files, 1);
        Ok(())
    }

    fn part(&mut self, name: &[u8], node: &Node, part: Part, number: u32) -> Result<()> {
        let head = part_head(name, node, part.size, number);
        self.found_bytes += part.size;
        self.push(Piece::Head(Box::new(head)), 0)?;
        for chunk in part.chunks {
            Counters::add(&self.reader.monitor.counters().bytes, chunk.len() as u64);
            self.push(Piece::Bytes(chunk), 0)?;
        }
        self.push(Piece::Bytes(vec![0; padding(part.size)]), 0)
    }
}

/// What is known of every stream.
pub fn stream_node(mtime: Timestamp) -> Node {
    Node {
        mtime,
        ..Node::new("", NodeKind::File, STREAM_MODE)
    }
}

/// The head of a stream's member: of all of it (0), or of the piece with this number.
pub fn part_head(name: &[u8], node: &Node, size: u64, number: u32) -> Head {
    let mut name = name.to_vec();
    if number > 0 {
        name.extend(part_suffix(number));
    }
    let mut head = Head::new(&name, node.clone(), EntryKind::File);
    head.stored_bytes = size;
    head.part = number;
    head
}

/// How the name of a piece ends.
pub fn part_suffix(number: u32) -> Vec<u8> {
    format!(".part{number:06}").into_bytes()
}

/// As much of a stream as becomes one member.
#[derive(Default)]
struct Part {
    chunks: Vec<Vec<u8>>,
    size: u64,
}

fn read_part(reader: &mut impl Read, name: &[u8]) -> Result<Part> {
    let mut part = Part::default();
    while part.size < PART_BYTES {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES as usize);
        let read = reader.by_ref().take(CHUNK_BYTES).read_to_end(&mut chunk);
        read.map_err(Error::local("read", shown(name)))?;
        if chunk.is_empty() {
            break;
        }
        part.size += chunk.len() as u64;
        part.chunks.push(chunk);
    }
    Ok(part)
}

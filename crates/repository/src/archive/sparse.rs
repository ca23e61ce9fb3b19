//! Files with holes: which parts are stored, and the map that says where they belong.
//!
//! Source: GNU tar's manual, "Storing Sparse Files", PAX format version 1.0: the content in the archive is the map (decimal
//! numbers, each on a line: how many parts, then offset and size of each), padded to a block, and the parts one after the other.

use super::header::{BLOCK, padding};
use std::io::{self, Read};
use std::ops::Range;

/// More parts than this are not told apart: what follows is stored with its holes, as zeros. Bounds the memory that a file takes.
const MAX_PARTS: usize = 100_000;
/// Longest line of a map that is read, bytes: a number has at most 20 digits.
const MAX_LINE_BYTES: usize = 21;

/// Parts of a file in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseMap {
    /// What is stored, as ranges of the file.
    pub parts: Vec<Range<u64>>,
    /// Where each part begins in what is stored.
    starts: Vec<u64>,
    /// All parts together, bytes.
    pub data_bytes: u64,
}

impl SparseMap {
    /// The whole file is one part.
    pub fn whole(size: u64) -> Self {
        let mut map = Self::default();
        map.push(0..size);
        map
    }

    /// From the parts of a file of `size` bytes that hold data.
    pub fn new(segments: impl Iterator<Item = io::Result<Range<u64>>>, size: u64) -> io::Result<Self> {
        let mut map = Self::default();
        for segment in segments {
            let segment = segment?;
            if map.parts.len() == MAX_PARTS {
                map.push(segment.start..size);
                break;
            }
            map.push(segment);
        }
        Ok(map)
    }

    fn push(&mut self, part: Range<u64>) {
        self.starts.push(self.data_bytes);
        self.data_bytes += part.end - part.start;
        self.parts.push(part);
    }

    /// The map as it stands before the parts. A file that ends in a hole has an empty part at its end, as GNU tar writes it.
    pub fn to_text(&self, size: u64) -> Vec<u8> {
        let ends_in_hole = self.parts.last().is_none_or(|last| last.end < size);
        let count = self.parts.len() + usize::from(ends_in_hole);
        let mut text = format!("{count}\n");
        for part in self.parts.iter().chain(ends_in_hole.then_some(&(size..size))) {
            text.push_str(&format!("{}\n{}\n", part.start, part.end - part.start));
        }
        let mut text = text.into_bytes();
        text.resize(text.len() + padding(text.len() as u64), 0);
        text
    }

    /// What of this range of the file is stored.
    pub fn stored(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.parts.partition_point(|part| part.end <= range.start);
        let parts = self.parts[first..].iter();
        let end = range.end;
        parts
            .take_while(move |part| part.start < end)
            .map(move |part| part.start.max(range.start)..part.end.min(end))
    }

    /// Where the bytes `range` of what is stored belong in the file.
    pub fn places(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self
            .starts
            .partition_point(|start| *start <= range.start)
            .saturating_sub(1);
        let parts = self.starts.iter().zip(&self.parts).skip(first);
        let end = range.end;
        parts
            .take_while(move |(start, _)| **start < end)
            .map(move |(start, part)| {
                let from = part.start + range.start.saturating_sub(*start);
                let to = part.end.min(part.start + (range.end - start));
                from..to
            })
            .filter(|place| place.start < place.end)
    }
}

/// Read a map from the beginning of a member's content, with its padding: parts of a file of `size` bytes.
///
/// # Errors
/// `InvalidData` if it is not a map, or its parts overlap, are out of order, too many, or behind the end.
pub fn read_map(content: &mut impl Read, size: u64) -> io::Result<Vec<Range<u64>>> {
    let mut read_bytes = 0;
    let count = read_number(content, &mut read_bytes)?;
    if count > MAX_PARTS as u64 + 2 {
        return Err(invalid());
    }
    let mut parts: Vec<Range<u64>> = Vec::new();
    for _ in 0..count {
        let start = read_number(content, &mut read_bytes)?;
        let length = read_number(content, &mut read_bytes)?;
        let end = start
            .checked_add(length)
            .filter(|end| *end <= size)
            .ok_or_else(invalid)?;
        if parts.last().is_some_and(|last| start < last.end) {
            return Err(invalid());
        }
        parts.push(start..end);
    }
    let mut rest = [0; BLOCK as usize];
    content.read_exact(&mut rest[..padding(read_bytes)])?;
    Ok(parts)
}

fn read_number(content: &mut impl Read, read_bytes: &mut u64) -> io::Result<u64> {
    let (mut line, mut byte) = (Vec::with_capacity(MAX_LINE_BYTES), [0]);
    loop {
        content.read_exact(&mut byte)?;
        *read_bytes += 1;
        if byte == *b"\n" {
            break;
        }
        line.push(byte[0]);
        if line.len() > MAX_LINE_BYTES {
            return Err(invalid());
        }
    }
    std::str::from_utf8(&line)
        .ok()
        .and_then(|line| line.parse().ok())
        .ok_or_else(invalid)
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the map of a sparse file is damaged")
}

#[cfg(test)]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "parts are ranges, and some files have one"
)]
mod tests {
    use super::*;

    fn map(parts: &[Range<u64>], size: u64) -> SparseMap {
        SparseMap::new(parts.iter().cloned().map(Ok), size).unwrap()
    }

    #[test]
    fn a_map_reads_back() {
        let parts = [4096..8192, 20_000..20_001];
        let text = map(&parts, 30_000).to_text(30_000);
        assert_eq!(text.len(), 512);
        let mut content = text.as_slice();
        assert_eq!(
            read_map(&mut content, 30_000).unwrap(),
            [4096..8192, 20_000..20_001, 30_000..30_000]
        );
        assert!(content.is_empty());
        assert_eq!(&map(&[], 7).to_text(7)[..6], b"1\n7\n0\n");
        assert_eq!(&map(&[0..7], 7).to_text(7)[..6], b"1\n0\n7\n");
    }

    #[test]
    fn stored_bytes_have_places() {
        let map = map(&[10..20, 50..55, 100..200], 300);
        let places = |range| map.places(range).collect::<Vec<_>>();
        assert_eq!(map.data_bytes, 115);
        assert_eq!(places(0..115), [10..20, 50..55, 100..200]);
        assert_eq!(places(3..12), [13..20, 50..52]);
        assert_eq!(places(10..15), [50..55]);
        assert_eq!(places(114..115), [199..200]);
        assert_eq!(SparseMap::whole(0).places(0..0).count(), 0);
    }

    #[test]
    fn places_are_stored_or_not() {
        let map = map(&[10..20, 50..55, 100..200], 300);
        let stored = |range| map.stored(range).collect::<Vec<_>>();
        assert_eq!(stored(0..300), [10..20, 50..55, 100..200]);
        assert_eq!(stored(15..52), [15..20, 50..52]);
        assert_eq!(stored(20..50), []);
        assert_eq!(stored(200..300), []);
    }

    #[test]
    fn too_many_parts_are_not_told_apart() {
        let many = (0..200_000_u64).map(|n| Ok(n * 2..n * 2 + 1));
        let map = SparseMap::new(many, 400_000).unwrap();
        assert_eq!(map.parts.len(), MAX_PARTS + 1);
        assert_eq!(map.parts.last(), Some(&(200_000..400_000)));
    }

    #[test]
    fn forged_maps_are_refused() {
        for text in [
            "",
            "1\n",
            "x\n",
            "-1\n",
            "1\n5\n6\n",
            "2\n0\n5\n4\n1\n",
            "200000\n",
            "1\n18446744073709551615\n2\n",
            &"1".repeat(600),
        ] {
            let mut padded = text.as_bytes().to_vec();
            padded.resize(1024, 0);
            assert!(read_map(&mut padded.as_slice(), 10).is_err(), "{text}");
        }
    }
}

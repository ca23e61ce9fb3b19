//! Which parts of which packs are read.

use crate::restic::pack::PackedBlob;
use std::ops::Range;

/// A blob that a file needs.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// Number of its pack in the window.
    pub pack: u32,
    /// Its place there.
    pub blob: PackedBlob,
    /// Number of the piece of a file in the window.
    pub piece: u32,
    /// Where it begins in the file, bytes.
    pub offset: u64,
}

/// A part of a pack, and the blobs that are needed from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Number of the pack in the window.
    pub pack: u32,
    /// Bytes of the pack.
    pub range: Range<u32>,
    /// Numbers of the sorted uses.
    pub uses: Range<usize>,
}

/// Bytes between two blobs that are rather read too than that a further request is made.
const MAX_GAP_BYTES: u32 = 256 << 10;

/// Sort `uses` as they lie in the packs, and group them into ranges of at most `max_bytes`; a blob that is longer is a range of its own.
/// All uses of a blob come into the same range.
pub fn group(uses: &mut [Use], max_bytes: u32) -> Vec<Read> {
    uses.sort_unstable_by_key(|one| (one.pack, one.blob.offset, one.piece, one.offset));
    let mut reads: Vec<Read> = Vec::new();
    for (at, one) in uses.iter().enumerate() {
        let (start, end) = (one.blob.offset, one.blob.offset.saturating_add(one.blob.length));
        match reads.last_mut() {
            Some(last) if last.pack == one.pack && fits(&last.range, start, end, max_bytes) => {
                last.range.end = last.range.end.max(end);
                last.uses.end = at + 1;
            }
            _ => reads.push(Read {
                pack: one.pack,
                range: start..end,
                uses: at..at + 1,
            }),
        }
    }
    reads
}

fn fits(range: &Range<u32>, start: u32, end: u32, max_bytes: u32) -> bool {
    end <= range.end || (start.saturating_sub(range.end) <= MAX_GAP_BYTES && end - range.start <= max_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Id;
    use crate::restic::pack::BlobKind;

    fn one(pack: u32, offset: u32, length: u32, piece: u32) -> Use {
        let blob = PackedBlob {
            id: Id::default(),
            kind: BlobKind::Data,
            offset,
            length,
            uncompressed_length: None,
        };
        Use {
            pack,
            blob,
            piece,
            offset: 0,
        }
    }

    #[test]
    fn neighbours_are_read_at_once() {
        let mut uses = [
            one(0, 100, 100, 1),
            one(1, 0, 50, 0),
            one(0, 0, 100, 0),
            one(0, 100, 100, 0),
        ];
        assert_eq!(
            group(&mut uses, 1000),
            [
                Read {
                    pack: 0,
                    range: 0..200,
                    uses: 0..3
                },
                Read {
                    pack: 1,
                    range: 0..50,
                    uses: 3..4
                }
            ]
        );
        let gap = 300 << 10;
        let reads = group(&mut [one(0, 0, 10, 0), one(0, gap, 10, 0)], u32::MAX);
        assert_eq!(reads.len(), 2);
        let reads = group(
            &mut [
                one(0, 0, 600, 0),
                one(0, 600, 600, 0),
                one(0, 1200, 5000, 0),
                one(0, 6200, 1, 0),
            ],
            1200,
        );
        assert_eq!(
            reads.iter().map(|read| read.range.clone()).collect::<Vec<_>>(),
            [0..1200, 1200..6200, 6200..6201]
        );
        assert!(group(&mut [], 1).is_empty());
    }
}

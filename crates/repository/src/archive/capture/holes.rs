//! Where the files of a snapshot had holes, which it does not say.

use super::segment::SMALL_BYTES;
use super::snapshot::{SnapshotReader, StoredBlob};
use crate::Result;
use crate::archive::sparse::SparseMap;
use crate::restic::restore::sparse::data_ranges;
use std::ops::Range;

/// Shorter runs of zeros are stored as they are, bytes.
const MIN_HOLE_BYTES: u64 = 64 << 10;
/// What is compressed to less than this part of its length holds long runs of zeros. Text is not compressed that much.
const ZEROS_RATIO: u64 = 50;

/// Which parts of a file have to be stored. Only files that seem to hold long runs of zeros are looked at more closely.
pub fn map(content: &[StoredBlob], size: u64, reader: &mut SnapshotReader<'_>) -> Result<SparseMap> {
    if size <= SMALL_BYTES || !may_have_holes(content) {
        return Ok(SparseMap::whole(size));
    }
    let (mut parts, mut offset, mut zeros) = (Vec::new(), 0, None);
    for blob in content {
        if zeros != Some(blob.id) {
            let bytes = reader.read(&blob.id, &(0..blob.length))?;
            let mut data = data_ranges(bytes, offset).peekable();
            zeros = data.peek().is_none().then_some(blob.id);
            data.for_each(|part| add(&mut parts, offset + part.start as u64..offset + part.end as u64));
        }
        offset += blob.length;
    }
    // These ranges are no errors.
    Ok(SparseMap::new(parts.into_iter().map(Ok), size).unwrap_or_else(|_| SparseMap::whole(size)))
}

fn may_have_holes(content: &[StoredBlob]) -> bool {
    let is_small = |blob: &StoredBlob| blob.stored_bytes * ZEROS_RATIO < blob.length;
    // Where nothing is compressed, a long hole is the same blob again and again.
    content.iter().any(is_small) || content.windows(2).any(|pair| pair[0].id == pair[1].id)
}

fn add(parts: &mut Vec<Range<u64>>, part: Range<u64>) {
    match parts.last_mut() {
        Some(last) if part.start - last.end < MIN_HOLE_BYTES => last.end = part.end,
        _ => parts.push(part),
    }
}

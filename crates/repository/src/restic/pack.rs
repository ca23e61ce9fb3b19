//! Pack files: sealed blobs one after the other, then a sealed header that lists them, then the header's length.
//!
//! Source: "Pack Format" in restic's design document.

use super::crypto::{Key, OVERHEAD};
use crate::{Error, Id, Result};

/// What a blob holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// Content of files.
    Data,
    /// A directory.
    Tree,
}

impl BlobKind {
    /// `data` or `tree`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Tree => "tree",
        }
    }
}

/// A blob's place within its pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedBlob {
    /// SHA-256 of the plain text.
    pub id: Id,
    /// What it holds.
    pub kind: BlobKind,
    /// Where the sealed blob begins, bytes from the start of the pack.
    pub offset: u32,
    /// Length of the sealed blob, bytes.
    pub length: u32,
    /// Length of the plain text if it was compressed before it was sealed.
    pub uncompressed_length: Option<u32>,
}

impl PackedBlob {
    /// Length of the plain text, bytes.
    pub fn plain_length(&self) -> u32 {
        self.uncompressed_length
            .unwrap_or_else(|| self.length.saturating_sub(OVERHEAD as u32))
    }

    /// Bytes that its entry takes in the header.
    pub fn header_length(&self) -> usize {
        if self.uncompressed_length.is_some() {
            COMPRESSED_ENTRY
        } else {
            PLAIN_ENTRY
        }
    }
}

const PLAIN_ENTRY: usize = 1 + 4 + 32;
const COMPRESSED_ENTRY: usize = PLAIN_ENTRY + 4;

/// Longest header that restic reads, bytes.
pub const MAX_HEADER: usize = 16 << 20;

/// Longest blob that is believed, sealed or plain, bytes. Nobody writes longer ones, and the index's [table](super::index::table)
/// has no room for a higher number.
pub const MAX_BLOB: u32 = (1 << 31) - 1;

/// Bytes behind the blobs: the sealed header and its length.
pub fn trailer_length(blobs: impl IntoIterator<Item = PackedBlob>) -> usize {
    blobs.into_iter().map(|blob| blob.header_length()).sum::<usize>() + OVERHEAD + 4
}

/// The end of a pack: the sealed header that lists `blobs`, and its length.
pub fn trailer(key: &Key, blobs: &[PackedBlob]) -> Vec<u8> {
    let mut header = Vec::with_capacity(blobs.len() * COMPRESSED_ENTRY);
    for blob in blobs {
        let compressed = blob.uncompressed_length.is_some();
        header.push(match (blob.kind, compressed) {
            (BlobKind::Data, false) => 0,
            (BlobKind::Tree, false) => 1,
            (BlobKind::Data, true) => 2,
            (BlobKind::Tree, true) => 3,
        });
        header.extend_from_slice(&blob.length.to_le_bytes());
        if let Some(length) = blob.uncompressed_length {
            header.extend_from_slice(&length.to_le_bytes());
        }
        header.extend_from_slice(&blob.id.0);
    }
    let mut trailer = key.seal(&header);
    let length = trailer.len() as u32;
    trailer.extend_from_slice(&length.to_le_bytes());
    trailer
}

/// The blobs of a whole pack, read from its header.
pub fn parse(key: &Key, id: &Id, pack: &[u8]) -> Result<Vec<PackedBlob>> {
    let damaged = |reason: &str| Error::damaged("pack", id, reason);
    let (rest, length) = pack.split_last_chunk::<4>().ok_or_else(|| damaged("it is too short"))?;
    let length = u32::from_le_bytes(*length) as usize;
    let start = rest
        .len()
        .checked_sub(length)
        .ok_or_else(|| damaged("its header's length is longer than the pack"))?;
    parse_header(key, id, &rest[start..], start as u64)
}

/// The blobs that a sealed header lists. `header_start` is the header's offset in the pack, where the last blob has to end.
pub fn parse_header(key: &Key, id: &Id, sealed: &[u8], header_start: u64) -> Result<Vec<PackedBlob>> {
    let damaged = |reason: &str| Error::damaged("pack", id, reason);
    let header = key
        .open(sealed)
        .map_err(|error| Error::damaged("pack", id, format!("its header cannot be opened: {error}")))?;
    let mut blobs = Vec::with_capacity(header.len() / PLAIN_ENTRY);
    let (mut rest, mut offset) = (header.as_slice(), 0_u64);
    while !rest.is_empty() {
        let blob =
            take_entry(&mut rest, offset).ok_or_else(|| damaged("its header holds an entry that is not valid"))?;
        offset += u64::from(blob.length);
        blobs.push(blob);
    }
    if offset != header_start {
        return Err(damaged("its header does not list all of its content"));
    }
    Ok(blobs)
}

fn take_entry(rest: &mut &[u8], offset: u64) -> Option<PackedBlob> {
    let (kind, compressed) = match take::<1>(rest)?[0] {
        0 => (BlobKind::Data, false),
        1 => (BlobKind::Tree, false),
        2 => (BlobKind::Data, true),
        3 => (BlobKind::Tree, true),
        _ => return None,
    };
    let length = u32::from_le_bytes(take(rest)?);
    let uncompressed_length = if compressed {
        Some(u32::from_le_bytes(take(rest)?))
    } else {
        None
    };
    let id = Id(take(rest)?);
    let is_sane =
        (OVERHEAD as u32..=MAX_BLOB).contains(&length) && uncompressed_length.is_none_or(|length| length <= MAX_BLOB);
    is_sane.then_some(PackedBlob {
        id,
        kind,
        offset: offset.try_into().ok()?,
        length,
        uncompressed_length,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(key: &Key) -> (Vec<u8>, Vec<PackedBlob>) {
        let mut pack = Vec::new();
        let mut blobs = Vec::new();
        for (text, kind, uncompressed_length) in [
            ("one", BlobKind::Data, None),
            ("two!", BlobKind::Data, Some(77)),
            ("", BlobKind::Tree, Some(0)),
            ("x", BlobKind::Tree, None),
        ] {
            let offset = pack.len() as u32;
            key.seal_into(text.as_bytes(), &mut pack);
            blobs.push(PackedBlob {
                id: Id::hash(text.as_bytes()),
                kind,
                offset,
                length: pack.len() as u32 - offset,
                uncompressed_length,
            });
        }
        pack.extend(trailer(key, &blobs));
        (pack, blobs)
    }

    #[test]
    fn header_and_back() {
        let key = Key::random();
        let (pack, blobs) = sample(&key);
        assert_eq!(parse(&key, &Id::hash(&pack), &pack).unwrap(), blobs);
        let content: usize = blobs.iter().map(|blob| blob.length as usize).sum();
        assert_eq!(pack.len(), content + trailer_length(blobs));
    }

    #[test]
    fn damage_is_an_error() {
        let key = Key::random();
        let (pack, _) = sample(&key);
        let id = Id::hash(&pack);
        for length in 0..pack.len() {
            assert!(parse(&key, &id, &pack[..length]).is_err(), "{length}");
        }
        let mut shifted = vec![0];
        shifted.extend_from_slice(&pack);
        assert!(parse(&key, &id, &shifted).is_err());
    }
}

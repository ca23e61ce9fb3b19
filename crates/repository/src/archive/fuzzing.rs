//! What only fuzzers reach into.

use super::index::{fuzz_piece, parse_piece, parse_root};
use super::manifest::{Manifest, SUFFIX, is_part_of};
use super::reader;
use super::seekable::SeekTable;

/// Bytes as a manifest. What it names has to be its own.
pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(&format!("a{SUFFIX}"), bytes) {
        assert!(manifest.parts.iter().all(|part| is_part_of("a", &part.name)));
    }
}

/// Bytes as an index: frames as they stand, and lines in a frame that is right.
pub fn index(bytes: &[u8]) {
    std::hint::black_box((parse_root(bytes), parse_piece(bytes), SeekTable::parse(bytes)));
    if let Some(piece) = fuzz_piece(bytes) {
        std::hint::black_box(parse_piece(&piece));
    }
    reader::fuzz_indexed(bytes);
}

/// Bytes as a tar stream.
pub fn tar(bytes: &[u8]) {
    reader::fuzz_tar(bytes);
}

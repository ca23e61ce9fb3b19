//! What several fuzz targets need.

use repository::Id;
use repository::restic::crypto::Key;

/// The same key in every run, so that an input that was kept means the same again.
pub fn key() -> Key {
    Key::from_bytes(&[7; 64])
}

/// Names the object that a target parses; which one makes no difference.
pub const OBJECT: Id = Id([3; 32]);

/// A number from the first eight bytes, and the rest.
pub fn take_number(data: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = data.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), rest))
}

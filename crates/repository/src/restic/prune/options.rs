//! What may be repacked, and how much is left lying.

use crate::restic::packer::DEFAULT_PACK_SIZE;
use crate::size::{UnknownSize, parse_size};
use std::str::FromStr;

/// How a repository is pruned.
#[derive(Clone, Debug)]
pub struct PruneOptions {
    /// What may remain unused; repacking costs reading and writing.
    pub max_unused: MaxUnused,
    /// Packs of this many bytes are repacked at most.
    pub max_repack_bytes: Option<u64>,
    /// Repack only packs of directories, which lie in the cache.
    pub repack_cacheable_only: bool,
    /// Repack packs that are much smaller than `pack_size`.
    pub repack_small: bool,
    /// Repack blobs that are not compressed, and compress them.
    pub repack_uncompressed: bool,
    /// Size of new packs, bytes.
    pub pack_size: usize,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            max_unused: MaxUnused::Percent(5.0),
            max_repack_bytes: None,
            repack_cacheable_only: false,
            repack_small: false,
            repack_uncompressed: false,
            pack_size: DEFAULT_PACK_SIZE,
        }
    }
}

/// How much may remain unused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxUnused {
    /// Of the repository's size after the prune.
    Percent(f64),
    /// So many bytes.
    Bytes(u64),
    /// Only packs without anything in use are deleted.
    Unlimited,
}

impl MaxUnused {
    /// Bytes that may remain unused beside `used` bytes in use.
    pub fn limit(self, used: u64) -> u64 {
        match self {
            Self::Percent(percent) => (percent / (100.0 - percent) * used as f64) as u64,
            Self::Bytes(bytes) => bytes,
            Self::Unlimited => u64::MAX,
        }
    }
}

impl FromStr for MaxUnused {
    type Err = UnknownSize;

    fn from_str(text: &str) -> Result<Self, UnknownSize> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        match text.strip_suffix('%') {
            None => parse_size(text).map(Self::Bytes),
            Some(number) => match number.parse() {
                Ok(percent) if (0.0..100.0).contains(&percent) => Ok(Self::Percent(percent)),
                _ => Err(UnknownSize(text.to_owned())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_and_percentages() {
        assert_eq!("5%".parse(), Ok(MaxUnused::Percent(5.0)));
        assert_eq!("0".parse(), Ok(MaxUnused::Bytes(0)));
        assert_eq!("unlimited".parse(), Ok(MaxUnused::Unlimited));
        for text in ["", "G", "-1", "100%", "x%", "99999999999T", "ä"] {
            assert!(text.parse::<MaxUnused>().is_err(), "{text}");
        }
        assert_eq!(MaxUnused::Percent(5.0).limit(950), 50);
    }
}

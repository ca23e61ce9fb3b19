//! What may be repacked, and how much is left lying.

use crate::restic::packer::DEFAULT_PACK_SIZE;
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

/// The text is not a size, or not a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size such as `5%`, `200M`, `10G`")]
pub struct UnknownSize(pub String);

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

/// Bytes, with the units that restic knows: `k`, `m`, `g`, `t` in either case are powers of 1024.
pub fn parse_size(text: &str) -> Result<u64, UnknownSize> {
    let unknown = || UnknownSize(text.to_owned());
    let shift = match text.bytes().last().ok_or_else(unknown)?.to_ascii_lowercase() {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        b't' => 40,
        _ => 0,
    };
    let digits = if shift == 0 {
        text.strip_suffix(['b', 'B']).unwrap_or(text)
    } else {
        &text[..text.len() - 1]
    };
    let number: u64 = digits.parse().map_err(|_| unknown())?;
    number.checked_mul(1 << shift).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_and_percentages() {
        assert_eq!(parse_size("10G").unwrap(), 10 << 30);
        assert_eq!(parse_size("7").unwrap(), 7);
        assert_eq!("5%".parse(), Ok(MaxUnused::Percent(5.0)));
        assert_eq!("0".parse(), Ok(MaxUnused::Bytes(0)));
        assert_eq!("unlimited".parse(), Ok(MaxUnused::Unlimited));
        for text in ["", "G", "-1", "100%", "x%", "99999999999T", "ä"] {
            assert!(text.parse::<MaxUnused>().is_err(), "{text}");
        }
        assert_eq!(MaxUnused::Percent(5.0).limit(950), 50);
    }
}

//! Which packs a check reads.

use crate::Id;
use crate::size::{UnknownSize, parse_size};
use std::str::FromStr;

/// A part of all packs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReadSubset {
    /// Every pack.
    All,
    /// This share of the packs, chosen at random; one at least.
    Percent(f64),
    /// The `n`th of `of` parts: after all parts every pack has been read, as long as `of` stays the same.
    Part {
        /// From 1.
        n: u8,
        /// How many parts, up to 255.
        of: u8,
    },
    /// Packs chosen at random until they are this many bytes.
    Size(u64),
}

impl FromStr for ReadSubset {
    type Err = UnknownSize;

    fn from_str(text: &str) -> Result<Self, UnknownSize> {
        let unknown = || UnknownSize(text.to_owned());
        if let Some(number) = text.strip_suffix('%') {
            let percent: f64 = number.parse().map_err(|_| unknown())?;
            return if percent > 0.0 && percent <= 100.0 {
                Ok(Self::Percent(percent))
            } else {
                Err(unknown())
            };
        }
        if let Some((n, of)) = text.split_once('/') {
            let (n, of) = (n.parse().map_err(|_| unknown())?, of.parse().map_err(|_| unknown())?);
            return if 1 <= n && n <= of {
                Ok(Self::Part { n, of })
            } else {
                Err(unknown())
            };
        }
        parse_size(text).map(Self::Size)
    }
}

impl ReadSubset {
    /// Choose among packs: number, id, size.
    pub(super) fn choose(self, mut packs: Vec<(u32, Id, u64)>) -> Vec<(u32, Id, u64)> {
        match self {
            Self::All => {}
            Self::Part { n, of } => packs.retain(|(_, id, _)| id.0[0] % of == n - 1),
            Self::Percent(percent) => {
                let count = (packs.len() as f64 * percent / 100.0).ceil() as usize;
                fastrand::shuffle(&mut packs);
                packs.truncate(count.max(1));
            }
            Self::Size(bytes) => {
                fastrand::shuffle(&mut packs);
                let mut sum = 0;
                let enough = packs.iter().position(|(_, _, size)| {
                    sum += size;
                    sum >= bytes
                });
                packs.truncate(enough.map_or(packs.len(), |at| at + 1));
            }
        }
        packs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        let packs: Vec<_> = (0..500_u32).map(|n| (n, Id::hash(&n.to_le_bytes()), 10)).collect();
        let parts: usize = (1..=7)
            .map(|n| ReadSubset::Part { n, of: 7 }.choose(packs.clone()).len())
            .sum();
        assert_eq!(parts, 500);
        assert_eq!(ReadSubset::Percent(5.0).choose(packs.clone()).len(), 25);
        assert_eq!(ReadSubset::Size(95).choose(packs.clone()).len(), 10);
        assert_eq!(ReadSubset::All.choose(packs).len(), 500);
    }

    #[test]
    fn reads_what_restic_reads() {
        assert_eq!("5%".parse(), Ok(ReadSubset::Percent(5.0)));
        assert_eq!("2/7".parse(), Ok(ReadSubset::Part { n: 2, of: 7 }));
        assert_eq!("10G".parse(), Ok(ReadSubset::Size(10 << 30)));
        for text in ["0%", "101%", "0/7", "8/7", "1/300", "", "x"] {
            assert!(text.parse::<ReadSubset>().is_err(), "{text}");
        }
    }
}

//! Sizes, rates and durations as people write them.

use std::num::NonZeroU64;
use std::time::Duration;

/// A size in bytes: `1048576`, `64K`, `5M`, `2.5G`.
pub fn size(text: &str) -> Result<u64, String> {
    repository::parse_size(text).map_err(|_| format!("`{text}` is not a size such as `500M` or `2G`"))
}

/// A rate in bytes per second. A number without a unit is in KiB/s, as restic's; else as [`size`].
pub fn rate(text: &str) -> Result<NonZeroU64, String> {
    repository::parse_size_in(text.strip_suffix("/s").unwrap_or(text), 10)
        .ok()
        .and_then(NonZeroU64::new)
        .ok_or_else(|| format!("`{text}` is not a rate such as `500` (KiB/s) or `10M`"))
}

/// A duration: `90s`, `10m`, `1h30m`, `2d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("`{text}` is not a duration such as `90s`, `10m` or `1h30m`");
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let number: u64 = rest[..digits].parse().map_err(|_| refuse())?;
        let seconds = match rest[digits..].chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86400,
            _ => return Err(refuse()),
        };
        total = number
            .checked_mul(seconds)
            .and_then(|seconds| total.checked_add(seconds))
            .ok_or_else(refuse)?;
        rest = &rest[digits + 1..];
    }
    if text.is_empty() {
        Err(refuse())
    } else {
        Ok(Duration::from_secs(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_without_unit_are_kib() {
        assert_eq!(rate("100").unwrap().get(), 100 << 10);
        assert_eq!(rate("10M").unwrap().get(), 10 << 20);
        assert_eq!(rate("10MiB/s").unwrap().get(), 10 << 20);
        assert!(rate("0").is_err());
    }

    #[test]
    fn durations() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        for text in ["", "10", "m", "1x", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}

//! Sizes, rates and durations as people write them.

use std::num::NonZeroU64;
use std::time::Duration;

/// A size in bytes: `1048576`, `64K`, `5M`, `2.5G`, `1T`, also with `B` or `iB` behind. All units are powers of 1024, as restic's.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let shift = shift(unit).ok_or_else(|| format!("`{text}` is not a size such as `500M` or `2G`"))?;
    scaled(number, shift).ok_or_else(|| format!("`{text}` is not a size such as `500M` or `2G`"))
}

/// A rate in bytes per second. A number without a unit is in KiB/s, as restic's; else as [`size`].
pub fn rate(text: &str) -> Result<NonZeroU64, String> {
    let (number, unit) = split(text.strip_suffix("/s").unwrap_or(text));
    let shift = if unit.is_empty() { Some(10) } else { shift(unit) };
    shift
        .and_then(|shift| scaled(number, shift))
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

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// By how many bits to shift for a unit.
fn shift(unit: &str) -> Option<u32> {
    let letter = unit
        .strip_suffix("iB")
        .or_else(|| unit.strip_suffix(['B', 'b']))
        .unwrap_or(unit);
    match letter {
        "" => Some(0),
        "k" | "K" => Some(10),
        "m" | "M" => Some(20),
        "g" | "G" => Some(30),
        "t" | "T" => Some(40),
        _ => None,
    }
}

fn scaled(number: &str, shift: u32) -> Option<u64> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift);
    }
    let value = number.parse::<f64>().ok()? * (1_u64 << shift) as f64;
    (value.is_finite() && value < u64::MAX as f64).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("1k", 1024),
            ("5M", 5 << 20),
            ("1.5GiB", 3 << 29),
            ("2 TB", 2 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "1X", "-1", "1e3", "99999999T", "1..2K"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

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

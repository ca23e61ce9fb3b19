//! Sizes as people write them.

/// The text is not a size, or not a percentage where one is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size such as `5%`, `200M` or `10G`")]
pub struct UnknownSize(pub String);

/// Bytes that `text` stands for: `1048576`, `64k`, `5M`, `2.5G`, `1T`, also with `B` or `iB` behind. All units are powers of 1024, as
/// restic's.
pub fn parse_size(text: &str) -> Result<u64, UnknownSize> {
    parse_size_in(text, 0)
}

/// As [`parse_size`]; a number without a unit counts `1 << shift` bytes.
pub fn parse_size_in(text: &str, shift: u32) -> Result<u64, UnknownSize> {
    let trimmed = text.trim();
    let end = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = (&trimmed[..end], trimmed[end..].trim_start());
    shift_of(unit, shift)
        .and_then(|shift| scaled(number, shift))
        .ok_or_else(|| UnknownSize(text.to_owned()))
}

fn shift_of(unit: &str, without: u32) -> Option<u32> {
    if unit.is_empty() {
        return Some(without);
    }
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
    fn units_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("7b", 7),
            ("1k", 1024),
            ("5M", 5 << 20),
            ("1.5GiB", 3 << 29),
            ("2 TB", 2 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "M",
            "1X",
            "-1",
            "+1",
            "1e3",
            "99999999T",
            "1..2K",
            "1kb2",
            "99999999999999999999",
            "é",
            "18446744073709551615k",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(parse_size_in("3", 10), Ok(3072));
        assert_eq!(parse_size_in("3B", 10), Ok(3));
    }
}

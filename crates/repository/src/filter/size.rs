//! Sizes as people write them.

use crate::{Error, Result};

/// Bytes that `text` stands for: a number, alone or followed by `b`, `k`, `m`, `g` or `t` for powers of 1024, as in restic.
///
/// # Errors
/// [`Error::Refused`] if it is anything else or too large.
pub fn parse_size(text: &str) -> Result<u64> {
    let (number, shift) = match text
        .char_indices()
        .last()
        .map(|(at, unit)| (at, unit.to_ascii_lowercase()))
    {
        Some((at, 'b')) => (&text[..at], 0),
        Some((at, 'k')) => (&text[..at], 10),
        Some((at, 'm')) => (&text[..at], 20),
        Some((at, 'g')) => (&text[..at], 30),
        Some((at, 't')) => (&text[..at], 40),
        _ => (text, 0),
    };
    let number = if number.bytes().all(|digit| digit.is_ascii_digit()) {
        number.parse::<u64>().ok()
    } else {
        None
    };
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| Error::Refused {
            message: format!("`{text}` is not a size"),
            hint: "Write a number of bytes, or one with a unit, such as `500k`, `20M` or `3G`.".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("7", 7),
            ("7b", 7),
            ("2k", 2048),
            ("3M", 3 << 20),
            ("4G", 4 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes);
        }
        for text in [
            "",
            "k",
            "-1",
            "+1",
            "1.5G",
            "1 k",
            "1kb",
            "99999999999999999999",
            "18446744073709551615k",
            "é",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}

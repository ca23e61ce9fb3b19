//! Spans of time as restic writes them.

use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Calendar years, months and days and hours, such as `1y5m7d2h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duration {
    /// Years.
    pub years: u32,
    /// Months.
    pub months: u32,
    /// Days.
    pub days: u32,
    /// Hours.
    pub hours: u32,
}

/// More of anything is a typing error, and keeps calculations within their ranges.
const MAX: u32 = 10_000_000;

impl Duration {
    /// Whether it is nothing: the rule that has it does not apply.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl FromStr for Duration {
    type Err = Error;

    /// Numbers with the units `y`, `m`, `d` and `h` in any order, each at most once. Restic takes negative numbers and repeated
    /// units too, which never mean what was wanted.
    fn from_str(text: &str) -> Result<Self> {
        parse(text.trim()).ok_or_else(|| Error::Refused {
            message: format!("`{text}` is not a duration"),
            hint: "Write years, months, days and hours like this: `1y5m7d2h`.".to_owned(),
        })
    }
}

fn parse(mut text: &str) -> Option<Duration> {
    let [mut years, mut months, mut days, mut hours] = [None; 4];
    while !text.is_empty() {
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number = text[..digits].parse().ok().filter(|number| *number <= MAX)?;
        let field = match text.as_bytes()[digits] {
            b'y' => &mut years,
            b'm' => &mut months,
            b'd' => &mut days,
            b'h' => &mut hours,
            _ => return None,
        };
        if field.replace(number).is_some() {
            return None;
        }
        text = &text[digits + 1..];
    }
    let [years, months, days, hours] = [years, months, days, hours].map(Option::unwrap_or_default);
    Some(Duration {
        years,
        months,
        days,
        hours,
    })
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, unit) in [
            (self.years, 'y'),
            (self.months, 'm'),
            (self.days, 'd'),
            (self.hours, 'h'),
        ] {
            if number != 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for (text, printed) in [
            ("1y5m7d2h", "1y5m7d2h"),
            ("2h1y", "1y2h"),
            (" 30d ", "30d"),
            ("0d", ""),
            ("", ""),
        ] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), printed);
        }
        assert!("0y0h".parse::<Duration>().unwrap().is_zero());
        for text in [
            "1",
            "d",
            "-1d",
            "1d1d",
            "1w",
            "1 d",
            "é",
            "1dé",
            "99999999999d",
            "10000001h",
        ] {
            assert!(matches!(text.parse::<Duration>(), Err(Error::Refused { .. })), "{text}");
        }
    }
}

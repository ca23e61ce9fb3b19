//! Times as people write them.

use crate::config::Misuse;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// `2026-03-01 02:00:00` or `2026-03-01` of this host, or with an offset, `2026-03-01T02:00:00+01:00`.
pub fn parse(text: &str) -> Result<Timestamp, Misuse> {
    let hint = "Write it like `2026-03-01 02:00:00`, or with an offset like `2026-03-01T02:00:00+01:00`.";
    let refuse = |error| Misuse::new(format!("`{text}` is no time such as `2026-03-01 02:00:00`"), hint).because(error);
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let civil: DateTime = text.parse().map_err(refuse)?;
    Ok(civil.to_zoned(TimeZone::system()).map_err(refuse)?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_local_unless_they_say_otherwise() {
        assert_eq!(
            parse("2026-03-01T02:00:00+01:00").unwrap().to_string(),
            "2026-03-01T01:00:00Z"
        );
        assert!(parse("2026-03-01 02:00:00").is_ok() && parse("2026-03-01").is_ok());
        assert!(parse("yesterday").is_err());
    }
}

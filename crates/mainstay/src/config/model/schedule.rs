//! When a job runs.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::civil::date;
use std::fmt;

/// A cron expression: minute, hour, day of the month, month, day of the week; or `@daily` and the like.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    cron: Cron,
}

impl Schedule {
    /// Read it.
    ///
    /// # Errors
    /// Why it is none, as the beginning of a sentence; also when no day ever fits.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let words = text.split_whitespace().count();
        if words != 5 && !text.trim_start().starts_with('@') {
            return Err(format!("This has {words} fields, not 5"));
        }
        let cron = parser
            .parse(text)
            .map_err(|error| error.to_string().trim_end_matches('.').to_owned())?;
        let some_day = date(2026, 1, 1)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map_err(|error| error.to_string())?;
        cron.find_next_occurrence(&some_day, true)
            .map_err(|_| "No day fits this".to_owned())?;
        let text = text.trim().to_owned();
        Ok(Self { text, cron })
    }

    /// The first time after `moment`, in its time zone. A time that the clock skips is moved behind the gap; one that comes twice counts
    /// once. Nothing if there is none within the years that can be calculated with.
    pub fn next_after(&self, moment: &Zoned) -> Option<Zoned> {
        self.cron.find_next_occurrence(moment, false).ok()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(schedule: &str, from: &str, n: usize) -> Vec<String> {
        let schedule = Schedule::parse(schedule).unwrap();
        let mut moment: Zoned = from.parse().unwrap();
        let mut next = || {
            moment = schedule.next_after(&moment).unwrap();
            moment.strftime("%F %H:%M %:z").to_string()
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn nicknames_and_names_of_days() {
        let from = "2026-11-20T12:00[UTC]";
        assert_eq!(times("@daily", from, 1), ["2026-11-21 00:00 +00:00"]);
        assert_eq!(
            times("0 4 * * sun", from, 2),
            ["2026-11-22 04:00 +00:00", "2026-11-29 04:00 +00:00"]
        );
        assert_eq!(times("30 2 29 2 *", from, 1), ["2028-02-29 02:30 +00:00"]);
    }

    #[test]
    fn clocks_that_change_neither_skip_nor_double_a_day() {
        let spring = times("30 2 * * *", "2026-03-28T12:00[Europe/Berlin]", 2);
        assert_eq!(spring, ["2026-03-29 03:00 +02:00", "2026-03-30 02:30 +02:00"]);
        let autumn = times("30 2 * * *", "2026-10-24T12:00[Europe/Berlin]", 2);
        assert_eq!(autumn, ["2026-10-25 02:30 +02:00", "2026-10-26 02:30 +01:00"]);
    }

    #[test]
    fn what_is_no_schedule_says_why() {
        for (text, why) in [
            ("0 2 * *", "This has 4 fields, not 5"),
            ("0 0 2 * * *", "This has 6 fields, not 5"),
            ("61 2 * * *", "out of bounds"),
            ("0 2 30 2 *", "No day fits this"),
            ("@dayly", ""),
            ("x x x x x", ""),
        ] {
            let error = Schedule::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

//! Hours, days, weeks, months and years, counted as Go's package `time` does.

use super::duration::Duration;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// What one snapshot is kept of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    Always,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "last",
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// A number that is the same for two moments if they are in the same period. `snapshot` is the snapshot's own.
    pub fn number(self, time: DateTime, snapshot: usize) -> i64 {
        let year = i64::from(time.year());
        let month = year * 100 + i64::from(time.month());
        let day = month * 100 + i64::from(time.day());
        match self {
            Self::Always => i64::try_from(snapshot).unwrap_or(i64::MAX),
            Self::Hour => day * 100 + i64::from(time.hour()),
            Self::Day => day,
            Self::Week => {
                let week = time.date().iso_week_date();
                i64::from(week.year()) * 100 + i64::from(week.week())
            }
            Self::Month => month,
            Self::Year => year,
        }
    }
}

/// The moment so long before `time`; `None` if it is before all calendars.
///
/// As Go does it and jiff does not, a day that a month does not have counts on into the next: a month before 31 March is
/// 3 March, except in leap years. Hours are hours, whatever clocks do.
pub(super) fn before(time: Timestamp, duration: &Duration, timezone: &TimeZone) -> Option<Timestamp> {
    let local = timezone.to_datetime(time);
    let months = i64::from(local.year()) * 12 + i64::from(local.month()) - 1;
    let months = months - i64::from(duration.years) * 12 - i64::from(duration.months);
    let year = i16::try_from(months.div_euclid(12)).ok()?;
    let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
    let days = Span::new()
        .try_days(i64::from(local.day()) - 1 - i64::from(duration.days))
        .ok()?;
    let date = Date::new(year, month, 1).ok()?.checked_add(days).ok()?;
    let hours = Span::new().try_hours(i64::from(duration.hours)).ok()?;
    moment(date.to_datetime(local.time()), timezone)?
        .checked_sub(hours)
        .ok()
}

/// When clocks show this. Where they show it twice or never, the answer is that of Go's `time.Date`.
fn moment(local: DateTime, timezone: &TimeZone) -> Option<Timestamp> {
    let as_utc = TimeZone::UTC.to_timestamp(local).ok()?;
    let less = |offset: jiff::tz::Offset| as_utc.checked_sub(Span::new().try_seconds(offset.seconds()).ok()?).ok();
    less(timezone.to_offset(less(timezone.to_offset(as_utc))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before_in_berlin(time: &str, duration: &str) -> String {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let moment = before(time.parse().unwrap(), &duration.parse().unwrap(), &berlin).unwrap();
        berlin.to_datetime(moment).to_string()
    }

    /// Expectations from Go's `AddDate`.
    #[test]
    fn days_count_on_into_the_next_month() {
        for (time, duration, expected) in [
            ("2026-03-31T10:00:00Z", "1m", "2026-03-03T12:00:00"),
            ("2024-03-31T10:00:00Z", "1m", "2024-03-02T12:00:00"),
            ("2024-02-29T10:00:00Z", "1y", "2023-03-01T11:00:00"),
            ("2026-01-15T10:00:00Z", "14m15d", "2024-10-31T11:00:00"),
            ("2026-03-29T10:00:00Z", "1d", "2026-03-28T12:00:00"),
            ("2026-03-29T10:00:00Z", "24h", "2026-03-28T11:00:00"),
            ("2026-03-30T00:30:00Z", "1d", "2026-03-29T03:30:00"),
        ] {
            assert_eq!(before_in_berlin(time, duration), expected, "{time} - {duration}");
        }
    }

    #[test]
    fn before_all_calendars_there_is_nothing() {
        let duration = Duration {
            years: 10_000_000,
            ..Duration::default()
        };
        assert_eq!(before(Timestamp::UNIX_EPOCH, &duration, &TimeZone::UTC), None);
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        let week = |text: &str| Period::Week.number(text.parse().unwrap(), 0);
        assert_eq!(week("2027-01-03T00:00:00"), 202_653);
        assert_eq!(week("2024-12-30T00:00:00"), 202_501);
    }
}

//! The only place of this crate that reads the time of day.

use jiff::{Timestamp, Zoned};

/// The present moment.
pub fn now() -> Timestamp {
    repository::clock::now()
}

/// `moment` in the time zone of this host, as people read it: `2026-03-01 02:00:05`.
pub fn local(moment: Timestamp) -> String {
    zoned(moment).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `moment` in the time zone of this host.
pub fn zoned(moment: Timestamp) -> Zoned {
    moment.to_zoned(jiff::tz::TimeZone::system())
}

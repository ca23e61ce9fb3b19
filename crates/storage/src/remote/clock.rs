//! What the answers of a store say of its clock.

use std::sync::Arc;

use http::HeaderMap;
use http::header::DATE;
use jiff::fmt::rfc2822;
use parking_lot::Mutex;

use crate::clock;

/// The clock of a store, compared with ours by the header `Date` of its last answer. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreClock(Arc<Mutex<Option<i64>>>);

impl StoreClock {
    /// Read the clock in the headers of an answer that has just arrived.
    pub(super) fn note(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        if let Some(date) = date.and_then(|date| rfc2822::parse(date).ok()) {
            *self.0.lock() = Some(clock::seconds_ahead(date.timestamp().into()));
        }
    }

    /// How many seconds it was ahead of ours; `None` when no answer has named the time yet.
    pub(crate) fn seconds_ahead(&self) -> Option<i64> {
        *self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn answers_with_a_date_are_compared() {
        let clock = StoreClock::default();
        let answer = |date: &'static str| HeaderMap::from_iter([(DATE, HeaderValue::from_static(date))]);
        clock.note(&HeaderMap::new());
        clock.note(&answer("yesterday"));
        assert_eq!(clock.seconds_ahead(), None);
        clock.note(&answer("Sun, 06 Nov 1994 08:49:37 GMT"));
        let ahead = clock.seconds_ahead().unwrap();
        assert!(ahead < -365 * 24 * 3600, "{ahead}");
        clock.note(&HeaderMap::new());
        assert!(clock.seconds_ahead().is_some());
    }
}

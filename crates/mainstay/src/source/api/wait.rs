//! How long to wait before a request is sent again.

use super::Why;
use crate::clock;
use jiff::fmt::rfc2822;
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
const TRIES_TO_REACH: u32 = 3;
const BEFORE_REACHING: Duration = Duration::from_millis(300);

/// What is left of the patience with one request.
pub struct Patience {
    left: Duration,
    next: Duration,
    unreached: u32,
}

impl Patience {
    pub fn new(all: Duration) -> Self {
        Self {
            left: all,
            next: FIRST,
            unreached: 0,
        }
    }

    /// How long to wait for a server that is busy, which may have said how long; nothing if that is too long.
    pub fn when_busy(&mut self, said: Option<Duration>) -> Option<Duration> {
        let pause = said.unwrap_or(self.next).max(Duration::from_millis(10));
        self.next = (self.next * 2).min(LONGEST);
        self.left = self.left.checked_sub(pause)?;
        Some(pause)
    }

    /// How long to wait for a server that was not reached; nothing if it will not help.
    pub fn when_unreachable(&mut self, why: &Why) -> Option<Duration> {
        self.unreached += 1;
        let helps = matches!(why, Why::Unreachable(_) | Why::Cut(_)) && self.unreached < TRIES_TO_REACH;
        helps.then_some(BEFORE_REACHING * self.unreached)
    }
}

/// The header `Retry-After`: seconds, or a point in time (RFC 9110, 10.2.3).
pub fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = rfc2822::parse(text.trim()).ok()?.timestamp();
    Some(Duration::try_from(then.duration_since(clock::now())).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_server_is_waited_for_until_patience_ends() {
        let mut patience = Patience::new(Duration::from_secs(5));
        let seconds = Duration::from_secs;
        assert_eq!(patience.when_busy(None), Some(seconds(1)));
        assert_eq!(patience.when_busy(None), Some(seconds(2)));
        assert_eq!(patience.when_busy(Some(seconds(2))), Some(seconds(2)));
        assert_eq!(patience.when_busy(None), None);
        assert_eq!(Patience::new(seconds(5)).when_busy(Some(seconds(6))), None);
    }

    #[test]
    fn servers_say_how_long_in_seconds_or_as_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(retry_after("Fri, 31 Dec 2100 23:59:59 GMT").unwrap() > Duration::from_secs(1 << 20));
        assert_eq!(retry_after("soon"), None);
    }
}

//! The one place of this crate where time is read and spent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::Options;

/// A replacement for [`std::thread::sleep`]; tests give one that returns at once.
pub type Sleep = Arc<dyn Fn(Duration) + Send + Sync>;

/// Waits that end early when the caller gives up.
#[derive(Clone, Default)]
pub(crate) struct Pause {
    pub(crate) sleep: Option<Sleep>,
    pub(crate) cancel: Vec<Arc<AtomicBool>>,
}

impl Pause {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            sleep: options.sleep.clone(),
            cancel: options.cancel.clone(),
        }
    }

    /// The longest time for which a cancellation goes unnoticed.
    const SLICE: Duration = Duration::from_millis(50);

    /// Wait for `duration`; false when it was cut short because the caller gave up.
    pub(crate) fn wait(&self, duration: Duration) -> bool {
        let mut rest = duration;
        while !rest.is_zero() && !self.is_cancelled() {
            let slice = if self.cancel.is_empty() {
                rest
            } else {
                rest.min(Self::SLICE)
            };
            match &self.sleep {
                Some(sleep) => sleep(slice),
                None => std::thread::sleep(slice),
            }
            rest -= slice;
        }
        !self.is_cancelled()
    }

    /// Whether the caller gave up.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.iter().any(|flag| flag.load(Ordering::Relaxed))
    }
}

/// The time on this host's clock.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the crate")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// How long ago `time` was; `None` when it lies in the future.
pub(crate) fn age(time: SystemTime) -> Option<Duration> {
    now().duration_since(time).ok()
}

/// How many seconds `time` is ahead of this host's clock; negative: behind.
#[cfg(feature = "s3")]
pub(crate) fn seconds_ahead(time: SystemTime) -> i64 {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match age(time) {
        Some(age) => -seconds(age),
        None => time.duration_since(now()).map_or(0, seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    #[test]
    fn a_wait_ends_when_the_caller_gives_up() {
        let cancel = Arc::new(AtomicBool::new(false));
        let slept = Arc::new(Mutex::new(Vec::new()));
        let (flag, log) = (cancel.clone(), slept.clone());
        let sleep: Sleep = Arc::new(move |duration| {
            log.lock().push(duration);
            flag.store(true, Ordering::Relaxed);
        });
        let pause = Pause {
            sleep: Some(sleep),
            cancel: vec![cancel],
        };
        assert!(!pause.wait(Duration::from_secs(3600)));
        assert_eq!(*slept.lock(), [Pause::SLICE]);
    }
}

//! Trying again after failures that may pass.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::clock::Pause;
use crate::{Error, Inspect, ObjectInfo, ObjectWriter, OnRetry, Options, Result, RetryOptions, Store};

/// When and how long to wait before the next try, and whom to tell.
#[derive(Clone)]
pub(crate) struct Retry {
    options: RetryOptions,
    on_retry: Option<OnRetry>,
    pause: Pause,
}

impl Retry {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            options: options.retry.clone(),
            on_retry: options.on_retry.clone(),
            pause: Pause::new(options),
        }
    }

    #[cfg(feature = "s3")]
    /// One try only.
    pub(crate) fn never() -> Self {
        let options = RetryOptions {
            tries: 1,
            ..RetryOptions::default()
        };
        Self {
            options,
            on_retry: None,
            pause: Pause::default(),
        }
    }

    /// Call until it succeeds, fails for good, or the patience is used up; then the last error is the answer.
    pub(crate) fn run<T>(&self, mut call: impl FnMut() -> Result<T>) -> Result<T> {
        let mut spent = Duration::ZERO;
        let mut attempt = 1;
        loop {
            let begin = Instant::now();
            let error = match call() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let wait = self.wait_after(attempt);
            spent += begin.elapsed() + wait;
            if !self.is_worth_another(&error, attempt, spent) {
                return Err(error);
            }
            if let Some(on_retry) = &self.on_retry {
                on_retry(&error, attempt, wait);
            }
            if !self.pause.wait(wait) {
                return Err(error);
            }
            attempt += 1;
        }
    }

    fn is_worth_another(&self, error: &Error, attempt: u32, spent: Duration) -> bool {
        error.kind.is_transient()
            && attempt < self.options.tries
            && spent <= self.options.total
            && !self.pause.is_cancelled()
    }

    /// A random part of an interval that doubles ("full jitter"), so that the clients of a store that just came back
    /// do not all return at the same moment.
    fn wait_after(&self, attempt: u32) -> Duration {
        let doubled = self.options.first_wait.saturating_mul(1 << (attempt - 1).min(20));
        doubled.min(self.options.longest_wait).mul_f64(fastrand::f64())
    }
}

/// Repeats each call that failed for a reason that may pass.
///
/// All calls of a store are safe to repeat: objects are named by their content, so that a write whose answer was lost
/// is written once more, and a repeated delete is no error. A streaming writer is not repeated, because what was
/// given to it is gone; a backend that can repeat a part does so itself.
pub(crate) struct RetryStore {
    inner: Arc<dyn Store>,
    retry: Retry,
}

impl RetryStore {
    pub(crate) fn wrap(inner: Arc<dyn Store>, retry: Retry) -> Arc<dyn Store> {
        Arc::new(Self { inner, retry })
    }
}

impl std::fmt::Debug for RetryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetryStore")
            .field("inner", &self.inner)
            .field("options", &self.retry.options)
            .finish()
    }
}

impl Store for RetryStore {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        self.retry.run(|| self.inner.list(prefix))
    }

    fn stat(&self, name: &str) -> Result<u64> {
        self.retry.run(|| self.inner.stat(name))
    }

    fn read(&self, name: &str) -> Result<Bytes> {
        self.retry.run(|| self.inner.read(name))
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        self.retry.run(|| self.inner.read_range(name, range.clone()))
    }

    fn write(&self, name: &str, content: Bytes) -> Result<()> {
        self.retry.run(|| self.inner.write(name, content.clone()))
    }

    fn write_pieces(&self, name: &str, pieces: &[Bytes]) -> Result<()> {
        self.retry.run(|| self.inner.write_pieces(name, pieces))
    }

    fn gathers(&self) -> bool {
        self.inner.gathers()
    }

    fn writer(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        self.retry.run(|| self.inner.writer(name))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.retry.run(|| self.inner.delete(name))
    }

    fn concurrency(&self) -> usize {
        self.inner.concurrency()
    }

    fn max_stream_bytes(&self) -> Option<u64> {
        self.inner.max_stream_bytes()
    }

    fn set_link(&self, name: &str, target: &str) -> Result<bool> {
        self.retry.run(|| self.inner.set_link(name, target))
    }

    fn link_target(&self, name: &str) -> Result<Option<String>> {
        self.retry.run(|| self.inner.link_target(name))
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.inner.inspect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use parking_lot::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    type Log<T> = Arc<Mutex<Vec<T>>>;

    /// Options whose sleep returns at once, and the waits that were asked for.
    fn options() -> (Options, Log<Duration>) {
        let waits: Log<Duration> = Log::default();
        let log = waits.clone();
        let options = Options {
            sleep: Some(Arc::new(move |wait| log.lock().push(wait))),
            ..Options::default()
        };
        (options, waits)
    }

    fn failure(kind: ErrorKind) -> Error {
        Error::new(kind, "read", "config", "memory:")
    }

    /// Calls that fail `times` times with `kind`, then succeed; returns the answer and the number of calls.
    fn run(options: &Options, times: u32, kind: ErrorKind) -> (Result<()>, u32) {
        let mut calls = 0;
        let answer = Retry::new(options).run(|| {
            calls += 1;
            if calls > times { Ok(()) } else { Err(failure(kind)) }
        });
        (answer, calls)
    }

    #[test]
    fn a_passing_failure_is_tried_again() {
        let (mut options, waits) = options();
        let seen: Log<(ErrorKind, u32, Duration)> = Log::default();
        let log = seen.clone();
        options.on_retry = Some(Arc::new(move |error, attempt, wait| {
            log.lock().push((error.kind, attempt, wait));
        }));
        let (answer, calls) = run(&options, 3, ErrorKind::Unavailable);
        assert!(answer.is_ok());
        assert_eq!(calls, 4);
        assert_eq!(
            seen.lock()
                .iter()
                .map(|(kind, attempt, _)| (*kind, *attempt))
                .collect::<Vec<_>>(),
            [
                (ErrorKind::Unavailable, 1),
                (ErrorKind::Unavailable, 2),
                (ErrorKind::Unavailable, 3)
            ]
        );
        assert_eq!(
            *waits.lock(),
            seen.lock().iter().map(|(.., wait)| *wait).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_lasting_failure_is_not() {
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::PermissionDenied,
            ErrorKind::Full,
            ErrorKind::Truncated,
        ] {
            let (options, waits) = options();
            let (answer, calls) = run(&options, 1, kind);
            assert_eq!((answer.unwrap_err().kind, calls), (kind, 1));
            assert!(waits.lock().is_empty());
        }
    }

    #[test]
    fn tries_are_limited() {
        let (mut options, _) = options();
        options.retry.tries = 3;
        let (answer, calls) = run(&options, 99, ErrorKind::TimedOut);
        assert_eq!((answer.unwrap_err().kind, calls), (ErrorKind::TimedOut, 3));
    }

    #[test]
    fn total_time_is_limited_and_waits_grow_to_a_limit() {
        let (mut options, waits) = options();
        options.retry = RetryOptions {
            tries: u32::MAX,
            total: Duration::from_secs(600),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(20),
        };
        let (answer, _) = run(&options, u32::MAX, ErrorKind::Unavailable);
        assert!(answer.is_err());
        let waits = waits.lock();
        assert!(waits.iter().sum::<Duration>() <= Duration::from_secs(600));
        assert!(
            waits.iter().sum::<Duration>() > Duration::from_secs(560),
            "it gave up early: {waits:?}"
        );
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(20)));
        assert!(waits[0] <= Duration::from_secs(1) && waits[1] <= Duration::from_secs(2));
        assert!(
            waits.iter().any(|wait| *wait > Duration::from_secs(10)),
            "waits do not grow: {waits:?}"
        );
    }

    #[test]
    fn giving_up_ends_the_wait() {
        let cancel = Arc::new(AtomicBool::new(false));
        let flag = cancel.clone();
        let options = Options {
            cancel: vec![cancel],
            sleep: Some(Arc::new(move |_| flag.store(true, Ordering::Relaxed))),
            ..Options::default()
        };
        let (answer, calls) = run(&options, 99, ErrorKind::Unavailable);
        assert_eq!((answer.unwrap_err().kind, calls), (ErrorKind::Unavailable, 1));
    }
}

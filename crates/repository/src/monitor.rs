//! How long work reports what it does, without printing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Running totals of one operation, written by worker threads and read by whoever shows progress.
#[derive(Debug, Default)]
pub struct Counters {
    /// Files finished.
    pub files: AtomicU64,
    /// Bytes of content finished.
    pub bytes: AtomicU64,
    /// Files expected.
    pub total_files: AtomicU64,
    /// Bytes expected.
    pub total_bytes: AtomicU64,
    /// What is expected is still being counted: the totals say nothing yet.
    pub counting: AtomicBool,
    /// Bytes sent to the store.
    pub stored_bytes: AtomicU64,
    /// Problems met so far.
    pub problems: AtomicU64,
}

impl Counters {
    /// Add to one counter.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Read one counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// Something that happened once, worth a line.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step began; shown as the progress bar's title.
    Phase(&'a str),
    /// One entry could not be captured, restored or checked; the work goes on and ends with exit code 3 (or 1).
    Problem {
        /// The path or the object concerned.
        subject: &'a str,
        /// What is wrong with it, lower case.
        message: &'a str,
    },
    /// Worth knowing, changes nothing.
    Note(&'a str),
    /// A file or directory was processed; only sent when [`Monitor::wants_entries`].
    Entry {
        /// Where it is in the snapshot or on disk.
        path: &'a Path,
        /// What was found about it: `new`, `changed`, `unchanged`, `restored`, `deleted`, `skipped`.
        what: &'a str,
        /// Its content, bytes.
        size: u64,
    },
}

/// Receives events; called from many threads.
pub trait Monitor: Send + Sync {
    /// One event.
    fn event(&self, event: Event<'_>);

    /// Totals that the operation updates.
    fn counters(&self) -> &Counters;

    /// Whether [`Event::Entry`] is to be sent for every file.
    fn wants_entries(&self) -> bool {
        false
    }

    /// Whether totals are worth the time of counting them ahead.
    fn wants_totals(&self) -> bool {
        false
    }

    /// Report a problem and count it.
    fn problem(&self, subject: &str, message: &str) {
        Counters::add(&self.counters().problems, 1);
        self.event(Event::Problem { subject, message });
    }

    /// Begin a step.
    fn phase(&self, title: &str) {
        self.event(Event::Phase(title));
    }

    /// Say something worth knowing.
    fn note(&self, text: &str) {
        self.event(Event::Note(text));
    }
}

/// A monitor that keeps the problems and notes that it is told; for tests and for callers that show nothing.
#[derive(Debug, Default)]
pub struct Recorder {
    counters: Counters,
    /// `subject: message` of each problem.
    pub problems: parking_lot::Mutex<Vec<String>>,
    /// Notes.
    pub notes: parking_lot::Mutex<Vec<String>>,
}

impl Monitor for Recorder {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Problem { subject, message } => self.problems.lock().push(format!("{subject}: {message}")),
            Event::Note(text) => self.notes.lock().push(text.to_owned()),
            Event::Phase(_) | Event::Entry { .. } => {}
        }
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// Asks running work to stop soon; clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that somebody else sets, such as a signal handler.
    pub fn from_flag(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// The flag, to hand to the store so that it stops waiting between retries.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Ask everybody to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// [`Error::Interrupted`](crate::Error::Interrupted) if somebody asked.
    pub fn check(&self) -> crate::Result<()> {
        if self.is_cancelled() {
            Err(crate::Error::Interrupted)
        } else {
            Ok(())
        }
    }
}

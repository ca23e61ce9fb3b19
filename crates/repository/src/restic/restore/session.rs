//! What all parts of one restore share.

use super::dirs::OpenDirs;
use super::files::OpenFiles;
use super::options::{Problem, RestoreOptions, RestoreReport};
use super::protected::Protected;
use super::remove::{Remover, Told};
use crate::local::meta::Stat;
use crate::local::target::TargetDir;
use crate::restic::index::Index;
use crate::restic::parallel;
use crate::restic::repository::Repository;
use crate::{Cancel, Counters, Event, Monitor, Result};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// One restore.
pub struct Session<'a> {
    pub repository: &'a Repository,
    pub index: &'a Index,
    pub options: &'a RestoreOptions,
    pub cancel: &'a Cancel,
    pub tally: Tally<'a>,
    pub dirs: OpenDirs,
    pub files: OpenFiles,
    pub protected: Protected,
    /// Threads that read, verify and write.
    pub threads: usize,
    /// Longest range that is read at once, bytes, unless a blob is longer.
    pub read_bytes: u32,
}

/// Threads at most: more of them only help where the store answers slowly.
const MAX_THREADS: usize = 16;
/// What all threads together have read and not yet written, bytes.
const BUFFERED_BYTES: usize = 64 << 20;
/// Longest range, bytes.
const MAX_READ_BYTES: usize = 16 << 20;
/// Longest range of a store that is near, bytes: small enough to be still in the processor's cache when it is decrypted.
const NEAR_READ_BYTES: usize = 2 << 20;

impl<'a> Session<'a> {
    pub fn new(
        repository: &'a Repository,
        index: &'a Index,
        options: &'a RestoreOptions,
        cancel: &'a Cancel,
        monitor: &'a dyn Monitor,
        target: TargetDir,
    ) -> Result<Self> {
        let is_remote = repository.is_remote();
        let answers = if is_remote {
            repository.store().concurrency()
        } else {
            parallel::cores() + 1
        };
        let threads = answers.clamp(parallel::cores().min(MAX_THREADS), MAX_THREADS);
        let limit = if is_remote { MAX_READ_BYTES } else { NEAR_READ_BYTES };
        Ok(Self {
            repository,
            index,
            options,
            cancel,
            tally: Tally::new(monitor),
            dirs: OpenDirs::new(target),
            files: OpenFiles::default(),
            protected: Protected::new(&options.protect),
            threads,
            read_bytes: (BUFFERED_BYTES / threads).min(limit) as u32,
        })
    }
}

impl Session<'_> {
    /// Removes what is chosen.
    pub fn remover(&self) -> Remover<'_> {
        Remover {
            filter: &self.options.filter,
            protected: &self.protected,
            told: &self.tally,
        }
    }
}

/// Counts what is done, from all threads.
pub struct Tally<'a> {
    monitor: &'a dyn Monitor,
    wants_entries: bool,
    pub files: AtomicU64,
    pub dirs: AtomicU64,
    pub others: AtomicU64,
    pub bytes: AtomicU64,
    pub identical_files: AtomicU64,
    pub identical_bytes: AtomicU64,
    pub skipped: AtomicU64,
    pub deleted: AtomicU64,
    pub verified_files: AtomicU64,
    problems: AtomicU64,
    listed: Mutex<Vec<Problem>>,
}

/// Add to a counter of a [`Tally`].
pub fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl<'a> Tally<'a> {
    pub fn new(monitor: &'a dyn Monitor) -> Self {
        let zero = AtomicU64::default;
        Self {
            monitor,
            wants_entries: monitor.wants_entries(),
            files: zero(),
            dirs: zero(),
            others: zero(),
            bytes: zero(),
            identical_files: zero(),
            identical_bytes: zero(),
            skipped: zero(),
            deleted: zero(),
            verified_files: zero(),
            problems: zero(),
            listed: Mutex::default(),
        }
    }

    /// Something is not as it should be.
    pub fn problem(&self, path: &Path, message: String) {
        self.monitor.problem(&path.display().to_string(), &message);
        count(&self.problems, 1);
        let mut listed = self.listed.lock();
        if listed.len() < RestoreReport::LISTED_PROBLEMS {
            listed.push(Problem {
                path: path.to_owned(),
                message,
            });
        }
    }

    /// Worth knowing.
    pub fn note(&self, text: &str) {
        self.monitor.note(text);
    }

    /// Content came to its place, or was there already.
    pub fn progress(&self, bytes: u64) {
        Counters::add(&self.monitor.counters().bytes, bytes);
    }

    /// A file is done with.
    pub fn file_done(&self) {
        Counters::add(&self.monitor.counters().files, 1);
    }

    /// Something happened to an entry; its path is only made if somebody wants to know.
    pub fn entry(&self, path: impl FnOnce() -> std::path::PathBuf, what: &str, size: u64) {
        if self.wants_entries {
            self.monitor.event(Event::Entry {
                path: &path(),
                what,
                size,
            });
        }
    }

    pub fn into_report(self) -> RestoreReport {
        RestoreReport {
            files: self.files.into_inner(),
            dirs: self.dirs.into_inner(),
            others: self.others.into_inner(),
            bytes: self.bytes.into_inner(),
            identical_files: self.identical_files.into_inner(),
            identical_bytes: self.identical_bytes.into_inner(),
            skipped: self.skipped.into_inner(),
            deleted: self.deleted.into_inner(),
            verified_files: self.verified_files.into_inner(),
            problems: self.problems.into_inner(),
            listed_problems: self.listed.into_inner(),
        }
    }
}

impl Told for Tally<'_> {
    fn removed(&self, path: &Path, _: &Stat) {
        count(&self.deleted, 1);
        self.entry(|| path.to_owned(), "deleted", 0);
    }

    fn not_removed(&self, path: &Path, message: String) {
        self.problem(path, message);
    }
}

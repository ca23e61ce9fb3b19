//! How much there is to do, for progress: what the parent snapshot held or a look ahead counts, until everything is found.

use super::job::Job;
use super::scan::{Listed, home, names_to_follow, stat_all};
use crate::local::meta::stat_fd;
use crate::local::scan::list_dir;
use crate::restic::snapshot::Summary;
use crate::{Counters, Monitor};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What has been found so far, and whether that is everything.
#[derive(Debug, Default)]
pub struct Expected {
    files: AtomicU64,
    bytes: AtomicU64,
    /// Somebody else says when it ends: a stream.
    open_ended: AtomicBool,
    settled: AtomicBool,
}

impl Expected {
    /// Nothing is known yet, or as much as there was in the parent snapshot.
    pub fn begin(monitor: &dyn Monitor, before: Option<&Summary>) {
        let counters = monitor.counters();
        counters.counting.store(before.is_none(), Ordering::Relaxed);
        if let Some(before) = before {
            raise(counters, before.total_files_processed, before.total_bytes_processed);
        }
    }

    /// A file was found.
    pub fn add(&self, monitor: &dyn Monitor, size: u64) {
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(size, Ordering::Relaxed) + size;
        raise(monitor.counters(), files, bytes);
    }

    /// A stream will come, whose length nobody knows.
    pub fn add_stream(&self) {
        self.open_ended.store(true, Ordering::Relaxed);
    }

    /// All files are found: no estimate is needed any more.
    pub fn settle(&self, monitor: &dyn Monitor) {
        self.settled.store(true, Ordering::Relaxed);
        if self.open_ended.load(Ordering::Relaxed) {
            return;
        }
        let counters = monitor.counters();
        for (total, found) in [
            (&counters.total_files, &self.files),
            (&counters.total_bytes, &self.bytes),
        ] {
            total.store(Counters::get(found), Ordering::Relaxed);
        }
        counters.counting.store(false, Ordering::Relaxed);
    }

    fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }
}

fn raise(counters: &Counters, files: u64, bytes: u64) {
    counters.total_files.fetch_max(files, Ordering::Relaxed);
    counters.total_bytes.fetch_max(bytes, Ordering::Relaxed);
}

/// Count what is there, faster than it can be read. What cannot be looked at is left to the backup to report.
pub fn look_ahead(job: &Job<'_>, paths: Vec<PathBuf>) {
    let (mut files, mut bytes) = (0, 0);
    let mut waiting: Vec<(PathBuf, Option<u64>)> = paths.into_iter().map(|path| (path, None)).collect();
    while let Some((path, device)) = waiting.pop() {
        if job.expected.is_settled() || job.is_stopped() {
            return;
        }
        let Ok((device, entries)) = list(job, &path, device) else {
            continue;
        };
        for (name, stat) in entries {
            if stat.is_dir() {
                let device = home(job, &path, (&name, &stat), device);
                waiting.push((path.join(name), Some(device)));
            } else if stat.is_file() {
                files += 1;
                bytes += stat.size;
            }
        }
        raise(job.monitor.counters(), files, bytes);
    }
    if !job.expected.open_ended.load(Ordering::Relaxed) {
        job.monitor.counters().counting.store(false, Ordering::Relaxed);
    }
}

/// What is in a directory and not left out, with the file system of the source.
fn list(job: &Job<'_>, path: &Path, device: Option<u64>) -> io::Result<(u64, Vec<Listed>)> {
    // Only directories: opening a pipe would wait for whoever writes to it.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd: OwnedFd = rustix::fs::open(path, flags, Mode::empty())?;
    let here = stat_fd(&fd)?.dev;
    let device = device.unwrap_or(here);
    let names = names_to_follow(job, path, &fd, list_dir(fd.as_fd())?, here == device);
    Ok((device, stat_all(job, path, &fd, names).0))
}

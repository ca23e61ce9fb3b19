//! Backup: from paths and streams to one snapshot.
//!
//! Threads, connected by bounded channels, so that memory does not grow with what is backed up:
//!
//! ```text
//! scanners ──files to read──▶ readers ──content──▶ workers ──sealed blobs──▶ packer ──packs──▶ uploaders
//!    └──────────── finished entries ──────────────────┴────▶ directories, which become trees bottom-up
//! ```

mod blobs;
mod content;
mod directory;
mod expect;
mod files;
#[cfg(fuzzing)]
pub mod fuzzing;
mod job;
mod options;
mod parent;
mod scan;
mod scan_cache;
mod sources;
mod store;

pub use options::{BackupOptions, Parent, Report, Source};

use super::lock::{Lock, LockKind};
use super::object::ObjectKind;
use super::packer::{Added, Packer};
use super::repository::Repository;
use super::snapshot::{Snapshot, Summary};
use crate::local::users::identity;
use crate::{Cancel, Counters, Error, Id, Monitor, Result, clock};
use expect::Expected;
use jiff::Timestamp;
use job::{Captured, Job};
use std::sync::atomic::AtomicU64;

/// Back up `sources` into one new snapshot.
pub fn run(
    repository: &Repository,
    sources: Vec<Source>,
    options: &BackupOptions,
    cancel: &Cancel,
    monitor: &dyn Monitor,
) -> Result<Report> {
    let started = clock::now();
    let sources = sources::resolve(sources)?;
    let lock = Lock::acquire(repository, LockKind::Shared, &options.lock, monitor)?;
    let paths = sources.paths();
    let parent = parent::choose(repository, &paths, options)?;
    monitor.phase("loading the index");
    let index = repository.load_index()?;
    let known = scan_cache::ScanCache::load(repository, &index, parent.as_ref().map(|(id, _)| *id), &paths);
    monitor.phase("backing up");
    Expected::begin(
        monitor,
        parent.as_ref().and_then(|(_, snapshot)| snapshot.summary.as_ref()),
    );
    let (captured, added) = Packer::run(repository, &options.pack, &lock, cancel, monitor, |packer| {
        let job = Job::new(
            packer,
            &index,
            options,
            cancel,
            monitor,
            known,
            parent.as_ref().map(|(_, snapshot)| snapshot.tree),
        );
        job.capture(sources)
    })?;
    refuse_nothing(&captured, &paths, options)?;
    let summary = summarize(started, &captured, &added);
    let unchanged = parent
        .as_ref()
        .is_some_and(|(_, snapshot)| snapshot.tree == captured.root);
    let mut report = Report::new(summary.clone(), &captured);
    if options.dry_run || (options.skip_if_unchanged && unchanged) {
        return Ok(report);
    }
    let snapshot = new_snapshot(
        started,
        paths.clone(),
        parent.as_ref().map(|(id, _)| *id),
        summary,
        &captured,
        options,
    );
    // From here on, others may rely on what this run found in the repository.
    lock.check()?;
    let id = repository.write_json(ObjectKind::Snapshot, &snapshot)?;
    scan_cache::save(repository, id, &paths, captured.directories);
    report.snapshot = Some((id, snapshot));
    Ok(report)
}

/// An empty source is what an unmounted disk or a dump that failed looks like.
fn refuse_nothing(captured: &Captured, paths: &[String], options: &BackupOptions) -> Result<()> {
    if captured.entries > 0 || options.allow_empty {
        return Ok(());
    }
    if captured.problems > 0 {
        return Err(Error::Refused {
            message: format!("nothing could be read in `{}`", paths.join("`, `")),
            hint: "The reason is above, for each entry; run it as a user who may read them.".to_owned(),
        });
    }
    Err(Error::Refused {
        message: format!("there is nothing to back up in `{}`", paths.join("`, `")),
        hint:
            "Check that everything is mounted and not excluded; `--allow-empty` stores an empty snapshot all the same."
                .to_owned(),
    })
}

fn summarize(started: Timestamp, captured: &Captured, added: &Added) -> Summary {
    let get = |counter: &AtomicU64| Counters::get(counter);
    let counts = &captured.counts;
    Summary {
        backup_start: started.to_string(),
        backup_end: clock::now().to_string(),
        files_new: get(&counts.files_new),
        files_changed: get(&counts.files_changed),
        files_unmodified: get(&counts.files_unmodified),
        dirs_new: get(&counts.dirs_new),
        dirs_changed: get(&counts.dirs_changed),
        dirs_unmodified: get(&counts.dirs_unmodified),
        data_blobs: get(&added.data_blobs),
        tree_blobs: get(&added.tree_blobs),
        data_added: get(&added.plain_bytes),
        data_added_packed: get(&added.stored_bytes),
        total_files_processed: get(&counts.files_new) + get(&counts.files_changed) + get(&counts.files_unmodified),
        total_bytes_processed: get(&counts.bytes),
    }
}

fn new_snapshot(
    started: Timestamp,
    paths: Vec<String>,
    parent: Option<Id>,
    summary: Summary,
    captured: &Captured,
    options: &BackupOptions,
) -> Snapshot {
    let identity = identity();
    Snapshot {
        time: options.time.unwrap_or(started).into(),
        parent,
        tree: captured.root,
        paths,
        hostname: options.host.clone().unwrap_or(identity.hostname),
        username: identity.username,
        uid: identity.uid,
        gid: identity.gid,
        excludes: options.excludes.clone(),
        tags: (!options.tags.is_empty()).then(|| options.tags.clone()),
        original: None,
        program_version: Some(concat!("mainstay ", env!("CARGO_PKG_VERSION")).to_owned()),
        summary: Some(summary),
        mainstay_problems: (captured.problems > 0).then_some(captured.problems),
        other: Default::default(),
    }
}

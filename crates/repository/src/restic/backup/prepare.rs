//! What happens in each repository before and after the sources are read.

use super::job::Captured;
use super::options::{BackupOptions, Destination, Report};
use super::parent;
use super::scan_cache::{self, ScanCache};
use crate::local::users::identity;
use crate::restic::index::Index;
use crate::restic::lock::{Lock, LockKind};
use crate::restic::object::ObjectKind;
use crate::restic::packer::{Added, Target};
use crate::restic::snapshot::{Snapshot, Summary};
use crate::{Counters, Id, Monitor, Result, clock};
use jiff::Timestamp;
use std::sync::atomic::AtomicU64;

/// A repository that is ready to be added to.
pub struct Prepared<'d> {
    destination: &'d Destination<'d>,
    lock: Lock,
    /// The snapshot to compare with.
    pub parent: Option<(Id, Snapshot)>,
    /// What is in it.
    pub index: Index,
    known: Option<ScanCache>,
}

/// The scan cache that holds for all of them: their parent snapshots have the same tree, and each has a cache of its own that says
/// that nothing has left it since.
pub fn common_scan_cache(ready: &mut [(usize, Prepared<'_>)]) -> Option<ScanCache> {
    let tree = |prepared: &Prepared<'_>| prepared.parent.as_ref().map(|(_, snapshot)| snapshot.tree);
    let first = tree(&ready.first()?.1)?;
    let are_alike = ready
        .iter()
        .all(|(_, prepared)| prepared.known.is_some() && tree(prepared) == Some(first));
    if are_alike { ready[0].1.known.take() } else { None }
}

impl<'d> Prepared<'d> {
    /// Take the lock, choose the parent snapshot and load the index.
    pub fn new(
        destination: &'d Destination<'d>,
        paths: &[String],
        options: &BackupOptions,
        monitor: &dyn Monitor,
    ) -> Result<Self> {
        let repository = destination.repository;
        let lock = Lock::acquire(repository, LockKind::Shared, &options.lock, monitor)?;
        let parent = parent::choose(repository, paths, options)?;
        let index = repository.load_index()?;
        let known = ScanCache::load(repository, &index, parent.as_ref().map(|(id, _)| *id), paths);
        Ok(Self {
            destination,
            lock,
            parent,
            index,
            known,
        })
    }

    /// What the packer needs.
    pub fn target(&self) -> Target<'_> {
        Target {
            repository: self.destination.repository,
            options: &self.destination.pack,
            lock: &self.lock,
            give_up: &self.destination.give_up,
        }
    }

    /// Store the snapshot. Everything that it names is indexed.
    pub fn store(
        &self,
        started: Timestamp,
        paths: &[String],
        captured: &Captured,
        added: &Added,
        options: &BackupOptions,
    ) -> Result<Report> {
        let summary = summarize(started, captured, added);
        let parent = self.parent.as_ref();
        let unchanged = parent.is_some_and(|(_, snapshot)| snapshot.tree == captured.root);
        let mut report = Report::new(summary.clone(), captured);
        if options.dry_run || (options.skip_if_unchanged && unchanged) {
            return Ok(report);
        }
        let snapshot = new_snapshot(
            started,
            paths.to_vec(),
            parent.map(|(id, _)| *id),
            summary,
            captured,
            options,
        );
        // From here on, others may rely on what this run found in the repository.
        self.lock.check()?;
        let repository = self.destination.repository;
        let id = repository.write_json(ObjectKind::Snapshot, &snapshot)?;
        repository.confirm(ObjectKind::Snapshot, &id, None)?;
        scan_cache::save(repository, id, paths, &captured.directories);
        report.snapshot = Some((id, snapshot));
        Ok(report)
    }
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
        original: options.original,
        program_version: Some(concat!("mainstay ", env!("CARGO_PKG_VERSION")).to_owned()),
        summary: Some(summary),
        mainstay_problems: (captured.totals.problems > 0).then_some(captured.totals.problems),
        mainstay_purged: false,
        other: Default::default(),
    }
}

//! The engine in this process, on stores that tests control.

use crate::peer::{assert_same, scratch};
use repository::restic::backup::{self, BackupOptions, Report, Source};
use repository::restic::check::{CheckOptions, CheckReport, ReadSubset, check};
use repository::restic::config::ChunkerKind;
use repository::restic::forget;
use repository::restic::lock::{Lock, LockKind, LockOptions};
use repository::restic::packer::PackOptions;
use repository::restic::prune::{self, MaxUnused, PruneOptions};
use repository::restic::repository::{OpenOptions, Repository};
use repository::restic::restore::{self, RestoreOptions, RestoreReport};
use repository::restic::select::Selected;
use repository::restic::snapshot::Snapshot;
use repository::{Cancel, Id, Recorder, Result};
use std::path::Path;
use std::sync::Arc;
use storage::Store;

/// Of every repository made here.
pub const PASSWORD: &[u8] = b"secret";

/// Make a repository.
pub fn init(store: Arc<dyn Store>) -> Repository {
    Repository::init(store, PASSWORD, ChunkerKind::FastCdc, &OpenOptions::default()).unwrap()
}

/// Open a repository, with a cache if there is a directory for one.
pub fn open(store: Arc<dyn Store>, cache: Option<&Path>) -> Repository {
    let options = OpenOptions {
        cache: cache.map(Path::to_path_buf),
        ..OpenOptions::default()
    };
    Repository::open(store, PASSWORD, &options).unwrap()
}

/// So small that there are several.
pub fn small_packs() -> PackOptions {
    PackOptions {
        pack_size: 50_000,
        ..PackOptions::default()
    }
}

/// Back a directory up, into packs so small that there are several.
pub fn backup(repository: &Repository, source: &Path, tag: &str) -> Result<Report> {
    let options = BackupOptions {
        tags: vec![tag.to_owned()],
        pack: small_packs(),
        ..BackupOptions::default()
    };
    backup_with(repository, source, &options)
}

/// Back a directory up.
pub fn backup_with(repository: &Repository, source: &Path, options: &BackupOptions) -> Result<Report> {
    let sources = vec![Source::Path(source.to_path_buf())];
    backup::run(repository, sources, options, &Cancel::default(), &Recorder::default())
}

/// Every snapshot; all have to be readable.
pub fn snapshots(repository: &Repository) -> Vec<(Id, Snapshot)> {
    repository
        .snapshots()
        .unwrap()
        .into_iter()
        .collect::<Result<_>>()
        .unwrap()
}

/// Restore what a snapshot holds of `source` into `target`.
pub fn restore_to(
    repository: &Repository,
    one: &(Id, Snapshot),
    source: &Path,
    target: &Path,
) -> Result<RestoreReport> {
    let (id, snapshot) = one.clone();
    let index = repository.load_index()?;
    let root = Selected {
        id,
        snapshot,
        subfolder: Some(source.to_path_buf()),
    }
    .tree(repository, &index)?;
    let options = RestoreOptions {
        delete: true,
        ..RestoreOptions::new(target)
    };
    restore::restore(
        repository,
        &index,
        &root,
        &options,
        &Cancel::default(),
        &Recorder::default(),
    )
}

/// A snapshot has to restore to exactly this.
pub fn assert_restores(repository: &Repository, one: &(Id, Snapshot), source: &Path, expected: &Path) {
    let target = scratch();
    let report = restore_to(repository, one, source, target.path()).unwrap();
    assert_eq!(report.listed_problems, [], "{}", one.0);
    assert_same(expected, target.path());
}

/// Read and verify everything.
pub fn check_all(repository: &Repository) -> CheckReport {
    let options = CheckOptions {
        read_data: Some(ReadSubset::All),
    };
    check(repository, &options, &Cancel::default(), &Recorder::default()).unwrap()
}

/// Nothing may be wrong.
pub fn assert_healthy(repository: &Repository) -> CheckReport {
    let report = check_all(repository);
    assert!(report.is_healthy(), "{:?}", report.problems);
    report
}

/// The lock that whoever removes something holds.
pub fn exclusive(repository: &Repository) -> Result<Lock> {
    lock(repository, LockKind::Exclusive)
}

/// The lock that whoever adds something holds.
pub fn shared(repository: &Repository) -> Result<Lock> {
    lock(repository, LockKind::Shared)
}

fn lock(repository: &Repository, kind: LockKind) -> Result<Lock> {
    Lock::acquire(repository, kind, &LockOptions::default(), &Recorder::default())
}

/// Remove these snapshots, whatever is left.
pub fn forget(repository: &Repository, ids: &[Id]) -> Result<()> {
    let (lock, monitor) = (exclusive(repository)?, Recorder::default());
    let plan = forget::plan_ids(repository, ids, true, &monitor)?;
    forget::execute(repository, &plan, &lock, &Cancel::default(), &monitor).map(drop)
}

/// Give back everything that is not used.
pub fn prune(repository: &Repository) -> Result<()> {
    prune_with(
        repository,
        &PruneOptions {
            max_unused: MaxUnused::Bytes(0),
            pack_size: 50_000,
            ..PruneOptions::default()
        },
    )
}

/// Prune.
pub fn prune_with(repository: &Repository, options: &PruneOptions) -> Result<()> {
    let (lock, cancel, monitor) = (exclusive(repository)?, Cancel::default(), Recorder::default());
    let prepared = prune::prepare(repository, &lock, options, &cancel, &monitor)?;
    prune::execute(repository, &prepared, options, &lock, &cancel, &monitor).map(drop)
}

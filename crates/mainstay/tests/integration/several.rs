//! One reading of the sources, stored in several repositories; and what interrupts that.

use crate::engine::{self, assert_healthy, assert_restores, open, small_packs, snapshots};
use crate::peer::{make_key_cheap, scratch};
use repository::restic::backup::{self, BackupOptions, Destination, Report, Source, Totals};
use repository::restic::object::ObjectKind;
use repository::restic::repository::Repository;
use repository::{Cancel, Error, Recorder, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use storage::{ErrorKind, LocalStore, MemoryStore, Store};
use testkit::faults::{Fault, FaultyStore};
use testkit::hook::HookedStore;
use testkit::recording::Operation;

/// Name and content.
type Object = (String, bytes::Bytes);

/// Repositories in memory, each behind a store that can be made to fail.
struct Several {
    stores: Vec<FaultyStore>,
    repositories: Vec<Repository>,
    source: tempfile::TempDir,
    _caches: Vec<tempfile::TempDir>,
}

impl Several {
    fn new(count: usize) -> Self {
        let caches: Vec<_> = (0..count).map(|_| scratch()).collect();
        let stores: Vec<FaultyStore> = caches
            .iter()
            .map(|_| FaultyStore::new(Arc::new(MemoryStore::new())))
            .collect();
        static EMPTY: OnceLock<Vec<Vec<Object>>> = OnceLock::new();
        let empty = EMPTY.get_or_init(|| (0..3).map(|_| empty_repository()).collect());
        let init = |((store, cache), empty): ((&FaultyStore, &tempfile::TempDir), &Vec<Object>)| {
            let store: Arc<dyn Store> = Arc::new(store.clone());
            for (name, content) in empty {
                store.write(name, content.clone()).unwrap();
            }
            open(store, Some(cache.path()))
        };
        let repositories = stores.iter().zip(&caches).zip(empty).map(init).collect();
        let several = Self {
            stores,
            repositories,
            source: scratch(),
            _caches: caches,
        };
        several.fill(0);
        several
    }

    fn source(&self) -> &Path {
        self.source.path()
    }

    /// Files of which a third differs from round to round.
    fn fill(&self, round: u64) {
        for n in 0..30_u64 {
            let mut random = fastrand::Rng::with_seed(if n % 3 == 0 { n + 100 * round } else { n });
            let content: Vec<u8> = (0..9000 + n * 500).map(|_| random.u8(..)).collect();
            let directory = self.source().join(format!("d{}", n % 4));
            std::fs::create_dir_all(&directory).unwrap();
            let path = directory.join(format!("f{n}"));
            if std::fs::read(&path).ok().as_ref() != Some(&content) {
                std::fs::write(path, content).unwrap();
            }
        }
    }

    fn run(&self, patience: Duration) -> Vec<Result<Report>> {
        self.run_with(patience, &BackupOptions::default())
    }

    fn run_with(&self, patience: Duration, options: &BackupOptions) -> Vec<Result<Report>> {
        let destination = |repository| Destination {
            repository,
            pack: small_packs(),
            give_up: Cancel::default(),
        };
        let destinations: Vec<_> = self.repositories.iter().map(destination).collect();
        let sources = vec![Source::Path(self.source().to_owned())];
        let (cancel, monitor) = (Cancel::default(), Recorder::default());
        backup::run_all(&destinations, patience, sources, options, &cancel, &monitor).unwrap()
    }

    fn assert_complete(&self, which: usize, count: usize) {
        let repository = &self.repositories[which];
        assert_healthy(repository);
        let found = snapshots(repository);
        assert_eq!(found.len(), count, "repository {which}");
        let newest = found
            .iter()
            .max_by_key(|(_, snapshot)| snapshot.time.timestamp())
            .unwrap();
        assert_restores(repository, newest, self.source(), self.source());
    }
}

const LONG: Duration = Duration::from_secs(600);

#[test]
fn every_repository_gets_the_same_tree() {
    let several = Several::new(3);
    for round in 0..3 {
        several.fill(round);
        let trees: Vec<_> = several
            .run(LONG)
            .into_iter()
            .map(|report| report.unwrap().snapshot.unwrap().1)
            .collect();
        assert!(
            trees
                .iter()
                .all(|snapshot| snapshot.tree == trees[0].tree && snapshot.time == trees[0].time)
        );
        assert_eq!(
            trees.iter().filter(|snapshot| snapshot.parent.is_some()).count(),
            if round == 0 { 0 } else { 3 }
        );
    }
    for which in 0..3 {
        several.assert_complete(which, 3);
    }
    let unchanged = several.run(LONG);
    for report in unchanged {
        let summary = report.unwrap().summary;
        assert_eq!((summary.files_unmodified, summary.data_blobs), (30, 0));
    }
}

#[test]
fn a_store_that_fails_in_the_middle_costs_only_its_own_snapshot() {
    for at in 1..40 {
        let several = Several::new(3);
        several.stores[1].heal();
        let failing = AtomicU64::new(0);
        let is_late = move |_: Operation, _: &str| failing.fetch_add(1, Ordering::Relaxed) >= at;
        several.stores[1].always(is_late, Fault::Fail(ErrorKind::Full));
        let reports = several.run(LONG);
        assert!(reports[0].is_ok() && reports[2].is_ok(), "{reports:?}");
        let failed = reports[1].is_err();
        several.stores[1].heal();
        several.assert_complete(0, 1);
        several.assert_complete(2, 1);
        // Only if the last look at it failed, it has the snapshot all the same.
        assert_healthy(&several.repositories[1]);
        let before = snapshots(&several.repositories[1]).len();
        assert!(before <= 1, "{before}");
        // It has everything after the next run, although the others lack nothing.
        let reports = several.run(LONG);
        assert!(reports.iter().all(Result::is_ok), "{reports:?}");
        several.assert_complete(1, before + 1);
        if !failed {
            return;
        }
    }
    panic!("a backup makes fewer calls");
}

#[test]
fn a_repository_that_missed_a_run_catches_up() {
    let several = Several::new(2);
    assert!(several.run(LONG).iter().all(Result::is_ok));
    several.fill(1);
    several.stores[1].always(|_, _| true, Fault::Fail(ErrorKind::PermissionDenied));
    assert!(several.run(LONG)[1].is_err());
    several.stores[1].heal();
    for count in [3, 4] {
        // Nothing has changed since: what the second one lacks is read all the same.
        let reports = several.run(LONG);
        assert!(reports.iter().all(Result::is_ok), "{reports:?}");
        several.assert_complete(0, count);
        several.assert_complete(1, count - 1);
    }
}

#[test]
fn a_slow_store_drops_out_and_the_others_do_not_wait() {
    let several = Several::new(3);
    let is_pack = |operation: Operation, name: &str| operation == Operation::Write && name.starts_with("data/");
    several.stores[0].always(is_pack, Fault::Delay(Duration::from_secs(2)));
    let begin = Instant::now();
    let reports = several.run(Duration::from_millis(200));
    assert!(matches!(reports[0], Err(Error::TooSlow { .. })), "{:?}", reports[0]);
    assert!(begin.elapsed() < Duration::from_secs(20));
    several.assert_complete(1, 1);
    several.assert_complete(2, 1);
    several.stores[0].heal();
    assert!(snapshots(&several.repositories[0]).is_empty());
}

#[test]
fn the_last_one_is_waited_for() {
    let several = Several::new(2);
    let is_pack = |operation: Operation, name: &str| operation == Operation::Write && name.starts_with("data/");
    several.stores[0].always(|_, _| true, Fault::Fail(ErrorKind::PermissionDenied));
    several.stores[1].always(is_pack, Fault::Delay(Duration::from_millis(300)));
    let reports = several.run(Duration::from_millis(1));
    assert!(reports[0].is_err() && reports[1].is_ok(), "{reports:?}");
    several.stores[1].heal();
    several.assert_complete(1, 1);
}

#[test]
fn credentials_that_cannot_delete_are_enough_for_backups() {
    let several = Several::new(1);
    let repository = &several.repositories[0];
    let stale = serde_json::json!({"time": "2020-01-01T00:00:00Z", "exclusive": true, "hostname": "gone", "pid": 1});
    repository.write_json(ObjectKind::Lock, &stale).unwrap();
    let is_delete = |operation: Operation, _: &str| operation == Operation::Delete;
    several.stores[0].always(is_delete, Fault::Fail(ErrorKind::PermissionDenied));
    for round in 0..2 {
        several.fill(round);
        assert!(several.run(LONG).iter().all(Result::is_ok));
    }
    assert!(
        engine::exclusive(repository).is_err(),
        "nobody who deletes passes over a lock that stays"
    );
    several.stores[0].heal();
    several.assert_complete(0, 2);
}

#[test]
fn a_request_to_stop_leaves_no_incomplete_snapshot() {
    let source = scratch();
    for n in 0..20_u8 {
        let mut random = fastrand::Rng::with_seed(n.into());
        let content: Vec<u8> = (0..20_000).map(|_| random.u8(..)).collect();
        std::fs::write(source.path().join(format!("f{n}")), content).unwrap();
    }
    let (template, mut stopped) = (empty_repository(), 0);
    for at in 1.. {
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
        for (name, content) in &template {
            memory.write(name, content.clone()).unwrap();
        }
        let (cancel, calls) = (Cancel::default(), Arc::new(AtomicU64::new(0)));
        let (asks, counted) = (cancel.clone(), Arc::clone(&calls));
        let hook = move |_: Operation, _: &str| {
            if counted.fetch_add(1, Ordering::Relaxed) + 1 == at {
                asks.cancel();
            }
        };
        let repository = open(Arc::new(HookedStore::new(Arc::clone(&memory), hook)), None);
        let options = BackupOptions {
            pack: small_packs(),
            ..BackupOptions::default()
        };
        let sources = vec![Source::Path(source.path().to_owned())];
        let report = backup::run(&repository, sources, &options, &cancel, &Recorder::default());
        stopped += u32::from(report.is_err());
        let after = open(memory, None);
        assert_eq!(snapshots(&after).len(), usize::from(report.is_ok()), "call {at}");
        assert_healthy(&after);
        if calls.load(Ordering::Relaxed) < at {
            break;
        }
    }
    assert!(stopped > 5, "{stopped}");
}

/// The objects of a repository whose key opens at once.
fn empty_repository() -> Vec<Object> {
    let directory = scratch();
    let store: Arc<dyn Store> = Arc::new(LocalStore::new(directory.path()));
    drop(engine::init(Arc::clone(&store)));
    make_key_cheap(directory.path());
    let objects = store.list("").unwrap().into_iter();
    objects
        .map(|object| (object.name.clone(), store.read(&object.name).unwrap()))
        .collect()
}

/// Sources of every kind: a directory and a file below `/files`, a stream, and the file that is made at the end.
fn job(directory: &Path, file: &Path, stream: Source, seen: Arc<parking_lot::Mutex<Totals>>) -> Vec<Source> {
    let below = |path: &Path| Source::Below {
        root: "/files".into(),
        path: path.to_owned(),
    };
    let content = move |totals: &Totals| {
        seen.lock().clone_from(totals);
        b"the end".to_vec()
    };
    vec![
        Source::Last {
            path: "/mainstay.json".into(),
            content: Box::new(content),
        },
        below(directory),
        below(file),
        stream,
    ]
}

fn stream(content: &'static [u8], required: bool, outcome: Result<()>) -> Source {
    Source::Stream {
        path: "/command/dump".into(),
        reader: Box::new(content),
        finish: Box::new(|| outcome),
        required,
    }
}

fn failed() -> Result<()> {
    Err(Error::Refused {
        message: "it failed".to_owned(),
        hint: "Try again.".to_owned(),
    })
}

#[test]
fn a_snapshot_has_logical_paths_and_counts_each_part() {
    let several = Several::new(1);
    let (repository, file) = (&several.repositories[0], tempfile::NamedTempFile::new().unwrap());
    std::fs::write(file.path(), "12345").unwrap();
    let seen = Arc::default();
    for (stream, problems) in [(stream(b"abc", true, Ok(())), 0), (stream(b"abc", false, failed()), 1)] {
        let sources = job(several.source(), file.path(), stream, Arc::clone(&seen));
        let (cancel, monitor) = (Cancel::default(), Recorder::default());
        let report = backup::run(repository, sources, &BackupOptions::default(), &cancel, &monitor).unwrap();
        assert_healthy(repository);
        let totals = seen.lock().clone();
        assert_eq!((totals.problems, totals.parts.len()), (problems, 3 - problems as usize));
        assert_eq!(report.totals, totals);
        let part = |path: &Path| {
            totals
                .parts
                .iter()
                .find(|part| part.path == path)
                .map(|part| (part.entries, part.bytes))
        };
        assert_eq!(part(file.path()), Some((1, 5)));
        assert_eq!(part(several.source()).unwrap().0, 30);
        assert_eq!(part(Path::new("/command/dump")), (problems == 0).then_some((1, 3)));
        let (_, snapshot) = report.snapshot.clone().unwrap();
        let logical = |path: &Path| format!("/files{}", path.display());
        let mut paths = vec![
            "/command/dump".to_owned(),
            logical(several.source()),
            logical(file.path()),
        ];
        paths.sort();
        assert_eq!(snapshot.paths, paths);
        assert_eq!(snapshot.mainstay_problems, (problems > 0).then_some(problems));
        let below = PathBuf::from(logical(several.source()));
        assert_restores(repository, &report.snapshot.unwrap(), &below, several.source());
    }
    // One that is required leaves no snapshot.
    let sources = job(several.source(), file.path(), stream(b"abc", true, failed()), seen);
    let (cancel, monitor) = (Cancel::default(), Recorder::default());
    let refused = backup::run(repository, sources, &BackupOptions::default(), &cancel, &monitor);
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    assert_eq!(snapshots(repository).len(), 2);
}

//! The store keeps objects for a time: what cannot be deleted yet is counted, and nothing is lost by it.

use crate::pruning::check_all;
use crate::support::*;
use repository::restic::object::ObjectKind;
use repository::restic::prune::PruneReport;
use repository::restic::purge::{self, PurgeOptions, PurgeReport};
use repository::restic::repository::{OpenOptions, Repository};
use repository::restic::select::SnapshotFilter;
use repository::restic::tag::{self, TagChange, TagReport};
use repository::restic::{forget, repair};
use repository::{Cancel, Error, Filter, Held, Recorder, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::{ErrorKind, Store};
use testkit::faults::{Fault, FaultyStore};
use testkit::recording::Operation;

/// A repository of which the oldest snapshot is forgotten, in a store that can be told to keep objects.
struct Keeping {
    store: FaultyStore,
    repository: Repository,
    memory: InMemory,
}

impl Keeping {
    fn new() -> Self {
        let memory = InMemory::copy_of(&Bench::with_history());
        let store = FaultyStore::new(Arc::new(memory.memory.clone()));
        let repository = Repository::open(Arc::new(store.clone()), PASSWORD.as_bytes(), &OpenOptions::default());
        let repository = repository.unwrap();
        forget_tag(&repository, "round0");
        Self {
            store,
            repository,
            memory,
        }
    }

    /// From now on, nothing below `folder` can be deleted.
    fn keep(&self, folder: &'static str) {
        let held = Fault::Fail(ErrorKind::Held);
        self.store.always(
            move |call, name| call == Operation::Delete && name.starts_with(folder),
            held,
        );
    }

    fn sizes(&self, folder: &str) -> BTreeMap<String, u64> {
        let listed = self.memory.memory.list(folder).unwrap();
        listed.into_iter().map(|object| (object.name, object.size)).collect()
    }

    /// Everything is there, and when nothing is kept any more, a prune leaves nothing behind.
    fn ends_well(&self) {
        let damaged = check_all(&self.repository).problems;
        assert!(damaged.is_empty(), "{damaged:?}");
        assert_eq!(contents(&self.repository).len(), 2);
        self.store.heal();
        let report = prune(&self.repository, &everything_unused()).unwrap();
        assert_eq!(report.held, Held::default());
        let report = check_all(&self.repository);
        let left = (report.problems, report.unused.bytes, report.orphan_packs.len());
        assert_eq!(left, (vec![], 0, 0));
    }
}

/// Packs that an index file lists must not go before it.
#[test]
fn packs_stay_as_long_as_their_index() {
    let keeping = Keeping::new();
    let (packs, indexes) = (keeping.sizes("data"), keeping.sizes("index"));
    keeping.keep("index");
    let report = prune(&keeping.repository, &everything_unused()).unwrap();
    assert!(report.held.objects > 1, "{report:?}");
    assert_eq!(
        (report.deleted_packs, report.deleted_bytes, report.deleted_index_files),
        (0, 0, 0)
    );
    assert!(packs.keys().all(|name| keeping.sizes("data").contains_key(name)));
    assert!(indexes.keys().all(|name| keeping.sizes("index").contains_key(name)));
    keeping.ends_well();
}

#[test]
fn packs_that_are_kept_go_later() {
    let keeping = Keeping::new();
    let packs = keeping.sizes("data");
    keeping.keep("data");
    let report = prune(&keeping.repository, &everything_unused()).unwrap();
    assert!(report.held.objects > 0 && report.copied_blobs > 0, "{report:?}");
    assert_eq!((report.deleted_packs, report.deleted_bytes), (0, 0));
    let copied = keeping.sizes("data").len();
    let again = prune(&keeping.repository, &everything_unused()).unwrap();
    assert_eq!((again.held, again.copied_blobs), (report.held, 0));
    assert_eq!(keeping.sizes("data").len(), copied);
    assert!(packs.keys().all(|name| keeping.sizes("data").contains_key(name)));
    keeping.ends_well();
}

/// With every object kept, a prune a day may not let the repository grow each time.
#[test]
fn blobs_are_copied_once_however_often_it_is_tried() {
    let keeping = Keeping::new();
    keeping.keep("index");
    prune(&keeping.repository, &everything_unused()).unwrap();
    let copied = keeping.sizes("data").len();
    for _ in 0..3 {
        prune(&keeping.repository, &everything_unused()).unwrap();
    }
    assert_eq!(keeping.sizes("data").len(), copied);
    keeping.ends_well();
}

#[test]
fn snapshots_that_are_kept_are_not_reported_as_gone() {
    let keeping = Keeping::new();
    keeping.keep("snapshots");
    let (cancel, monitor) = (Cancel::default(), Recorder::default());
    let (oldest, _) = readable_snapshots(&keeping.repository)[0];
    let plan = forget::plan_ids(&keeping.repository, &[oldest], false, &monitor).unwrap();
    let lock = exclusive(&keeping.repository).unwrap();
    let forgotten = forget::execute(&keeping.repository, &plan, &lock, &cancel, &monitor).unwrap();
    assert_eq!((forgotten.removed.len(), forgotten.held.objects), (0, 1));
    drop(lock);
    assert_eq!(readable_snapshots(&keeping.repository).len(), 2);
    keeping.store.heal();
    let denied = Fault::Fail(ErrorKind::PermissionDenied);
    keeping.store.always(
        |call, name| call == Operation::Delete && name.starts_with("snapshots"),
        denied,
    );
    let lock = exclusive(&keeping.repository).unwrap();
    forget::execute(&keeping.repository, &plan, &lock, &cancel, &monitor).unwrap_err();
}

impl Keeping {
    fn deny(&self, folder: &'static str) {
        let denied = Fault::Fail(ErrorKind::PermissionDenied);
        self.store.always(
            move |call, name| call == Operation::Delete && name.starts_with(folder),
            denied,
        );
    }

    fn everything(&self) -> BTreeMap<String, u64> {
        ["data", "index", "keys", "locks", "snapshots"]
            .into_iter()
            .flat_map(|folder| self.sizes(folder))
            .collect()
    }

    fn tag(&self) -> Result<TagReport> {
        let (lock, cancel) = (exclusive(&self.repository)?, Cancel::default());
        let change = TagChange::Set(vec!["new".to_owned()]);
        tag::tag(
            &self.repository,
            &readable_snapshots(&self.repository),
            &change,
            &lock,
            &cancel,
        )
    }

    fn prune(&self) -> Result<PruneReport> {
        prune(&self.repository, &everything_unused())
    }

    fn purge(&self) -> Result<PurgeReport> {
        let options = PurgeOptions {
            snapshots: SnapshotFilter::default(),
            content: Filter::builder().include("f3").build().unwrap(),
        };
        let (lock, cancel, monitor) = (exclusive(&self.repository)?, Cancel::default(), Recorder::default());
        let plan = purge::plan(&self.repository, &options, &cancel, &monitor)?;
        purge::execute(&self.repository, &options, &plan, &lock, &cancel, &monitor)
    }

    fn repair_index(&self) -> Result<repair::index::Report> {
        let options = repair::index::Options { read_all_packs: true };
        let (lock, cancel, monitor) = (exclusive(&self.repository)?, Cancel::default(), Recorder::default());
        let plan = repair::index::plan(&self.repository, options, &cancel, &monitor)?;
        repair::index::execute(&self.repository, &plan, options, &lock, &cancel, &monitor)
    }

    /// Replace all packs.
    fn repair_packs(&self) -> Result<repair::packs::Report> {
        let packs: Vec<_> = self
            .repository
            .list(ObjectKind::Pack)?
            .iter()
            .map(|(id, _)| *id)
            .collect();
        let (lock, cancel, monitor) = (exclusive(&self.repository)?, Cancel::default(), Recorder::default());
        repair::packs::repair(&self.repository, &packs, true, &lock, &cancel, &monitor)
    }

    /// Without `f1`, which is one blob that counts as lost.
    fn repair_snapshots(&self) -> Result<repair::snapshots::Report> {
        let files = contents(&self.repository).into_values().flatten();
        let lost = files.filter(|(path, _)| path.ends_with("/f1")).map(|(_, id)| id);
        let options = repair::snapshots::Options {
            damaged_blobs: lost.collect(),
            forget: true,
            ..repair::snapshots::Options::default()
        };
        let (lock, cancel, monitor) = (exclusive(&self.repository)?, Cancel::default(), Recorder::default());
        let plan = repair::snapshots::plan(&self.repository, &options, &cancel, &monitor)?;
        repair::snapshots::execute(&self.repository, &plan, &lock, &cancel, &monitor)
    }
}

/// Once, each attempt left another snapshot beside the old one.
#[test]
fn snapshots_that_are_kept_are_replaced_once() {
    let keeping = Keeping::new();
    keeping.keep("snapshots");
    for _ in 0..3 {
        let report = keeping.tag().unwrap();
        assert_eq!((report.tagged.len(), report.held.objects), (2, 2));
        assert_eq!(readable_snapshots(&keeping.repository).len(), 4);
    }
    assert!(check_all(&keeping.repository).problems.is_empty());
    keeping.store.heal();
    assert!(keeping.tag().unwrap().held.is_empty());
    let left = readable_snapshots(&keeping.repository);
    assert!(
        left.len() == 2 && left.iter().all(|(_, snapshot)| snapshot.tags() == ["new"]),
        "{left:?}"
    );
}

#[test]
fn what_is_kept_is_not_reported_as_purged() {
    for folder in ["snapshots", "index", "data"] {
        let keeping = Keeping::new();
        keeping.keep(folder);
        for _ in 0..2 {
            let report = keeping.purge();
            // With its snapshots replaced, nothing matches any more: what is left is for `prune`.
            let Ok(report) = report else {
                panic!("{folder}: {report:?}")
            };
            assert!(
                folder != "snapshots" || (!report.is_proven() && report.held.objects == 2),
                "{report:?}"
            );
            let snapshots = readable_snapshots(&keeping.repository).len();
            assert_eq!(snapshots, if folder == "snapshots" { 4 } else { 2 }, "{folder}");
        }
        assert!(check_all(&keeping.repository).problems.is_empty());
        keeping.store.heal();
        keeping.purge().unwrap();
        prune(&keeping.repository, &everything_unused()).unwrap();
        let report = check_all(&keeping.repository);
        assert_eq!(
            (report.problems, report.unused.bytes, report.orphan_packs.len()),
            (vec![], 0, 0),
            "{folder}"
        );
        assert!(
            contents(&keeping.repository)
                .values()
                .flatten()
                .all(|(path, _)| !path.ends_with("/f3"))
        );
    }
}

#[test]
fn repairs_say_what_stays() {
    let keeping = Keeping::new();
    let indexes = keeping.sizes("index").len() as u64;
    keeping.keep("index");
    let report = keeping.repair_index().unwrap();
    assert_eq!((report.held.objects, report.deleted_files), (indexes, 0));
    assert!(check_all(&keeping.repository).problems.is_empty());
    // Packs that an index file still lists stay, too.
    let packs = keeping.sizes("data");
    let report = keeping.repair_packs().unwrap();
    assert!(
        report.held.objects >= indexes && report.lost_blobs.is_empty(),
        "{report:?}"
    );
    assert!(packs.keys().all(|name| keeping.sizes("data").contains_key(name)));
    assert!(check_all(&keeping.repository).problems.is_empty());
    keeping.store.heal();
    keeping.keep("snapshots");
    for _ in 0..2 {
        let report = keeping.repair_snapshots().unwrap();
        assert!(report.removed.is_empty() && report.held.objects > 0, "{report:?}");
        let count = report.replaced.len() + 2;
        assert_eq!(readable_snapshots(&keeping.repository).len(), count);
    }
}

/// Without the right to delete, half of the work would be done again by every attempt, and stay.
#[test]
fn nothing_is_begun_without_the_right_to_delete() {
    for folder in ["snapshots", "data", "index"] {
        let keeping = Keeping::new();
        keeping.deny(folder);
        let before = keeping.everything();
        let purged = keeping.purge();
        assert!(matches!(purged, Err(Error::AppendOnly { .. })), "{folder}: {purged:?}");
        let concerned = match folder {
            "snapshots" => vec![keeping.tag().map(drop), keeping.repair_snapshots().map(drop)],
            "data" => vec![keeping.repair_packs().map(drop), keeping.prune().map(drop)],
            _ => vec![
                keeping.repair_index().map(drop),
                keeping.repair_packs().map(drop),
                keeping.prune().map(drop),
            ],
        };
        for done in concerned {
            assert!(matches!(done, Err(Error::AppendOnly { .. })), "{folder}: {done:?}");
        }
        assert_eq!(keeping.everything(), before, "{folder}");
        keeping.store.heal();
        assert!(check_all(&keeping.repository).problems.is_empty());
    }
}

/// A run takes one lock after the other: those that cannot be removed must not stand in its own way, nor in that of others later.
#[test]
fn locks_that_are_kept_hold_up_nobody_here() {
    let keeping = Keeping::new();
    keeping.keep("locks");
    drop(shared(&keeping.repository));
    drop(exclusive(&keeping.repository).unwrap());
    assert_eq!(keeping.repository.list(ObjectKind::Lock).unwrap().len(), 2);
    prune(&keeping.repository, &everything_unused()).unwrap();
}

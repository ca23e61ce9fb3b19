//! The store keeps objects for a time: what cannot be deleted yet is counted, and nothing is lost by it.

use crate::pruning::check_all;
use crate::support::*;
use repository::restic::forget;
use repository::restic::object::ObjectKind;
use repository::restic::repository::{OpenOptions, Repository};
use repository::{Cancel, Held, Recorder};
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

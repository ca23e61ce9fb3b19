//! Stores that claim what is not so, and what a crash leaves behind.

use super::history::*;
use crate::engine::*;
use repository::Error;
use repository::restic::object::ObjectKind;
use repository::restic::pack::BlobKind;
use std::sync::Arc;
use testkit::faults::{Fault, FaultyStore};
use testkit::recording::Operation;

/// A store that claims success: what it did not keep, or kept half of, is named before anything relies on it.
#[test]
fn what_a_lying_store_did_not_keep_is_named_and_there_is_no_snapshot() {
    let history = History::new();
    let faulty = FaultyStore::new(Arc::new(history.memory.clone()));
    let repository = open(Arc::new(faulty.clone()), None);
    for (kind, fault) in [
        ("data", Fault::Lie),
        ("data", Fault::Truncate),
        ("index", Fault::Lie),
        ("snapshots", Fault::Lie),
    ] {
        for nth in 0..2 {
            history.reset();
            faulty.heal();
            let lost = Arc::new(parking_lot::Mutex::new((0, None)));
            let memory = Arc::clone(&lost);
            let hits = move |operation: Operation, name: &str| {
                if operation != Operation::Write || !name.starts_with(kind) {
                    return false;
                }
                let (seen, lost) = &mut *memory.lock();
                *seen += 1;
                if *seen == nth + 1 {
                    *lost = Some(name.to_owned());
                }
                *seen == nth + 1
            };
            faulty.times(1, hits, fault);
            let stored = backup(&repository, &history.source(), "v4");
            let Some(lost) = lost.lock().1.clone() else { continue };
            let id = lost.rsplit('/').next().unwrap();
            let named = matches!(&stored, Err(Error::NotStored { name, .. }) if name == id);
            assert!(named, "{lost}: {stored:?}");
            assert_eq!(history.ids("v4"), [], "{lost}");
            let report = check_all(&history.sober);
            assert_eq!(report.affected_snapshots, [], "{lost}");
            faulty.heal();
            backup(&repository, &history.source(), "v4").unwrap();
            assert_eq!(check_all(&history.sober).affected_snapshots, [], "{lost}");
        }
    }
}

/// A store that claims to have deleted what it keeps: nothing is lost.
#[test]
fn a_store_that_deletes_nothing_is_harmless() {
    let history = History::new();
    let faulty = FaultyStore::new(Arc::new(history.memory.clone()));
    let repository = open(Arc::new(faulty.clone()), None);
    faulty.always(
        |operation, name| operation == Operation::Delete && !name.starts_with("locks"),
        Fault::Lie,
    );
    forget(&repository, &history.ids("v1")).unwrap();
    prune(&repository).unwrap();
    history.verify(&["v1", "v2", "v3"]);
}

/// What blobs and packs are is a matter of the index, so one that is gone after a crash must not be believed.
#[test]
fn a_pack_that_no_index_lists_is_harmless() {
    let history = History::new();
    let repository = &history.sober;
    let index = repository.list(ObjectKind::Index).unwrap();
    backup(repository, &history.source(), "v4").unwrap();
    for (id, _) in repository.list(ObjectKind::Index).unwrap() {
        if !index.iter().any(|(old, _)| *old == id) {
            repository.delete(ObjectKind::Index, &id).unwrap();
        }
    }
    history
        .ids("v4")
        .iter()
        .for_each(|id| repository.delete(ObjectKind::Snapshot, id).unwrap());
    assert!(!assert_healthy(repository).orphan_packs.is_empty());
    backup(repository, &history.source(), "v4").unwrap();
    history.verify(&["v1", "v2", "v3", "v4"]);
    prune(repository).unwrap();
    history.verify(&["v1", "v2", "v3", "v4"]);
    let index = repository.load_index().unwrap();
    assert!(index.iter().any(|location| location.blob.kind == BlobKind::Tree));
    assert_eq!(assert_healthy(repository).orphan_packs, []);
}

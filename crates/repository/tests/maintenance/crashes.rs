//! The program dies before or after each of its calls to the store.

use crate::support::*;
use repository::restic::object::ObjectKind;
use repository::restic::pack::BlobKind;
use repository::restic::repair;
use repository::restic::repository::{OpenOptions, Repository};
use repository::restic::tag::{TagChange, tag};
use repository::{Cancel, Id, Recorder, Result};
use std::sync::Arc;
use testkit::faults::FaultyStore;

/// Run `work` with a crash before and after each of its calls; then everything that is listed has to be restorable, and `work` has to
/// succeed when it is run again.
fn crash_everywhere(prepare: impl Fn(&Repository), work: impl Fn(&Repository) -> Result<()>) {
    let bench = Bench::with_history();
    let copy = InMemory::copy_of(&bench);
    let expected = {
        let store = Arc::new(copy.memory.clone());
        contents(&Repository::open(store, PASSWORD.as_bytes(), &OpenOptions::default()).unwrap())
    };
    let faulty = FaultyStore::new(Arc::new(copy.memory.clone()));
    let repository = Repository::open(Arc::new(faulty.clone()), PASSWORD.as_bytes(), &OpenOptions::default()).unwrap();
    let mut crashes = 0;
    for call in 1.. {
        let mut finished = false;
        for after in [false, true] {
            copy.reset();
            prepare(&repository);
            let listed = readable_snapshots(&repository).len();
            faulty.heal();
            if after {
                faulty.crash_after_call(call);
            } else {
                faulty.crash_before_call(call);
            }
            finished = work(&repository).is_ok() && !faulty.has_crashed();
            faulty.heal();
            copy.remove_locks();
            let found = contents(&repository);
            assert!(
                found.iter().all(|(tree, content)| expected.get(tree) == Some(content)),
                "call {call}, after: {after}"
            );
            assert!(found.len() <= listed);
            work(&repository).unwrap();
            assert!(
                contents(&repository)
                    .iter()
                    .all(|(tree, content)| expected.get(tree) == Some(content))
            );
            crashes += 1;
        }
        if finished {
            break;
        }
    }
    assert!(crashes > 10, "{crashes}");
    let target = tempfile::tempdir().unwrap();
    copy.write_to(&target.path().join("r"));
    let (success, text) = restic(&target.path().join("r"), &["check", "--read-data"]);
    assert!(success, "{text}");
}

#[test]
fn heavy_prune_can_die_at_every_call() {
    crash_everywhere(
        |repository| forget_tag(repository, "round0"),
        |repository| prune(repository, &everything_unused()).map(drop),
    );
}

#[test]
fn heavy_repair_of_the_index_can_die_at_every_call() {
    let options = repair::index::Options { read_all_packs: true };
    crash_everywhere(
        |_| {},
        |repository| {
            let (lock, cancel, monitor) = (exclusive(repository)?, Cancel::default(), Recorder::default());
            let plan = repair::index::plan(repository, options, &cancel, &monitor)?;
            repair::index::execute(repository, &plan, options, &lock, &cancel, &monitor).map(drop)
        },
    );
}

#[test]
fn heavy_tagging_can_die_at_every_call() {
    let change = TagChange::Edit {
        add: vec!["more".to_owned()],
        remove: Vec::new(),
    };
    crash_everywhere(
        |_| {},
        |repository| {
            let lock = exclusive(repository)?;
            let snapshots: Vec<_> = repository.snapshots()?.into_iter().collect::<Result<_>>()?;
            tag(repository, &snapshots, &change, &lock, &Cancel::default()).map(drop)
        },
    );
}

#[test]
fn heavy_repair_of_packs_can_die_at_every_call() {
    crash_everywhere(
        |_| {},
        |repository| {
            let (lock, cancel, monitor) = (exclusive(repository)?, Cancel::default(), Recorder::default());
            let packs: Vec<_> = repository
                .list(ObjectKind::Pack)?
                .into_iter()
                .map(|(id, _)| id)
                .take(2)
                .collect();
            repair::packs::repair(repository, &packs, true, &lock, &cancel, &monitor).map(drop)
        },
    );
}

/// A repaired snapshot takes the place of the damaged one, or the damaged one is still there; in the end only whole ones are.
#[test]
fn heavy_repair_of_snapshots_can_die_at_every_call() {
    let bench = Bench::with_history();
    let copy = InMemory::copy_of(&bench);
    let faulty = FaultyStore::new(Arc::new(copy.memory.clone()));
    let repository = Repository::open(Arc::new(faulty.clone()), PASSWORD.as_bytes(), &OpenOptions::default()).unwrap();
    let index = repository.load_index().unwrap();
    let originals = readable_snapshots(&repository);
    let lost = index.iter().find(|one| one.blob.kind == BlobKind::Data).unwrap().pack;
    let work = || -> Result<usize> {
        let (lock, cancel, monitor) = (exclusive(&repository)?, Cancel::default(), Recorder::default());
        let options = repair::snapshots::Options {
            forget: true,
            ..Default::default()
        };
        let plan = repair::snapshots::plan(&repository, &options, &cancel, &monitor)?;
        let damaged = plan.repairs.len();
        repair::snapshots::execute(&repository, &plan, &lock, &cancel, &monitor)?;
        Ok(damaged)
    };
    let mut crashes = 0;
    for call in 1.. {
        let mut finished = false;
        for after in [false, true] {
            copy.reset();
            repository.delete(ObjectKind::Pack, &lost).unwrap();
            faulty.heal();
            if after {
                faulty.crash_after_call(call);
            } else {
                faulty.crash_before_call(call);
            }
            finished = work().is_ok() && !faulty.has_crashed();
            faulty.heal();
            copy.remove_locks();
            let listed = readable_snapshots(&repository);
            let is_there = |id: &Id| {
                listed
                    .iter()
                    .any(|(now, snapshot)| now == id || snapshot.original == Some(*id))
            };
            assert!(
                originals.iter().all(|(id, _)| is_there(id)),
                "call {call}, after: {after}"
            );
            work().unwrap();
            assert_eq!(work().unwrap(), 0, "call {call}, after: {after}");
            // Reads every blob of every snapshot.
            assert!(contents(&repository).values().any(|files| !files.is_empty()));
            crashes += 1;
        }
        if finished {
            break;
        }
    }
    assert!(crashes > 10, "{crashes}");
}

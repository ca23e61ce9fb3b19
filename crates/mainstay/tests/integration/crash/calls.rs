//! A store fails at every call, in each way.

use super::history::*;
use crate::engine::*;
use crate::peer::scratch;
use repository::restic::copy::{CopyOptions, copy};
use repository::restic::repair;
use repository::restic::repository::Repository;
use repository::{Cancel, Recorder, Result};
use std::path::Path;
use std::sync::Arc;
use storage::{ErrorKind, MemoryStore, Store as _};
use testkit::faults::{Fault, FaultyStore};

/// What happens at one call. After the first two nothing works any more; after the others the program goes on, and cleans up.
const FAULTS: [Fault; 4] = [
    Fault::CrashBefore,
    Fault::CrashAfter,
    Fault::Fail(ErrorKind::Unavailable),
    Fault::LoseAnswer,
];

/// Run `work` with each fault at each of its calls. Afterwards everything listed is whole, and `work` succeeds when it is run again.
fn fail_everywhere(
    cache: Option<&Path>,
    prepare: impl Fn(&History),
    work: impl Fn(&History, &Repository) -> Result<()>,
    kept: &[&str],
) {
    let history = History::new();
    let faulty = FaultyStore::new(Arc::new(history.memory.clone()));
    let repository = open(Arc::new(faulty.clone()), cache);
    let mut failures = 0;
    for call in 1.. {
        let mut reached = false;
        for fault in FAULTS {
            history.reset();
            prepare(&history);
            faulty.heal();
            faulty.at_call(call, fault);
            let result = work(&history, &repository);
            reached |= faulty.calls() >= call;
            failures += u32::from(result.is_err());
            faulty.heal();
            remove_locks(&history.memory);
            history.verify(kept);
            work(&history, &repository).unwrap_or_else(|error| panic!("again after {fault:?} at call {call}: {error}"));
            history.verify(kept);
            assert_eq!(history.memory.list("locks").unwrap(), [], "{fault:?} at call {call}");
        }
        if !reached {
            break;
        }
    }
    assert!(failures > 20, "{failures}");
}

fn backup_v4(history: &History, repository: &Repository) -> Result<()> {
    backup(repository, &history.source(), "v4").map(drop)
}

#[test]
fn heavy_a_backup_can_fail_at_every_call() {
    fail_everywhere(None, |_| {}, backup_v4, &["v1", "v2", "v3"]);
}

/// The cache then knows of objects that the repository lost with the crash.
#[test]
fn heavy_a_backup_with_a_cache_can_fail_at_every_call() {
    let cache = scratch();
    fail_everywhere(Some(cache.path()), |_| {}, backup_v4, &["v1", "v2", "v3"]);
}

#[test]
fn heavy_forget_can_fail_at_every_call() {
    let forget_two = |history: &History, repository: &Repository| {
        let ids = [history.ids("v1"), history.ids("v2")].concat();
        if ids.is_empty() {
            exclusive(repository).map(drop)
        } else {
            forget(repository, &ids)
        }
    };
    fail_everywhere(None, |_| {}, forget_two, &["v3"]);
}

#[test]
fn heavy_prune_can_fail_at_every_call() {
    let forget_one = |history: &History| forget(&history.sober, &history.ids("v1")).unwrap();
    fail_everywhere(None, forget_one, |_, repository| prune(repository), &["v2", "v3"]);
}

#[test]
fn heavy_repair_of_the_index_can_fail_at_every_call() {
    let options = repair::index::Options { read_all_packs: true };
    let work = |_: &History, repository: &Repository| {
        let (lock, cancel, monitor) = (exclusive(repository)?, Cancel::default(), Recorder::default());
        let plan = repair::index::plan(repository, options, &cancel, &monitor)?;
        repair::index::execute(repository, &plan, options, &lock, &cancel, &monitor).map(drop)
    };
    fail_everywhere(None, |_| {}, work, &["v1", "v2", "v3"]);
}

/// The destination fails at every call; whatever it lists then is whole, and copying again completes it.
#[test]
fn heavy_a_copy_can_fail_at_every_call() {
    let history = History::new();
    let memory = MemoryStore::new();
    let sober = init(Arc::new(memory.clone()));
    let key = stored(&memory);
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    let destination = open(Arc::new(faulty.clone()), None);
    let copy_all = || {
        let (cancel, monitor) = (Cancel::default(), Recorder::default());
        let options = CopyOptions { packs: small_packs() };
        let lock = shared(&destination)?;
        let report = copy(
            &history.sober,
            &destination,
            &snapshots(&history.sober),
            &options,
            &lock,
            &cancel,
            &monitor,
        );
        drop(lock);
        report
    };
    let verify = |count: Option<usize>| {
        let listed = snapshots(&sober);
        for one in &listed {
            assert_restores(&sober, one, &history.source(), &history.copy_of(&one.1.tags()[0]));
        }
        assert!(count.is_none_or(|count| count == listed.len()), "{listed:?}");
        assert_healthy(&sober);
    };
    let mut failures = 0;
    for call in 1.. {
        let mut reached = false;
        for fault in FAULTS {
            put_back(&memory, &key);
            faulty.heal();
            faulty.at_call(call, fault);
            let result = copy_all();
            reached |= faulty.calls() >= call;
            failures += u32::from(result.is_err());
            faulty.heal();
            remove_locks(&memory);
            verify(None);
            copy_all().unwrap_or_else(|error| panic!("again after {fault:?} at call {call}: {error}"));
            verify(Some(3));
        }
        if !reached {
            break;
        }
    }
    assert!(failures > 20, "{failures}");
}
